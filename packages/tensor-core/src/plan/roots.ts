/**
 * Materialised tensors and the bytes behind them.
 *
 * Only roots hold memory: what `evaluate` and compiled functions return, and uploads. A root's buffer is released when it
 * is donated, or after its handle has been collected (a net under long-lived programs; loops should donate).
 */
import type { Device, DeviceBuffer } from '../device.js';
import { TensorStateError } from '../errors.js';
import { type Tensor, donatedError } from '../tensor.js';

interface Held {
  readonly device: Device;
  readonly buffer: DeviceBuffer;
}

const finalizers = new FinalizationRegistry<Held>(({ device, buffer }) => device.release(buffer));

/** Makes `buffer` the value of `tensor`, which forgets the graph behind it. */
export function materialize(tensor: Tensor, device: Device, buffer: DeviceBuffer): void {
  tensor.producer = undefined;
  tensor.storage = { kind: 'device', device, buffer };
  finalizers.register(tensor, { device, buffer }, tensor);
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
  finalizers.unregister(tensor);
  tensor.producer = undefined;
  tensor.storage = { kind: 'donated', to };
}
