/**
 * How elements lie on the GPU: every element takes one 32-bit word, whatever its dtype.
 *
 *   f32, i32, u32   themselves
 *   bool            0 or 1
 *   f16, bf16       the 16-bit code in the low half
 *
 * WGSL has no 8-bit and, without an optional feature, no 16-bit storage. One word per element keeps every kernel free of
 * packing, at twice (f16, bf16) or four times (bool) the bytes.
 */
import { type DType, type HostArray, type TensorSpec, sizeOf } from '@mindseye/tensor-core';

export type WgslScalar = 'f32' | 'i32' | 'u32';

/** The WGSL type that elements of a dtype are computed in. */
export const wgslTypeOf = (dtype: DType): WgslScalar => (dtype === 'f32' || dtype === 'i32' ? dtype : 'u32');

/** Bytes of a value on the GPU. */
export const gpuBytesOf = ({ shape }: Pick<TensorSpec, 'shape'>): number => 4 * sizeOf(shape);

const narrow: Readonly<Record<DType, (bytes: ArrayBuffer) => HostArray>> = {
  f32: (bytes) => new Float32Array(bytes),
  i32: (bytes) => new Int32Array(bytes),
  u32: (bytes) => new Uint32Array(bytes),
  bool: (bytes) => Uint8Array.from(new Uint32Array(bytes)),
  f16: (bytes) => Uint16Array.from(new Uint32Array(bytes)),
  bf16: (bytes) => Uint16Array.from(new Uint32Array(bytes)),
};

/** The words of a host array: the array itself when it is made of words already. */
export function toWords(data: HostArray, dtype: DType): HostArray {
  if (data instanceof Float64Array) return Float32Array.from(data);
  return data.BYTES_PER_ELEMENT === 4
    ? data
    : wgslTypeOf(dtype) === 'f32'
      ? Float32Array.from(data)
      : Uint32Array.from(data);
}

/** The host array of words read back from the GPU. Takes `bytes` over. */
export const fromWords = (bytes: ArrayBuffer, dtype: DType): HostArray => narrow[dtype](bytes);
