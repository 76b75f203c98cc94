/**
 * The element types of the safetensors format, in the order the reference implementation ranks them.
 *
 * That order is the file order: a writer stores tensors by descending rank, then by name, so that every tensor starts at a
 * multiple of its element size. f16, bf16 and 8-bit floats are handed over as their codes, unsigned integers of the same width.
 *
 * Source: huggingface/safetensors, `safetensors/src/tensor.rs`, enum Dtype. Its sub-byte and complex types are not read here.
 */
export type SafetensorsDtype =
  | 'BOOL'
  | 'U8'
  | 'I8'
  | 'F8_E5M2'
  | 'F8_E4M3'
  | 'F8_E8M0'
  | 'I16'
  | 'U16'
  | 'F16'
  | 'BF16'
  | 'I32'
  | 'U32'
  | 'F32'
  | 'F64'
  | 'I64'
  | 'U64';

/** The typed arrays that hold the elements of a safetensors tensor. */
export type SafetensorsArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

export interface SafetensorsDtypeInfo {
  readonly byteSize: number;
  /** Name of the typed array that holds the elements. */
  readonly arrayName: string;
  /** The elements on existing memory; `byteOffset` must be a multiple of `byteSize`. */
  readonly view: (buffer: ArrayBuffer, byteOffset: number, length: number) => SafetensorsArray;
}

const bytes: SafetensorsDtypeInfo = {
  byteSize: 1,
  arrayName: 'Uint8Array',
  view: (b, o, n) => new Uint8Array(b, o, n),
};
const words16: SafetensorsDtypeInfo = {
  byteSize: 2,
  arrayName: 'Uint16Array',
  view: (b, o, n) => new Uint16Array(b, o, n),
};

export const safetensorsDtypes: Readonly<Record<SafetensorsDtype, SafetensorsDtypeInfo>> = {
  BOOL: bytes,
  U8: bytes,
  I8: { byteSize: 1, arrayName: 'Int8Array', view: (b, o, n) => new Int8Array(b, o, n) },
  F8_E5M2: bytes,
  F8_E4M3: bytes,
  F8_E8M0: bytes,
  I16: { byteSize: 2, arrayName: 'Int16Array', view: (b, o, n) => new Int16Array(b, o, n) },
  U16: words16,
  F16: words16,
  BF16: words16,
  I32: { byteSize: 4, arrayName: 'Int32Array', view: (b, o, n) => new Int32Array(b, o, n) },
  U32: { byteSize: 4, arrayName: 'Uint32Array', view: (b, o, n) => new Uint32Array(b, o, n) },
  F32: { byteSize: 4, arrayName: 'Float32Array', view: (b, o, n) => new Float32Array(b, o, n) },
  F64: { byteSize: 8, arrayName: 'Float64Array', view: (b, o, n) => new Float64Array(b, o, n) },
  I64: { byteSize: 8, arrayName: 'BigInt64Array', view: (b, o, n) => new BigInt64Array(b, o, n) },
  U64: { byteSize: 8, arrayName: 'BigUint64Array', view: (b, o, n) => new BigUint64Array(b, o, n) },
};

/** Dtype names, lowest rank first. */
export const safetensorsDtypeNames: readonly SafetensorsDtype[] = Object.keys(safetensorsDtypes) as SafetensorsDtype[];

/** True when `name` is a dtype of the table (and not, say, "constructor"). */
export const isSafetensorsDtype = (name: string): name is SafetensorsDtype => Object.hasOwn(safetensorsDtypes, name);

/**
 * Elements and bytes of a shape.
 * @returns undefined when a dimension is not a non-negative integer, or the byte count passes 2^53 - 1.
 */
export function sizeOfShape(
  shape: readonly number[],
  dtype: SafetensorsDtype,
): { elements: number; byteLength: number } | undefined {
  let elements = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) return undefined;
    elements *= dimension;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const byteLength = elements * safetensorsDtypes[dtype].byteSize;
  return Number.isSafeInteger(byteLength) ? { elements, byteLength } : undefined;
}
