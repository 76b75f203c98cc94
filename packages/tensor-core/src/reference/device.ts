/**
 * The reference engine: evaluates any plan with each op's own plain loops, step by step.
 *
 * It is the definition of right that every other engine is tested against: no kernels, no fusion, no shared bytes. With
 * `precision: 'f64'` every f32 value is carried in 64 bits, which is what gradient checks need.
 */
import type { Device, DeviceBuffer, DeviceLimits, Executable, MemoryReport } from '../device.js';
import { type HostArray, allocateHost, byteSizeOf } from '../dtype.js';
import type { HostTensor, Op } from '../op.js';
import { attributed, checkGuard } from '../plan/check-guard.js';
import { type Plan, type PlanPasses, noPasses } from '../plan/plan.js';
import { shardBoundaries } from '../plan/shards.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

export interface ReferenceOptions {
  /** Width that f32 values are computed and held in. */
  readonly precision?: 'f32' | 'f64';
  /** Evaluate fused ops through their decompositions instead of their own loops. */
  readonly decomposeFused?: boolean;
  /** Passes of the plan compiler to run. None when left out: the oracle does not depend on the compiler. */
  readonly passes?: PlanPasses;
  /** Plans as for a device with these limits. */
  readonly limits?: DeviceLimits;
}

class HostBuffer implements DeviceBuffer {
  readonly data: HostArray;
  constructor(data: HostArray) {
    this.data = data;
  }
  get byteLength(): number {
    return this.data.byteLength;
  }
}

export function createReferenceDevice({
  precision = 'f32',
  decomposeFused = false,
  passes = noPasses,
  limits,
}: ReferenceOptions = {}): Device {
  let rootBytes = 0;
  let arenaBytes = 0;
  let peakBytes = 0;
  const allocate = ({ shape, dtype }: TensorSpec): HostArray =>
    dtype === 'f32' && precision === 'f64' ? new Float64Array(sizeOf(shape)) : allocateHost(dtype, sizeOf(shape));
  const hold = (buffer: HostBuffer): HostBuffer => {
    rootBytes += buffer.byteLength;
    peakBytes = Math.max(peakBytes, rootBytes + arenaBytes);
    return buffer;
  };

  const lower = (plan: Plan): Executable => ({
    workingBytes: plan.arena.byteLength,
    run(inputs) {
      /** The arrays of owners; views are made when they are read. */
      const owned = new Map<number, HostArray>();
      const valueAt = (value: number): HostTensor => {
        const { owner, byteOffset } = plan.storage[value]!;
        const spec = plan.values[value]!;
        const start = byteOffset / byteSizeOf(spec.dtype);
        const data = owned.get(owner)!;
        const length = sizeOf(spec.shape);
        return { ...spec, data: length === data.length ? data : data.subarray(start, start + length) };
      };
      plan.inputs.forEach((value, i) => owned.set(value, (inputs[i] as HostBuffer).data));
      for (const { value, input, shard } of plan.shards) {
        const whole = plan.values[plan.inputs[input]!]!;
        const from = shardBoundaries(whole, limits?.bindingBytes)![shard]!;
        const start = (from * sizeOf(whole.shape)) / whole.shape[0]!;
        owned.set(value, (inputs[input] as HostBuffer).data.subarray(start, start + sizeOf(plan.values[value]!.shape)));
      }
      for (const guard of plan.guards) checkGuard(plan, guard, (value) => valueAt(value).data);
      plan.steps.forEach(({ op, inputs: from, outputs: to, attributes, origin }, i) => {
        const outputs = to.map((value) => ({ ...plan.values[value]!, data: allocate(plan.values[value]!) }));
        attributed(origin, () => op.reference!({ inputs: from.map(valueAt), outputs, attributes }));
        to.forEach((value, at) => owned.set(value, outputs[at]!.data));
        for (const value of plan.lastUses[i]!) owned.delete(value);
      });
      for (const { input } of plan.donations) rootBytes -= (inputs[input] as HostBuffer).byteLength;
      arenaBytes = Math.max(arenaBytes, plan.arena.byteLength);
      const copied = new Set(plan.copies);
      const results = plan.outputs.map((value, position) => {
        const { data } = valueAt(value);
        return hold(new HostBuffer(copied.has(position) ? data.slice() : data));
      });
      return Promise.resolve(results);
    },
  });

  return {
    name: `reference ${precision}`,
    precision,
    passes,
    ...(limits && { limits }),
    supports: (op: Op) => op.reference !== undefined && !(decomposeFused && op.decompose !== undefined),
    upload(data, spec) {
      const own = allocate(spec);
      own.set(data);
      return hold(new HostBuffer(own));
    },
    read: (buffer) => Promise.resolve((buffer as HostBuffer).data.slice()),
    release(buffer) {
      rootBytes -= buffer.byteLength;
    },
    lower,
    memory: (): MemoryReport => ({ rootBytes, arenaBytes, peakBytes }),
  };
}
