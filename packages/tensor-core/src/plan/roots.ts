/**
 * Materialised tensors and the bytes behind them.
 *
 * Only roots hold memory: what `evaluate` and compiled functions return, and uploads. A root's buffer is released when it
 * is donated, or after its handle has been collected (a net under long-lived programs; loops should donate).
 */
import type { Device, DeviceBuffer } from '../device.js';
import { TensorStateError } from '../errors.js';
import { trackedOrigin } from '../graph/origin.js';
import { type Tensor, donatedError } from '../tensor.js';

interface Held {
  readonly device: Device;
  readonly buffer: DeviceBuffer;
  /** Where the value was made, while origins are tracked. */
  readonly site: string;
}

const finalizers = new FinalizationRegistry<Held>((held) => {
  held.device.release(held.buffer);
  sites.get(held.device)?.delete(held);
});

const sites = new WeakMap<Device, Set<Held>>();
/** Weak, because it must not keep a handle alive. */
const heldBy = new WeakMap<Tensor, Held>();

/** Makes `buffer` the value of `tensor`, which forgets the graph behind it. */
export function materialize(tensor: Tensor, device: Device, buffer: DeviceBuffer): void {
  const held = {
    device,
    buffer,
    site: tensor.producer?.origin ?? trackedOrigin() ?? 'an unknown line (trackOrigins names it)',
  };
  tensor.computedBy ??= tensor.producer?.op.name;
  tensor.producer = undefined;
  tensor.storage = { kind: 'device', device, buffer };
  finalizers.register(tensor, held, tensor);
  heldBy.set(tensor, held);
  let ofDevice = sites.get(device);
  if (!ofDevice) sites.set(device, (ofDevice = new Set()));
  ofDevice.add(held);
}

function forget(tensor: Tensor): void {
  finalizers.unregister(tensor);
  const held = heldBy.get(tensor);
  if (held) sites.get(held.device)?.delete(held);
  heldBy.delete(tensor);
}

/** The buffer of a materialised tensor on `device`, uploading a host tensor on its first use. */
export function bufferOn(tensor: Tensor, device: Device): DeviceBuffer {
  const storage = tensor.storage;
  if (!storage) {
    throw new TensorStateError(
      tensor.producer
        ? `${tensor.toString()} has no value yet: evaluate it before passing it to a compiled function`
        : `${tensor.toString()} has no value: it stands for an argument while a function is traced`,
    );
  }
  if (storage.kind === 'donated') throw donatedError(tensor, storage.to);
  if (storage.kind === 'host') {
    const buffer = device.upload(storage.data, tensor);
    materialize(tensor, device, buffer);
    return buffer;
  }
  if (storage.device !== device) {
    throw new TensorStateError(
      `a tensor on device "${storage.device.name}" was used on "${device.name}": read it with data() and make a new tensor from it`,
    );
  }
  return storage.buffer;
}

/** Marks `tensor` as given up. Its buffer now belongs to the call. */
export function markDonated(tensor: Tensor, to: string): void {
  forget(tensor);
  tensor.producer = undefined;
  tensor.storage = { kind: 'donated', to };
}

export interface AllocationSite {
  readonly site: string;
  readonly byteLength: number;
  readonly count: number;
}

/** What the roots of a device were made by, largest first. */
export function allocationSites(device: Device): AllocationSite[] {
  const totals = new Map<string, { byteLength: number; count: number }>();
  for (const { site, buffer } of sites.get(device) ?? []) {
    const total = totals.get(site) ?? { byteLength: 0, count: 0 };
    totals.set(site, { byteLength: total.byteLength + buffer.byteLength, count: total.count + 1 });
  }
  return [...totals].map(([site, total]) => ({ site, ...total })).sort((a, b) => b.byteLength - a.byteLength);
}
