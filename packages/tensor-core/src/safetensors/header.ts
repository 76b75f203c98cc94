/**
 * The header of a safetensors file, checked before anything is allocated for the data.
 *
 *   bytes 0 … 7        N, header length, unsigned 64-bit little-endian
 *   bytes 8 … 8+N-1    UTF-8 JSON: { "__metadata__"?: { string: string }, name: { dtype, shape, data_offsets: [begin, end] }, … },
 *                      padded with spaces
 *   bytes 8+N …        data; begin and end count from here
 *
 * A header is accepted only when the tensors cover the data exactly, each byte once, and every length agrees with its shape and
 * dtype. So a reader may trust every offset afterwards. The header costs memory in proportion to itself: it is at most 100 MB, lies
 * within the file, and has bounded tensors, rank, nesting and number of values.
 *
 * Source: huggingface/safetensors README "Format" and `tensor.rs` (`SafeTensors::read_metadata`, `Metadata::validate`).
 */
import { isSafetensorsDtype, type SafetensorsDtype, safetensorsDtypeNames, sizeOfShape } from './dtype.js';
import { quote, SafetensorsError, type SafetensorsErrorCode } from './errors.js';
import { type JsonValue, parseStrictJson, StrictJsonError, type StrictJsonFault } from './strict-json.js';

/** Bytes of the length field before the header. */
export const LENGTH_BYTES = 8;
/** Longest header, the reference implementation's limit. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Most tensors in one file; the largest published checkpoints have under 100,000 over all their shards. */
export const MAX_TENSORS = 262_144;
/** Most dimensions of one tensor. */
export const MAX_RANK = 32;
export const METADATA_KEY = '__metadata__';

const JSON_LIMITS = { maxDepth: 8, maxValues: 16 * MAX_TENSORS };

/** What the header says of one tensor. */
export interface TensorInfo {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** First byte of the data, counted from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** Tensors by name, in header order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The file's own notes, such as { format: 'pt' }. */
  readonly metadata: ReadonlyMap<string, string>;
  /** First byte after the header. */
  readonly dataOffset: number;
}

const DAMAGED = 'the file is damaged or unfinished: download or write it again';
const MALFORMED = 'the file is damaged or is not safetensors: get it again from its source';

type Fail = (code: SafetensorsErrorCode, problem: string, cure?: string) => SafetensorsError;

const failFor =
  (file: string, tensor?: string): Fail =>
  (code, problem, cure = MALFORMED) =>
    new SafetensorsError({ code, file, problem, cure, ...(tensor === undefined ? {} : { tensor }) });

/**
 * Length of the header, from the first eight bytes of the file.
 * @param fileSize bytes of the whole file.
 * @throws SafetensorsError when the length does not fit the file or passes 100 MB.
 */
