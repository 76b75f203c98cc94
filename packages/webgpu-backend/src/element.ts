/**
 * How elements lie on the GPU: byte for byte as on the host, in 32-bit words, low bytes first.
 *
 *   f32, i32, u32   one in a word
 *   f16, bf16       two in a word, as 16-bit codes; the first in the low half
 *   bool            four in a word, a byte of 0 or 1 each
 *
 * So the byte offsets, shards and sizes of a plan are those of the GPU. WGSL has no 8-bit and, without an optional feature, no
 * 16-bit storage: kernels read such elements out of words, and who writes them owns whole words (`wgsl/map.ts`). A buffer
 * ends at a whole word; the bytes behind its last element mean nothing.
 */
import { type DType, type HostArray, type TensorSpec, byteSizeOf, hostView, sizeOf } from '@mindseye/tensor-core';

export const wordBytes = 4;

export type WgslScalar = 'f32' | 'i32' | 'u32';

/** The WGSL type that elements of a dtype are computed in; f16 and bf16 as codes, bool as 0 or 1. */
export const wgslTypeOf = (dtype: DType): WgslScalar => (dtype === 'f32' || dtype === 'i32' ? dtype : 'u32');

/** 1, 2 or 4. */
export const elementsPerWord = (dtype: DType): number => wordBytes / byteSizeOf(dtype);

/** Bytes of a value on the GPU, to the end of its last word. */
export const gpuBytesOf = ({ shape, dtype }: TensorSpec): number =>
  Math.ceil((sizeOf(shape) * byteSizeOf(dtype)) / wordBytes) * wordBytes;

/** The bytes of a host array; f32 given in 64 bits is rounded. */
export function toBytes(data: HostArray): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data instanceof Float64Array ? Float32Array.from(data) : data;
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** The host array of bytes read back from the GPU, which it takes over. */
export const fromBytes = (bytes: ArrayBuffer, spec: TensorSpec): HostArray => hostView(bytes, 0, spec);
