/**
 * Writes safetensors as a stream of chunks, byte for byte as the reference implementation lays a file out: tensors by descending
 * dtype rank (see `dtype.ts`), then by name in UTF-8 byte order; compact JSON with dtype, shape, data_offsets; spaces up to a
 * multiple of 8. Metadata keys are sorted, so equal content gives equal bytes.
 *
 * Memory contract: the header is built at once; tensor data passes through as views of the caller's arrays. Only f32 data narrowed
 * to F16 or BF16 is converted, at most 1 Mi elements at a time. A `data` function is called when its turn comes, so a checkpoint
 * larger than memory can be written.
 *
 * Source: huggingface/safetensors `tensor.rs`, `prepare` and `serialize`.
 */
import { narrowToBf16, narrowToF16 } from '../numeric/half.js';
import {
  isSafetensorsDtype,
  type SafetensorsArray,
  type SafetensorsDtype,
  safetensorsDtypeNames,
  safetensorsDtypes,
  sizeOfShape,
} from './dtype.js';
import { quote, SafetensorsError, type SafetensorsErrorCode } from './errors.js';
import { LENGTH_BYTES, MAX_HEADER_BYTES, MAX_RANK, MAX_TENSORS, METADATA_KEY } from './header.js';

/**
 * One tensor to write. `data` holds its elements in row-major order: the array type of the dtype (F16 and BF16 codes as
 * `Uint16Array`), or a `Float32Array` for F16 and BF16 to be rounded to nearest even, or the raw bytes as `Uint8Array`; or a
 * function that gives one of these when the tensor's turn comes.
 */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: SafetensorsArray | (() => SafetensorsArray | Promise<SafetensorsArray>);
}

/** A file ready to be streamed. `chunks()` may be called again for another copy. */
export interface EncodedSafetensors {
  /** Bytes of the whole file. */
  readonly byteLength: number;
  /** The file in order. A chunk is only valid until the next is asked for. Rejects when a `data` function gives the wrong array. */
  chunks(): AsyncGenerator<Uint8Array, void>;
}

const CONVERSION_ELEMENTS = 2 ** 20;

type Narrow = (source: Float32Array, target: Uint16Array) => Uint16Array;
const narrowings: Partial<Record<SafetensorsDtype, Narrow>> = { F16: narrowToF16, BF16: narrowToBf16 };

/**
 * Checks every entry and lays the file out. Nothing is read from `data` functions yet.
 * @param metadata string notes for the header's `__metadata__`, such as { format: 'pt' }.
 * @param file name for error messages.
 * @throws SafetensorsError for a name, dtype, shape or array that cannot be written as declared.
 */
