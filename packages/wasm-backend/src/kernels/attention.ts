/**
 * Scaled dot-product attention (Vaswani et al. 2017) with grouped queries and a mask, forward and backward.
 *
 *   P = softmax over allowed keys of (scale q k^T),   y = P v,   lse = log sum over allowed keys of e^(scale q k)
 *
 * q [batch, keyHeads, group, queries, width], k and v [batch, keyHeads, keys, width] in f32, f16 or bf16, y as q, lse [batch,
 * keyHeads, group, queries]. Rows may be further apart than they are long, all by the same stride, so that a head can be a slice
 * of wider rows. A query that sees no key gets y = 0, lse = +Infinity and gradients 0.
 *
 * Only the scores of a few queries against a few hundred keys exist at a time (attention/forward.ts, attention/backward.ts), and
 * the mask only where a tile of its map is partial (attention/mask.ts). Keys of tiles that nobody sees are not read.
 *
 * Every element is computed by one thread in one order, which depends on the sizes and the mask alone: results have the same bits
 * for any number of threads, and in all tiers that fuse.
 */
import { BACKWARD, emitBackward } from './attention/backward.js';
import { PANEL_QUERIES, TILE_KEYS, TILE_QUERIES, rowGroupsOf } from './attention/blocks.js';
import { FORWARD, emitForward } from './attention/forward.js';
import { GATHERED, emitGather, gatherName, paddedRowBytes } from './attention/gather.js';
import {
  type AttentionMask,
  INSTRUCTION_BYTES,
  type MaskSizes,
  encodePrograms,
  programBytes,
} from './attention/mask.js';
import { fewRowsForm, transposedForm } from './attention/panel-forms.js';
import { emitPanelFunctions, emitSharedFunctions } from './attention/panel-functions.js';
import { PANEL_ROWS } from './attention/panels.js';
import { writeRecord } from './attention/record.js';
import {
  type Direction,
  type ScratchPlan,
  type ScratchSizes,
  scratchPlan,
  sumPlanOf,
  tileBytes,
  unitsOf,
} from './attention/scratch.js';
import { STORAGE_CODE, storedBytes } from './attention/staging.js';
import { shareUnits } from './attention/units.js';
import { F32_BYTES } from './host.js';
import type { ExportedKernel, KernelContext, KernelHost } from './host.js';
import type { StoredMatrix } from './matmul/row-products.js';

export { TILE_KEYS, TILE_QUERIES } from './attention/blocks.js';
export type { AttentionMask, MaskComparison, MaskInstruction, MaskSide, MaskSizes } from './attention/mask.js';
export { TABLE_WORD_BITS } from './attention/mask.js';
export type { Direction as AttentionDirection } from './attention/scratch.js';

/** What scratch depends on, in elements. */
export interface AttentionSizes {
  /** 1 when left out. */
  readonly batch?: number;
  /** 1 when left out. */
  readonly keyHeads?: number;
  /** Query heads that share a key head; 1 when left out. */
  readonly group?: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  /** How k and v are stored; default f32. */
  readonly storage?: StoredMatrix;
  readonly mask?: MaskSizes | undefined;
}

/** Offsets in bytes, sizes and strides in elements. */
export interface AttentionArguments extends AttentionSizes {
  readonly q: number;
  readonly k: number;
  readonly v: number;
  /** Written forward, read backward. */
  readonly y: number;
  /** Written forward, read backward. */
  readonly lse: number;
  readonly scale: number;
  /** Left out: every query sees every key. */
  readonly mask?: AttentionMask | undefined;
  /** `attentionScratchBytes` of these sizes. */
  readonly scratch: number;
  /** Elements between rows of q and dq; default width. */
  readonly rowStrideQ?: number;
  /** Elements between rows of k, v, dk and dv; default width. Those of f16 and bf16 are dense. */
  readonly rowStrideK?: number;
  /** Elements between rows of y and dy; default width. */
  readonly rowStrideY?: number;
}

export interface AttentionBackwardArguments extends AttentionArguments {
  readonly dy: number;
  /** As q, written. */
  readonly dq: number;
  /** As k and of its dtype, written. */
  readonly dk: number;
  /** As v and of its dtype, written. */
  readonly dv: number;
}

export interface AttentionKernels {
  attention(operands: AttentionArguments): void;
  /** Scratch bytes of one direction, or of either when it is left out. */
  attentionScratchBytes(sizes: AttentionSizes, direction?: Direction): number;
}

export interface AttentionBackwardKernels {
  attentionBackward(operands: AttentionBackwardArguments): void;
}

