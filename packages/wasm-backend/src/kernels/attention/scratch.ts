/**
 * Scratch of attention: the record, programs and tile map of the call, then a slot for each part that may run beside others, and
 * backward the sums of the units where they are not summed in place. Everything grows with queries and keys, nothing with their
 * product but the tile map, a byte for 16384 pairs.
 */
import { F32_BYTES } from '../host.js';
import type { StoredMatrix } from '../matmul/row-products.js';
import { ROW_NUMBERS_BYTES } from './backward-scratch.js';
import {
  type AttentionSizes,
  BLOCK_KEYS,
  PANEL_QUERIES,
  TILE_KEYS,
  TILE_QUERIES,
  chunksOf,
  rowGroupsOf,
} from './blocks.js';
import { PARTIALS_BYTES } from './few-scores.js';
import { paddedRowBytes } from './gather.js';
import { type MaskSizes, programBytes } from './mask.js';
import { QUERY_NUMBER_BYTES, SLOT_BYTES } from './mask-tiles.js';
import { panelBytes } from './panel-steps.js';
import { PANEL_ROWS } from './panels.js';
import { type Field, RECORD_BYTES } from './record.js';

export type Direction = 'forward' | 'backward';

export interface ScratchSizes extends AttentionSizes {
  readonly storage: StoredMatrix;
  readonly mask?: MaskSizes | undefined;
}

const ALIGNMENT = 64;
const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Places of consecutive areas, and where the last ends. */
function consecutive<Name extends string>(
  areas: Readonly<Record<Name, number>>,
): {
  readonly places: Readonly<Record<Name, number>>;
  readonly bytes: number;
} {
  let bytes = 0;
  const places = Object.entries<number>(areas).map(([name, size]) => {
    const at = bytes;
    bytes += align(size);
    return [name, at] as const;
  });
  return { places: Object.fromEntries(places) as Record<Name, number>, bytes };
}

const tileCounts = ({ queries, keys }: Pick<AttentionSizes, 'queries' | 'keys'>): readonly [number, number] => [
  Math.ceil(queries / TILE_QUERIES),
  Math.ceil(keys / TILE_KEYS),
];

/** Bytes of the tile map. */
export function tileBytes(sizes: Pick<AttentionSizes, 'queries' | 'keys'>, { entries }: MaskSizes): number {
  const [ofQueries, ofKeys] = tileCounts(sizes);
  return entries * ofQueries * ofKeys;
}

/** Places in a slot; those that a call has no use for are 0 bytes wide. */
function slotOf(
  direction: Direction,
  sizes: ScratchSizes,
): { readonly places: Readonly<Partial<Record<Field, number>>>; readonly bytes: number } {
  const { width, storage, mask } = sizes;
  const isForward = direction === 'forward';
  const rows = Math.min(rowGroupsOf(sizes).rows, isForward ? TILE_QUERIES : PANEL_ROWS);
  const keys = Math.min(sizes.keys, isForward ? BLOCK_KEYS : TILE_KEYS);
  const panels = Math.ceil(rows / PANEL_QUERIES);
  const staged = storage === 'f32' ? 0 : keys * width * F32_BYTES;
  const panelColumns = panels * PANEL_QUERIES * F32_BYTES;
  const ofMask = {
    mask: mask ? (isForward ? keys * PANEL_QUERIES * F32_BYTES : TILE_KEYS * panelColumns) : 0,
    stack: mask ? Math.max(0, mask.depth - 1) * SLOT_BYTES : 0,
    numbers: mask ? mask.instructions * QUERY_NUMBER_BYTES : 0,
  };
  const shared = { stagedK: staged, stagedV: staged, ...ofMask };
  if (isForward)
    return consecutive({
      ...shared,
      scores: keys * PANEL_QUERIES * F32_BYTES,
      partials: PARTIALS_BYTES,
      panels: panels * panelBytes(width),
    });
  const scores = keys * PANEL_ROWS * F32_BYTES;
  const rowPanels = PANEL_ROWS * paddedRowBytes(width);
  return consecutive({
    ...shared,
    scores,
    gradients: scores,
    panels: width * panelColumns,
    flowPanels: width * panelColumns,
    sumPanels: width * panelColumns,
    queryRows: rowPanels,
    flowRows: rowPanels,
    rowNumbers: ROW_NUMBERS_BYTES,
  });
}

/** Where the gradients of keys and values are summed. */
export interface SumPlan {
  /** Units of a key head. */
  readonly chunks: number;
  readonly groupsPerChunk: number;
  /** Whether units sum in the results themselves. */
  readonly inPlace: boolean;
  /** Bytes of the sums of one unit, of keys or of values, where they are beside the results. */
  readonly bytes: number;
}

export function sumPlanOf(sizes: ScratchSizes): SumPlan {
  const { chunks, groupsPerChunk } = chunksOf(sizes);
  const inPlace = chunks === 1 && sizes.storage === 'f32' && paddedRowBytes(sizes.width) === sizes.width * F32_BYTES;
  return { chunks, groupsPerChunk, inPlace, bytes: sizes.keys * paddedRowBytes(sizes.width) };
}

/** Units that are computed apart from each other. */
export function unitsOf(direction: Direction, sizes: AttentionSizes): number {
  const { rows, groups } = rowGroupsOf(sizes);
  const ofKeyHead = direction === 'forward' ? groups * Math.ceil(rows / TILE_QUERIES) : chunksOf(sizes).chunks;
  return sizes.batch * sizes.keyHeads * ofKeyHead;
}

/** More slots than threads, so that a thread that is slow or late gets fewer units. */
const SLOTS_PER_THREAD = 4;

export interface ScratchPlan {
  readonly record: number;
  readonly programs: number;
  readonly tiles: number;
  readonly slots: number;
  readonly slotCount: number;
  readonly slotBytes: number;
  readonly slotPlaces: Readonly<Partial<Record<Field, number>>>;
  /** Sums of the units: of keys, then of values. */
  readonly sums: number;
  /** All of it. */
  readonly bytes: number;
}

/** Offsets from the start of scratch. */
export function scratchPlan(direction: Direction, sizes: ScratchSizes, threads: number): ScratchPlan {
  const { mask } = sizes;
  const units = unitsOf(direction, sizes);
  const slotCount = threads === 1 ? Math.min(units, 1) : Math.min(units, SLOTS_PER_THREAD * threads);
  const slot = slotOf(direction, sizes);
  const sumPlan = direction === 'backward' ? sumPlanOf(sizes) : undefined;
  const sums = sumPlan && !sumPlan.inPlace ? 2 * units * sumPlan.bytes : 0;
  const { places, bytes } = consecutive({
    record: RECORD_BYTES,
    programs: mask ? programBytes(mask) : 0,
    tiles: mask ? tileBytes(sizes, mask) : 0,
    slots: slotCount * slot.bytes,
    sums,
  });
  return { ...places, slotCount, slotBytes: slot.bytes, slotPlaces: slot.places, bytes };
}
