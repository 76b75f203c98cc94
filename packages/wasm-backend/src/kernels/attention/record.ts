/**
 * What every part of one attention reads: a record of 32-bit words in scratch, so that a part is called with four arguments.
 * Pointers and strides are in bytes; places within a slot are offsets from the slot that the part works in.
 */
import { f32, i32 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../../emit/index.js';

const FIELDS = [
  // Operands, and bytes from row to row.
  'q',
  'k',
  'v',
  'y',
  'lse',
  'dy',
  'dq',
  'dk',
  'dv',
  'strideQ',
  'strideK',
  'strideY',
  /** Bytes between rows of the sums of dk and dv, between those of two key heads, and of two chunks of query heads. */
  'strideSums',
  'bytesSums',
  'bytesChunk',
  // Sizes.
  'queries',
  'keys',
  'width',
  'keyHeads',
  /** Rows of queries that follow each other and see the same keys but for the mask: of one head, or of all of a group. */
  'rows',
  /** Such row groups of a key head. */
  'groups',
  /** Blocks of a row group. */
  'blocks',
  /** Row groups whose gradients are summed together, and how many times that makes a key head. */
  'groupsPerChunk',
  'chunks',
  'scale',
  /** Code of how k and v are stored. */
  'storage',
  // Mask; programs is 0 without one.
  'programs',
  'programBytes',
  /** Bytes from the program of an entry to that of the next; 0 where all share one. */
  'entryPrograms',
  'tiles',
  'keyTiles',
  'entryTiles',
  // Places in a slot.
  'stagedK',
  'stagedV',
  'scores',
  'partials',
  'gradients',
  'mask',
  'stack',
  'numbers',
  'panels',
  'flowPanels',
  'sumPanels',
  'queryRows',
  'flowRows',
  'rowNumbers',
] as const;

export type Field = (typeof FIELDS)[number];

const WORD_BYTES = 4;
const placeOf = new Map(FIELDS.map((field, i) => [field, i * WORD_BYTES] as const));

export const RECORD_BYTES: number = Math.ceil((FIELDS.length * WORD_BYTES) / 64) * 64;

/** Writes a record at byte offset `at`. Fields that are left out are 0. */
export function writeRecord(
  memory: WebAssembly.Memory,
  at: number,
  values: Readonly<Partial<Record<Field, number>>>,
): void {
  const view = new DataView(memory.buffer, at, RECORD_BYTES);
  for (const [field, place] of placeOf) {
    if (field === 'scale') view.setFloat32(place, values.scale ?? 0, true);
    else view.setInt32(place, values[field] ?? 0, true);
  }
}

/** Reads fields of a record into variables, each set here. */
export function readRecord<Name extends Exclude<Field, 'scale'>>(
  f: FunctionBuilder,
  record: Local<'i32'>,
  ...names: readonly Name[]
): Readonly<Record<Name, Local<'i32'>>> {
  const entries = names.map((name) => [name, f.let(name, i32.load(record, placeOf.get(name)!))] as const);
  return Object.fromEntries(entries) as Record<Name, Local<'i32'>>;
}

/** Places within a slot as addresses. */
export function readPlaces<Name extends Exclude<Field, 'scale'>>(
  f: FunctionBuilder,
  record: Local<'i32'>,
  slot: Local<'i32'>,
  ...names: readonly Name[]
): Readonly<Record<Name, Local<'i32'>>> {
  const places = readRecord(f, record, ...names);
  for (const name of names) f.set(places[name], i32.add(places[name], slot));
  return places;
}

/** Address of the scale. */
export const scalePlace = (record: Local<'i32'>): Expression<'i32'> => i32.add(record, placeOf.get('scale')!);

export const readScale = (f: FunctionBuilder, record: Local<'i32'>): Local<'f32'> =>
  f.let('scale', f32.load(record, placeOf.get('scale')!));