/** Numbers that are gathered in some 20 microseconds. */
const GATHERED_PER_PART = 60_000;

/** Emits the forward functions. */
export function emitAttention(context: KernelContext): void {
  const shared = emitSharedFunctions(context);
  const [narrow, wide] = [emitPanelFunctions(context, 8), emitPanelFunctions(context, PANEL_QUERIES)];
  emitForward(
    context,
    [fewRowsForm(context, shared), transposedForm(context, narrow), transposedForm(context, wide)],
    shared,
  );
}

/** Emits the backward functions, a module of their own: whoever only answers never compiles them. */
export function emitAttentionBackward(context: KernelContext): void {
  const shared = emitSharedFunctions(context);
  emitBackward(context, emitPanelFunctions(context, PANEL_QUERIES), shared);
  emitGather(context);
}

/** Runs all units of one direction. */
function runUnits(host: KernelHost, kernel: ExportedKernel, direction: Direction, operands: Operands): ScratchPlan {
  checkAttention(host, direction, operands);
  const plan = scratchPlan(direction, operands, host.threads);
  const { scratch, mask } = operands;
  if (mask) {
    const at = scratch + plan.programs;
    new Int32Array(host.memory.buffer, at, programBytes(mask) / 4).set(encodePrograms(mask, at));
    new Uint8Array(host.memory.buffer, scratch + plan.tiles, mask.tiles.length).set(mask.tiles);
  }
  if (unitsOf(direction, operands) === 0) return plan;
  const record = scratch + plan.record;
  writeRecord(host.memory, record, recordOf(direction, operands, plan));
  const { bounds, grain } = shareUnits(direction, operands, mask, plan.slotCount);
  host.divide(kernel, { count: plan.slotCount, grain }, (from, size) => {
    const first = bounds[from]!;
    return [record, scratch + plan.slots + from * plan.slotBytes, first, bounds[from + size]! - first];
  });
  return plan;
}

/** Binds the forward direction. */
export function bindAttention(host: KernelHost): AttentionKernels {
  const forward = host.kernel(FORWARD);
  return {
    attentionScratchBytes(given, direction) {
      const sizes = { ...DEFAULTS, ...given };
      const bytesOf = (which: Direction): number => scratchPlan(which, sizes, host.threads).bytes;
      return direction ? bytesOf(direction) : Math.max(bytesOf('forward'), bytesOf('backward'));
    },
    attention(operands) {
      runUnits(host, forward, 'forward', { ...DEFAULTS, ...operands });
    },
  };
}

/** Binds the backward direction. */
export function bindAttentionBackward(host: KernelHost): AttentionBackwardKernels {
  const backward = host.kernel(BACKWARD);
  const gather = new Map(GATHERED.map((storage) => [storage, host.kernel(gatherName(storage))] as const));
  return {
    attentionBackward(given) {
      const operands = { ...DEFAULTS, ...given };
      const { batch, keyHeads, keys, width, storage, scratch, dk, dv, rowStrideK = width } = operands;
      const { sums } = runUnits(host, backward, 'backward', operands);
      const { inPlace, chunks } = sumPlanOf(operands);
      if (inPlace) return;
      const rows = batch * keyHeads * keys;
      const strideOut = rowStrideK * storedBytes(storage);
      const strideFrom = paddedRowBytes(width);
      const grain = Math.ceil(GATHERED_PER_PART / Math.max(1, width * chunks));
      [dk, dv].forEach((out, which) => {
        const start = scratch + sums + which * chunks * rows * strideFrom;
        host.divide(gather.get(storage)!, { count: rows, grain }, (from, size) => {
          const into = [out + from * strideOut, strideOut];
          return [...into, start + from * strideFrom, strideFrom, rows * strideFrom, chunks, size, width];
        });
      });
    },
  };
}

const DEFAULTS = { batch: 1, keyHeads: 1, group: 1, storage: 'f32' } as const;

type Operands = Omit<AttentionArguments, keyof ScratchSizes> &
  Partial<AttentionBackwardArguments> &
  ScratchSizes & { readonly mask?: AttentionMask | undefined };

