/** `receive`: a tensor whose elements are written straight into the memory of its device. */
import type { Device } from '../device.js';
import { type HostArray, allocateHost } from '../dtype.js';
import { sizeOf } from '../shape.js';
import { Tensor, type TensorSpec } from '../tensor.js';
import { bufferOn, materialize } from './roots.js';

/**
 * A tensor on `device`, filled by the caller: a file is read to where kernels will read it, without a copy between.
 *
 * @param fill writes all elements, in row-major order and as the dtype stores them, into the array it is given, and keeps no
 *   hold of it. That is the device's memory where the device can show it, and else host memory, which is uploaded.
 * @returns the tensor, once `fill` has resolved; where it rejects, nothing is kept.
 */
export async function receive(
  device: Device,
  { shape, dtype }: TensorSpec,
  fill: (data: HostArray) => Promise<void>,
): Promise<Tensor> {
  const mapped = device.map?.({ shape, dtype });
  if (!mapped) {
    const data = allocateHost(dtype, sizeOf(shape));
    await fill(data);
    const tensor = new Tensor(shape, dtype, undefined, { kind: 'host', data });
    bufferOn(tensor, device);
    return tensor;
  }
  try {
    await fill(mapped.data);
  } catch (error) {
    device.release(mapped.buffer);
    throw error;
  }
  const tensor = new Tensor(shape, dtype);
  materialize(tensor, device, mapped.buffer);
  return tensor;
}
