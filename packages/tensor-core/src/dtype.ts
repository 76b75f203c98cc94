/**
 * Element types.
 *
 * `f32` is the type that arithmetic happens in; the reference engine may carry it in 64 bits (see `reference/engine.ts`).
 * `f16` and `bf16` are storage types: they hold weights and are cast before arithmetic. `bool` takes one byte, 0 or 1.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'bool';

/** The typed arrays a host holds tensors in. `Float64Array` only ever appears inside the f64 reference engine. */
export type HostArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

interface DTypeInfo {
  readonly byteSize: number;
  readonly isFloat: boolean;
  readonly allocate: (length: number) => HostArray;
}

const dtypeTable: Readonly<Record<DType, DTypeInfo>> = {
  f32: { byteSize: 4, isFloat: true, allocate: (length) => new Float32Array(length) },
  f16: { byteSize: 2, isFloat: true, allocate: (length) => new Uint16Array(length) },
  bf16: { byteSize: 2, isFloat: true, allocate: (length) => new Uint16Array(length) },
  i32: { byteSize: 4, isFloat: false, allocate: (length) => new Int32Array(length) },
  u32: { byteSize: 4, isFloat: false, allocate: (length) => new Uint32Array(length) },
  bool: { byteSize: 1, isFloat: false, allocate: (length) => new Uint8Array(length) },
};

/** Bytes of one element. */
export const byteSizeOf = (dtype: DType): number => dtypeTable[dtype].byteSize;

/** True for the types that gradients flow through. */
export const isFloat = (dtype: DType): boolean => dtypeTable[dtype].isFloat;

/** A zeroed host array of `length` elements. */
export const allocateHost = (dtype: DType, length: number): HostArray => dtypeTable[dtype].allocate(length);

/** The dtype that a plain typed array stands for when none is named. */
export function dtypeOfArray(data: HostArray): DType {
  if (data instanceof Float32Array || data instanceof Float64Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint8Array) return 'bool';
  throw new TypeError(`${data.constructor.name} does not say its dtype: pass { dtype: 'f16' } or { dtype: 'bf16' }`);
}
