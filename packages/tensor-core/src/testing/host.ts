/**
 * Values outside any engine: plain arrays with a shape. Checks generate and compare these, because a `Tensor` belongs to
 * the first device that uses it. `toTensor` gives a fresh handle each time.
 */
import type { Device } from '../device.js';
import { type DType, type HostArray, allocateHost } from '../dtype.js';
import type { HostTensor, Op } from '../op.js';
import { sizeOf } from '../shape.js';
import { type Tensor, tensor } from '../tensor.js';

/** A new tensor with a copy of the value. */
export const toTensor = ({ data, shape, dtype }: HostTensor): Tensor => tensor(data.slice(), shape, { dtype });

/** The value of a tensor, computed on `device` if it is still lazy. */
export async function readBack(value: Tensor, device?: Device): Promise<HostTensor> {
  return { shape: value.shape, dtype: value.dtype, data: await value.data(device) };
}

/** The array for `size` elements of `dtype`, f32 in the given precision. */
const allocate = (dtype: DType, size: number, precision: 'f32' | 'f64'): HostArray =>
  dtype === 'f32' && precision === 'f64' ? new Float64Array(size) : allocateHost(dtype, size);

/** What the op's own reference loops make of the inputs, without a device or a graph. */
export function runReference(
  op: Op,
  inputs: readonly HostTensor[],
  attributes: object,
  precision: 'f32' | 'f64' = 'f32',
): HostTensor[] {
  if (!op.reference) throw new TypeError(`${op.name} has no reference loops: evaluate its decomposition instead`);
  const outputs = op
    .infer(inputs, attributes)
    .map(({ shape, dtype }) => ({ shape, dtype, data: allocate(dtype, sizeOf(shape), precision) }));
  op.reference({ inputs, outputs, attributes });
  return outputs;
}

/** The same value with f32 held in 64 bits, as gradient checks need it. */
export const widen = (value: HostTensor): HostTensor =>
  value.dtype === 'f32' ? { ...value, data: Float64Array.from(value.data) } : value;
