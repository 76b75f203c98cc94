/**
 * A device for testing plans: every value lies where the plan says, in real bytes, and the ops' reference loops run on
 * views of them.
 *
 * It has no kernels to be wrong, so what differs from the reference engine is the plan's fault. Fresh memory is filled with
 * 0xFF (NaN as a float), and bytes are filled again after their last use, so that a value read too early, too late or
 * through another's bytes shows.
 */
import type { Device, DeviceBuffer, DeviceLimits, Executable, MemoryReport } from '../device.js';
import { type HostArray, byteSizeOf, hostView } from '../dtype.js';
import type { HostTensor, Op } from '../op.js';
import { checkGuard } from '../plan/check-guard.js';
import type { Place } from '../plan/places.js';
import type { Plan, PlanPasses } from '../plan/plan.js';
import { shardBoundaries } from '../plan/shards.js';
import { byteLengthOf } from '../plan/storage.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

export interface ArenaDeviceOptions {
  readonly decomposeFused?: boolean;
  readonly limits?: DeviceLimits;
  readonly passes?: PlanPasses;
}

class Bytes implements DeviceBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength).fill(poison);
  }
  get byteLength(): number {
    return this.bytes.byteLength;
  }
}

const poison = 0xff;

/** A device that executes `plan.places` literally. It rejects a run whose guards fail before anything is written. */
export function createArenaDevice({ decomposeFused = false, limits, passes }: ArenaDeviceOptions = {}): Device {
  let rootBytes = 0;
  let arenaBytes = 0;
  let peakBytes = 0;
  const hold = (buffer: Bytes): Bytes => {
    rootBytes += buffer.byteLength;
    peakBytes = Math.max(peakBytes, rootBytes + arenaBytes);
    return buffer;
  };

  const lower = (plan: Plan): Executable => ({
    workingBytes: plan.arena.byteLength,
    async run(given) {
      await Promise.resolve();
      const inputs = given as readonly Bytes[];
      const arena = new Uint8Array(plan.arena.byteLength).fill(poison);
      arenaBytes = arena.byteLength;
      const donorOf = new Map(plan.donations.map(({ input, output }) => [output, input]));
      const fresh = plan.outputs.map((value, i) =>
        donorOf.has(i) ? undefined : new Bytes(byteLengthOf(plan.values[value]!)),
      );
      const bytesAt = (place: Place, spec: TensorSpec): Uint8Array<ArrayBuffer> => {
        const byteLength = byteLengthOf(spec);
        const whole =
          place.kind === 'arena'
            ? arena
            : place.kind === 'output'
              ? fresh[place.position]!.bytes
              : shardBytes(place, plan, inputs, limits);
        if (place.byteOffset + byteLength > whole.byteLength)
          throw new Error(`a value of ${byteLength} bytes leaves its ${place.kind} of ${whole.byteLength} bytes`);
        return whole.subarray(place.byteOffset, place.byteOffset + byteLength);
      };
      const bytesOf = (value: number): Uint8Array<ArrayBuffer> => bytesAt(plan.places[value]!, plan.values[value]!);
      const view = (value: number): HostTensor => {
        const bytes = bytesOf(value);
        return { ...plan.values[value]!, data: hostView(bytes.buffer, bytes.byteOffset, plan.values[value]!) };
      };

      for (const guard of plan.guards) checkGuard(plan, guard, (value) => view(value).data);
      const isInput = new Set([...plan.inputs, ...plan.shards.map(({ value }) => value)]);
      plan.steps.forEach(({ op, inputs: from, outputs: to, attributes }, i) => {
        const overwritten = new Set(from.map((value) => bytesOf(value).byteOffset + addressOf(bytesOf(value))));
        for (const value of to) {
          const bytes = bytesOf(value);
          // Reference loops may rely on zeroed outputs, but not where an operand still lies.
          if (!overwritten.has(bytes.byteOffset + addressOf(bytes))) bytes.fill(0);
        }
        op.reference!({ inputs: from.map(view), outputs: to.map(view), attributes });
        for (const owner of plan.lastUses[i]!) {
          const place = plan.places[owner];
          const survives = isInput.has(owner) || to.some((value) => place && samePlace(place, plan.places[value]!));
          if (place?.kind === 'arena' && !survives) bytesOf(owner).fill(poison);
        }
      });
      const results = plan.outputs.map((_, i) => fresh[i] ?? inputs[donorOf.get(i)!]!);
      const copies = plan.copies.map((position) => ({ position, bytes: bytesOf(plan.outputs[position]!) }));
      for (const donors of [false, true])
        for (const { position, bytes } of copies)
          if (donorOf.has(position) === donors) results[position]!.bytes.set(bytes);
      for (const buffer of fresh) if (buffer) hold(buffer);
      return results;
    },
  });

  return {
    name: 'arena',
    ...(limits && { limits }),
    ...(passes && { passes }),
    canOverwrite: () => true,
    supports: (op: Op) =>
      op.reference !== undefined && !(decomposeFused && op.decompose !== undefined && op.name !== 'fusedExpression'),
    upload(data: HostArray, spec: TensorSpec) {
      const buffer = new Bytes(byteLengthOf(spec));
      hostView(buffer.bytes.buffer, 0, spec).set(data);
      return hold(buffer);
    },
    read: (buffer, spec) => Promise.resolve(hostView((buffer as Bytes).bytes.buffer, 0, spec).slice()),
    release(buffer) {
      rootBytes -= buffer.byteLength;
    },
    lower,
    memory: (): MemoryReport => ({ rootBytes, arenaBytes, peakBytes }),
  };
}

const samePlace = (a: Place, b: Place): boolean => a.kind === b.kind && a.byteOffset === b.byteOffset;

const addresses = new WeakMap<ArrayBufferLike, number>();
let nextAddress = 0;

/** A number far from that of every other buffer. */
function addressOf({ buffer }: Uint8Array): number {
  let address = addresses.get(buffer);
  if (address === undefined) addresses.set(buffer, (address = nextAddress += 2 ** 40));
  return address;
}

function shardBytes(
  place: Extract<Place, { kind: 'input' }>,
  plan: Plan,
  inputs: readonly Bytes[],
  limits: DeviceLimits | undefined,
): Uint8Array<ArrayBuffer> {
  const { bytes } = inputs[place.position]!;
  if (place.shard === undefined) return bytes;
  const spec = plan.values[plan.inputs[place.position]!]!;
  const boundaries = shardBoundaries(spec, limits?.bindingBytes)!;
  const rowBytes = (sizeOf(spec.shape) / spec.shape[0]!) * byteSizeOf(spec.dtype);
  return bytes.subarray(boundaries[place.shard]! * rowBytes, boundaries[place.shard + 1]! * rowBytes);
}
