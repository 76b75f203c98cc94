/**
 * The reference engine: evaluates any plan with each op's own plain loops, step by step.
 *
 * It is the definition of right that every other engine is tested against: no kernels, no fusion, no cache. With
 * `precision: 'f64'` every f32 value is carried in 64 bits, which is what gradient checks need.
 */
import type { Device, DeviceBuffer, Executable, MemoryReport } from '../device.js';
import { type HostArray, allocateHost } from '../dtype.js';
import type { HostTensor, Op } from '../op.js';
import type { Plan } from '../plan/plan.js';
import { sizeOf } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

export interface ReferenceOptions {
  /** Width that f32 values are computed and held in. */
  readonly precision?: 'f32' | 'f64';
  /** Evaluate fused ops through their decompositions instead of their own loops. */
  readonly decomposeFused?: boolean;
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

export function createReferenceDevice({ precision = 'f32', decomposeFused = false }: ReferenceOptions = {}): Device {
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
    run(inputs) {
      const live = new Map<number, HostTensor>();
      plan.inputs.forEach((value, i) =>
        live.set(value, { ...plan.values[value]!, data: (inputs[i] as HostBuffer).data }),
      );
      plan.steps.forEach(({ op, inputs: from, outputs: to, attributes }, i) => {
        const outputs = to.map((value) => ({ ...plan.values[value]!, data: allocate(plan.values[value]!) }));
        op.reference!({ inputs: from.map((value) => live.get(value)!), outputs, attributes });
        to.forEach((value, at) => live.set(value, outputs[at]!));
        for (const value of plan.arena.lastUses[i]!) live.delete(value);
      });
      for (const { input } of plan.donations) rootBytes -= (inputs[input] as HostBuffer).byteLength;
      arenaBytes = plan.arena.byteLength;
      const seen = new Set<number>(plan.inputs);
      const results = plan.outputs.map((value) => {
        const { data } = live.get(value)!;
        const owned = seen.has(value) ? data.slice() : data;
        seen.add(value);
        return hold(new HostBuffer(owned));
      });
      return Promise.resolve(results);
    },
  });

  return {
    name: `reference ${precision}`,
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
