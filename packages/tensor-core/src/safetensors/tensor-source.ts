import type { SafetensorsArray, SafetensorsDtype } from './dtype.js';
import type { TensorInfo } from './header.js';

/** One tensor in memory, as it is in the file: F16, BF16 and 8-bit floats as their codes. */
export interface SafetensorsTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Elements in row-major order. */
  readonly data: SafetensorsArray;
}

/**
 * Named tensors that are read when asked for: one safetensors file, or a sharded checkpoint.
 * Every method throws or rejects with `SafetensorsError`, which names the file and the tensor.
 */
export interface TensorSource {
  /** Tensor names, in file order. */
  names(): string[];
  has(name: string): boolean;
  /** Dtype, shape and place of a tensor, without reading it. */
  info(name: string): TensorInfo;
  /** The tensor in its own dtype, in fresh memory. */
  read(name: string): Promise<SafetensorsTensor>;
  /** The raw bytes of the tensor into the caller's memory; `target.length` has to be its `byteLength`. */
  readBytesInto(name: string, target: Uint8Array): Promise<void>;
  /** `target.length` bytes of the tensor from its byte `from`: how a tensor larger than memory is read window by window. */
  readRangeInto(name: string, from: number, target: Uint8Array): Promise<void>;
  /** F32, F16, BF16 or F64 as f32 (F64 rounded to nearest), in fresh memory. */
  readFloat32(name: string): Promise<Float32Array>;
  /** As `readFloat32` into the caller's memory; `target.length` has to be the number of elements. */
  readFloat32Into(name: string, target: Float32Array): Promise<void>;
  /** Closes the files beneath. Reads after that reject. */
  close(): Promise<void>;
}