export function safetensorsHeaderLength(prefix: Uint8Array, fileSize: number, file: string): number {
  const fail = failFor(file);
  if (prefix.length < LENGTH_BYTES || fileSize < LENGTH_BYTES) {
    throw fail(
      'truncated',
      `the file has ${Math.min(prefix.length, fileSize)} bytes, a header needs at least ${LENGTH_BYTES}`,
      DAMAGED,
    );
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw fail('limit', `the header claims ${length} bytes, the limit is ${MAX_HEADER_BYTES}`);
  if (Number(length) > fileSize - LENGTH_BYTES) {
    throw fail(
      'truncated',
      `the header claims ${length} bytes, the file has ${fileSize - LENGTH_BYTES} after its length`,
      DAMAGED,
    );
  }
  return Number(length);
}

/**
 * Parses and checks a header.
 * @param bytes the start of the file, at least through the end of the header.
 * @param fileSize bytes of the whole file.
 * @param file name for error messages.
 * @throws SafetensorsError for any header that is not wholly right.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileSize: number,
  file = 'safetensors data',
): SafetensorsHeader {
  const fail = failFor(file);
  const length = safetensorsHeaderLength(bytes, fileSize, file);
  const dataOffset = LENGTH_BYTES + length;
  if (bytes.length < dataOffset)
    throw fail('truncated', `the header has ${length} bytes, only ${bytes.length - LENGTH_BYTES} were given`, DAMAGED);

  const root = parseObject(bytes.subarray(LENGTH_BYTES, dataOffset), fail);
  const tensors = new Map<string, TensorInfo>();
  if (root.size > MAX_TENSORS) throw fail('limit', `${root.size} tensors, the limit is ${MAX_TENSORS}`);
  for (const [name, value] of root) {
    if (name !== METADATA_KEY) tensors.set(name, parseTensor(value, dataOffset, fileSize, failFor(file, name)));
  }
  checkCoverage(tensors, dataOffset, fileSize, file);
  return { tensors, metadata: parseMetadata(root.get(METADATA_KEY), fail), dataOffset };
}

const codeOfFault: Readonly<Record<StrictJsonFault, SafetensorsErrorCode>> = {
  syntax: 'header',
  key: 'name',
  limit: 'limit',
};

function parseObject(bytes: Uint8Array, fail: Fail): ReadonlyMap<string, JsonValue> {
  if (bytes[0] !== 0x7b) throw fail('header', 'the header does not start with "{"');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw fail('header', 'the header is not valid UTF-8');
  }
  try {
    return parseStrictJson(text, JSON_LIMITS) as ReadonlyMap<string, JsonValue>; // starts with "{", so it is an object
  } catch (error) {
    if (error instanceof StrictJsonError)
      throw fail(codeOfFault[error.fault], `the header's JSON has ${error.message}`);
    throw error;
  }
}

function parseMetadata(value: JsonValue | undefined, fail: Fail): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined || value === null) return metadata;
  if (!(value instanceof Map)) throw fail('header', `${METADATA_KEY} is not an object`);
  for (const [key, entry] of value as ReadonlyMap<string, JsonValue>) {
    if (typeof entry !== 'string') throw fail('header', `${METADATA_KEY} entry ${quote(key)} is not a string`);
    metadata.set(key, entry);
  }
  return metadata;
}

function parseTensor(value: JsonValue, dataOffset: number, fileSize: number, fail: Fail): TensorInfo {
  if (!(value instanceof Map)) throw fail('header', 'its entry is not an object');
  const entry = value as ReadonlyMap<string, JsonValue>;
  const dtype = entry.get('dtype');
  if (typeof dtype !== 'string') throw fail('dtype', 'its dtype is missing or not a string');
  if (!isSafetensorsDtype(dtype)) {
    throw fail(
      'dtype',
      `unknown dtype ${quote(dtype)}`,
      `convert the tensor to one of ${safetensorsDtypeNames.join(', ')}`,
    );
  }
  const shape = parseIntegers(entry.get('shape'), 'shape', fail);
  if (shape.length > MAX_RANK) throw fail('limit', `${shape.length} dimensions, the limit is ${MAX_RANK}`);
  const size = sizeOfShape(shape, dtype);
  if (!size) throw fail('shape', `${dtype} [${shape.join(', ')}] has more than 2^53 bytes`);

  const offsets = parseIntegers(entry.get('data_offsets'), 'data_offsets', fail);
  const [begin, end] = offsets;
  if (offsets.length !== 2 || begin === undefined || end === undefined || begin > end) {
    throw fail(
      'offsets',
      `data_offsets has to be [begin, end] with begin ≤ end, found ${offsets.length === 2 ? `[${begin}, ${end}]` : `${offsets.length} numbers`}`,
    );
  }
  const dataSize = fileSize - dataOffset;
  if (end > dataSize)
    throw fail('truncated', `data_offsets [${begin}, ${end}] pass the file's ${dataSize} bytes of data`, DAMAGED);
  if (end - begin !== size.byteLength) {
    throw fail(
      'shape',
      `data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ${dtype} [${shape.join(', ')}] needs ${size.byteLength}`,
    );
  }
  return Object.freeze({
    dtype,
    shape: Object.freeze(shape),
    byteOffset: dataOffset + begin,
    byteLength: size.byteLength,
  });
}

function parseIntegers(value: JsonValue | undefined, field: string, fail: Fail): number[] {
  const code = field === 'shape' ? 'shape' : 'offsets';
  if (!Array.isArray(value)) throw fail(code, `its ${field} is missing or not an array`);
  return (value as readonly JsonValue[]).map((entry) => {
    if (typeof entry !== 'number' || !Number.isSafeInteger(entry) || entry < 0 || Object.is(entry, -0)) {
      throw fail(
        code,
        `its ${field} holds ${entry instanceof Object ? 'an object or array' : quote(String(entry))}, not an integer from 0 to 2^53 - 1`,
      );
    }
    return entry;
  });
}

/** Every byte of the data belongs to exactly one tensor. */
function checkCoverage(
  tensors: ReadonlyMap<string, TensorInfo>,
  dataOffset: number,
  fileSize: number,
  file: string,
): void {
  const inFileOrder = [...tensors].toSorted(
    ([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  let covered = dataOffset;
  for (const [name, { byteOffset, byteLength }] of inFileOrder) {
    if (byteOffset !== covered) {
      const how = byteOffset < covered ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw failFor(file, name)(
        'offsets',
        `its data starts at ${byteOffset - dataOffset}, which ${how} (expected ${covered - dataOffset})`,
      );
    }
    covered += byteLength;
  }
  if (covered !== fileSize) {
    throw failFor(file)(
      'offsets',
      `the tensors cover ${covered - dataOffset} bytes of data, the file has ${fileSize - dataOffset}`,
      DAMAGED,
    );
  }
}
