/**
 * Element types.
 *
 * `f32` is the type that arithmetic happens in; the reference engine may carry it in 64 bits (see `reference/device.ts`).
 * `f16` and `bf16` are storage types: they hold weights and are cast before arithmetic. `bool` takes one byte, 0 or 1.
 */
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './numeric/half.js';
import { sizeOf } from './shape.js';

export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool';

/**
 * The typed arrays a host holds tensors in. `Float64Array` stands for f32 in 64 bits: what the f64 reference engine
 * computes with, and what a caller may give it; every other device rounds it when it is uploaded.
 */
export type HostArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

interface HostArrayConstructor {
  new (length: number): HostArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): HostArray;
}

interface DTypeInfo {
  readonly byteSize: number;
  readonly isFloat: boolean;
  readonly host: HostArrayConstructor;
  /** A number as the array stores it, and back. */
  readonly encode: (value: number) => number;
  readonly decode: (stored: number) => number;
}

const same = (value: number): number => value;
const truth = (value: number): number => (value !== 0 ? 1 : 0);

const dtypeTable: Readonly<Record<DType, DTypeInfo>> = {
  f32: { byteSize: 4, isFloat: true, host: Float32Array, encode: same, decode: same },
  f16: { byteSize: 2, isFloat: true, host: Uint16Array, encode: f32ToF16, decode: f16ToF32 },
  bf16: { byteSize: 2, isFloat: true, host: Uint16Array, encode: f32ToBf16, decode: bf16ToF32 },
  i32: { byteSize: 4, isFloat: false, host: Int32Array, encode: Math.trunc, decode: same },
  u32: { byteSize: 4, isFloat: false, host: Uint32Array, encode: Math.trunc, decode: same },
  bool: { byteSize: 1, isFloat: false, host: Uint8Array, encode: truth, decode: same },
};

/** Bytes of one element. */
export const byteSizeOf = (dtype: DType): number => dtypeTable[dtype].byteSize;

/** True for the types that gradients flow through. */
export const isFloat = (dtype: DType): boolean => dtypeTable[dtype].isFloat;

/** True for the types that ops compute with; `f16` and `bf16` only hold values, and their bits are no numbers. */
export const isArithmetic = (dtype: DType): boolean => dtype !== 'f16' && dtype !== 'bf16';

/** From a number to what a host array of `dtype` stores: towards zero for integers, nearest-even for f16 and bf16. */
export const encoderOf = (dtype: DType): ((value: number) => number) => dtypeTable[dtype].encode;

/** From what a host array of `dtype` stores to the number it means. */
export const decoderOf = (dtype: DType): ((stored: number) => number) => dtypeTable[dtype].decode;

/** A zeroed host array of `length` elements. */
export const allocateHost = (dtype: DType, length: number): HostArray => new dtypeTable[dtype].host(length);

/** A view of a tensor that lies in a larger buffer, such as a WebAssembly memory. */
export const hostView = (
  buffer: ArrayBufferLike,
  byteOffset: number,
  spec: { readonly shape: readonly number[]; readonly dtype: DType },
): HostArray => new dtypeTable[spec.dtype].host(buffer, byteOffset, sizeOf(spec.shape));

/** The dtype that a plain typed array stands for when none is named. */
export function dtypeOfArray(data: HostArray): DType {
  if (data instanceof Float32Array || data instanceof Float64Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint8Array) return 'bool';
  throw new TypeError(`${data.constructor.name} does not say its dtype: pass { dtype: 'f16' } or { dtype: 'bf16' }`);
}