/** The record of a call. */
function recordOf(direction: Direction, operands: Operands, plan: ScratchPlan): Parameters<typeof writeRecord>[2] {
  const { q, k, v, y, lse, dy = 0, dq = 0, scratch, mask, storage, width, scale } = operands;
  const { batch, keyHeads, queries, keys } = operands;
  const { rowStrideQ = width, rowStrideK = width, rowStrideY = width } = operands;
  const { rows, groups } = rowGroupsOf(operands);
  const sizes = { queries, keys, width, keyHeads, rows, groups };
  const strideK = rowStrideK * storedBytes(storage);
  const { chunks, groupsPerChunk, inPlace, bytes } = sumPlanOf(operands);
  const sumsOfKeys = scratch + plan.sums;
  const sums = inPlace
    ? { dk: operands.dk ?? 0, dv: operands.dv ?? 0, strideSums: strideK, bytesSums: keys * strideK }
    : {
        dk: sumsOfKeys,
        dv: sumsOfKeys + chunks * batch * keyHeads * bytes,
        strideSums: paddedRowBytes(width),
        bytesSums: bytes,
      };
  const map = mask && {
    programs: scratch + plan.programs,
    programBytes: mask.instructions * INSTRUCTION_BYTES,
    tiles: scratch + plan.tiles,
    keyTiles: Math.ceil(keys / TILE_KEYS),
  };
  const isShared = mask?.entries === 1;
  return {
    q,
    k,
    v,
    y,
    lse,
    dy,
    dq,
    scale,
    chunks,
    groupsPerChunk,
    ...sums,
    ...sizes,
    strideQ: rowStrideQ * F32_BYTES,
    strideK,
    strideY: rowStrideY * F32_BYTES,
    bytesChunk: batch * keyHeads * sums.bytesSums,
    blocks: Math.ceil(rows / (direction === 'forward' ? TILE_QUERIES : PANEL_ROWS)),
    storage: STORAGE_CODE[storage],
    ...map,
    ...(map &&
      !isShared && { entryPrograms: map.programBytes, entryTiles: Math.ceil(queries / TILE_QUERIES) * map.keyTiles }),
    ...plan.slotPlaces,
  };
}

/** Ranges and sizes; programs are trusted. */
function checkAttention(host: KernelHost, direction: Direction, operands: Operands): void {
  const { batch, keyHeads, group, queries, keys, width, storage, mask, scratch } = operands;
  const { rowStrideQ = width, rowStrideK = width, rowStrideY = width } = operands;
  for (const [name, size] of Object.entries({ batch, keyHeads, group, queries, keys, width }))
    host.checkSize(`attention ${name}`, size);
  if (storage !== 'f32' && rowStrideK !== width)
    throw new RangeError(`attention: rows of ${storage} keys are ${rowStrideK} elements apart; they must be dense`);
  for (const [name, stride] of Object.entries({ rowStrideQ, rowStrideK, rowStrideY }))
    if (!(Number.isInteger(stride) && stride >= width))
      throw new RangeError(`attention ${name} is ${stride}; rows of ${width} elements are at least as far apart`);
  const extent = (rows: number, stride: number): number => (rows === 0 ? 0 : (rows - 1) * stride + width);
  const queryRows = batch * keyHeads * group * queries;
  const ofQ = extent(queryRows, rowStrideQ);
  const ofK = extent(batch * keyHeads * keys, rowStrideK);
  const ofY = extent(queryRows, rowStrideY);
  const bytesK = storedBytes(storage);
  const check = (name: string, count: number, bytes?: number): void =>
    host.checkRange(`attention ${name}`, operands[name as 'q']!, count, bytes);
  check('q', ofQ);
  check('k', ofK, bytesK);
  check('v', ofK, bytesK);
  check('y', ofY);
  check('lse', queryRows);
  if (direction === 'backward') {
    check('dy', ofY);
    check('dq', ofQ);
    check('dk', ofK, bytesK);
    check('dv', ofK, bytesK);
  }
  host.checkRange('attention scratch', scratch, scratchPlan(direction, operands, host.threads).bytes, 1);
  if (mask) checkMask(mask, operands);
}

function checkMask(mask: AttentionMask, sizes: ScratchSizes): void {
  const { entries, instructions, programs, tiles } = mask;
  if (entries !== 1 && entries !== sizes.batch)
    throw new RangeError(`attention mask has ${entries} entries for a batch of ${sizes.batch}; give 1 or one for each`);
  if (programs.length !== entries || programs.some((program) => program.length !== instructions))
    throw new RangeError(
      `attention mask: ${programs.length} programs; give ${entries} of ${instructions} instructions`,
    );
  const expected = tileBytes(sizes, mask);
  if (tiles.length !== expected)
    throw new RangeError(
      `attention mask has ${tiles.length} tiles, needs ${expected} of ${TILE_QUERIES} by ${TILE_KEYS}`,
    );
}