export function encodeSafetensors(
  entries: readonly SafetensorsEntry[],
  metadata: Readonly<Record<string, string>> = {},
  file = 'safetensors data',
): EncodedSafetensors {
  const fail = (code: SafetensorsErrorCode, problem: string, cure: string): SafetensorsError =>
    new SafetensorsError({ code, file, problem, cure });
  if (entries.length > MAX_TENSORS)
    throw fail('limit', `${entries.length} tensors, the limit is ${MAX_TENSORS}`, 'write several files');
  const sizes = new Map(entries.map((entry) => [entry.name, checkEntry(entry, file)]));
  if (sizes.size < entries.length)
    throw fail('name', 'two entries have the same name', 'give every tensor its own name');

  const ordered = entries.toSorted(compareEntries);
  const notes = Object.entries(metadata).toSorted(([a], [b]) => compareUtf8(a, b));
  for (const [key, value] of notes) {
    if (!isWritableText(key) || !isWritableText(value)) {
      throw fail('entry', `metadata entry ${quote(key)} is not text`, 'pass strings without unpaired surrogates');
    }
  }
  // Objects are joined by hand: a plain object would move integer-like names such as "0" to the front.
  const parts =
    notes.length > 0
      ? [`"${METADATA_KEY}":{${notes.map((note) => note.map((text) => JSON.stringify(text)).join(':')).join(',')}}`]
      : [];
  let offset = 0;
  for (const { name, dtype, shape } of ordered) {
    const end = offset + sizes.get(name)!;
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const head = headerBytes(`{${parts.join(',')}}`);
  if (head.length - LENGTH_BYTES > MAX_HEADER_BYTES) {
    throw fail(
      'limit',
      `the header would have ${head.length - LENGTH_BYTES} bytes, the limit is ${MAX_HEADER_BYTES}`,
      'write several files',
    );
  }
  const byteLength = head.length + offset;
  if (!Number.isSafeInteger(byteLength)) throw fail('limit', 'the file would pass 2^53 bytes', 'write several files');

  return {
    byteLength,
    async *chunks() {
      yield head;
      for (const entry of ordered) {
        const { data } = entry;
        if (typeof data === 'function') yield* tensorChunks(entry, checkData(entry, await data(), file));
        else yield* tensorChunks(entry, data);
      }
    },
  };
}

/** The whole file in one array, for small files and for browsers. @throws SafetensorsError as `encodeSafetensors`. */
export async function safetensorsBytes(
  entries: readonly SafetensorsEntry[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const encoded = encodeSafetensors(entries, metadata);
  const bytes = new Uint8Array(encoded.byteLength);
  let at = 0;
  for await (const chunk of encoded.chunks()) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function headerBytes(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(LENGTH_BYTES + padded).fill(0x20, LENGTH_BYTES + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

function* tensorChunks({ dtype }: SafetensorsEntry, data: SafetensorsArray): Generator<Uint8Array, void> {
  const narrow = narrowings[dtype];
  if (!narrow || !(data instanceof Float32Array)) {
    if (data.byteLength > 0) yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return;
  }
  const codes = new Uint16Array(Math.min(CONVERSION_ELEMENTS, data.length));
  for (let at = 0; at < data.length; at += CONVERSION_ELEMENTS) {
    const part = data.subarray(at, at + CONVERSION_ELEMENTS);
    narrow(part, codes);
    yield new Uint8Array(codes.buffer, 0, part.length * 2);
  }
}

/** The entry's bytes in the file, after its declaration and any array at hand have been checked. */
function checkEntry(entry: SafetensorsEntry, file: string): number {
  const { name, dtype, shape, data } = entry;
  const fail = (code: SafetensorsErrorCode, problem: string, cure: string): SafetensorsError =>
    new SafetensorsError({ code, file, tensor: String(name), problem, cure });
  if (!isWritableText(name) || name === METADATA_KEY) {
    throw fail('name', 'this name is reserved or not well-formed text', 'choose another name');
  }
  if (!isSafetensorsDtype(dtype))
    throw fail('dtype', `unknown dtype ${quote(String(dtype))}`, `use one of ${safetensorsDtypeNames.join(', ')}`);
  if (shape.length > MAX_RANK)
    throw fail('limit', `${shape.length} dimensions, the limit is ${MAX_RANK}`, 'reshape the tensor');
  const size = sizeOfShape(shape, dtype);
  if (!size)
    throw fail(
      'shape',
      `shape [${shape.join(', ')}] is not countable`,
      'pass non-negative integers with a product below 2^53',
    );
  if (typeof data !== 'function') checkData(entry, data, file);
  return size.byteLength;
}

/** `data` itself, when it holds exactly the declared elements. */
function checkData({ name, dtype, shape }: SafetensorsEntry, data: SafetensorsArray, file: string): SafetensorsArray {
  const { byteSize, arrayName } = safetensorsDtypes[dtype];
  const elements = shape.reduce((product, dimension) => product * dimension, 1);
  const fits =
    (data[Symbol.toStringTag] === arrayName && data.length === elements) ||
    (data instanceof Float32Array && narrowings[dtype] !== undefined && data.length === elements) ||
    (data instanceof Uint8Array && data.length === elements * byteSize);
  if (fits) return data;
  throw new SafetensorsError({
    code: 'entry',
    file,
    tensor: name,
    problem: `${dtype} [${shape.join(', ')}] was given a ${data[Symbol.toStringTag]} of ${data.length} elements`,
    cure: `pass a ${arrayName} of ${elements} elements, or a Uint8Array of the ${elements * byteSize} raw bytes`,
  });
}

/** Text that survives UTF-8 and is safe as an object key. */
const isWritableText = (text: unknown): text is string =>
  typeof text === 'string' && text.isWellFormed() && text !== '__proto__';

const rank = new Map(safetensorsDtypeNames.map((name, index) => [name, index]));

function compareEntries(a: SafetensorsEntry, b: SafetensorsEntry): number {
  return rank.get(b.dtype)! - rank.get(a.dtype)! || compareUtf8(a.name, b.name);
}

/** Order of the UTF-8 bytes, which is the order of code points; `<` on strings orders UTF-16 units, which differs past U+FFFF. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return orderKey(a.charCodeAt(i)) - orderKey(b.charCodeAt(i));
  }
  return a.length - b.length;
}

/** A UTF-16 unit's place in code-point order: surrogates (of points past U+FFFF) after all others. */
const orderKey = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
