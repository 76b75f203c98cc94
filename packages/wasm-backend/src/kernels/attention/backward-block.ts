/**
 * Attention backward for at most `PANEL_ROWS` queries, `TILE_KEYS` keys at a time; their scores are computed again:
 *
 *   Sᵀ = K·Qᵀ,   dPᵀ = V·dYᵀ,   P = e^(S - lse),   dS = P (dP - delta),   delta = sum over the width of dy y
 *   dV += Pᵀ·dY,   dK += dSᵀ·Q,   dQᵀ += Kᵀ·dSᵀ
 *
 * with Q scaled, and dQ scaled when it is written. Scores of all panels lie side by side, [keys, PANEL_ROWS], so that the sums over
 * queries run along rows.
 */
import { f32, f32x4, i32, memory, v128 } from '../../emit/index.js';
import type { FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import {
  MASK_BYTES,
  PANEL_BYTES,
  ROW_BYTES,
  ROW_NUMBERS,
  ROW_PANEL_BYTES,
  SCORE_ROW_BYTES,
} from './backward-scratch.js';
import { PANEL_QUERIES, TILE_KEYS } from './blocks.js';
import { emitDeltas } from './deltas.js';
import { MASK_FIELDS, TILE, placeMask, readTile } from './mask-map.js';
import { isSeen, least, trimRun } from './mask-run.js';
import type { PanelFunctions, SharedFunctions } from './panel-functions.js';
import { PANEL_ROWS, ROW_PANEL_COLUMNS, emitPackRows } from './panels.js';
import { emitProduct } from './products.js';
import { readPlaces, readRecord, readScale } from './record.js';
import { emitScoreGradient } from './softmax.js';
import { wordLocals } from './words.js';

const PARAMETERS = {
  record: 'i32',
  slot: 'i32',
  keyHead: 'i32',
  group: 'i32',
  row: 'i32',
  dk: 'i32',
  dv: 'i32',
} as const;

type Parameters = Readonly<Record<keyof typeof PARAMETERS, Local<'i32'>>>;
type Functions = ReturnType<typeof functionsOf>;

const functionsOf = (context: KernelContext, panel: PanelFunctions, shared: SharedFunctions) => ({
  ...panel,
  ...shared,
  packRows: emitPackRows(context),
  deltas: emitDeltas(context),
  scoreGradient: emitScoreGradient(context),
  rowProduct: emitProduct(context, { layout: 'rows', start: 'accumulate', columns: ROW_PANEL_COLUMNS }),
});

/** (record, slot, keyHead, group, row, dk, dv): at most `PANEL_ROWS` queries from `row` of a row group on. */
export function emitQueryBlock(
  context: KernelContext,
  panel: PanelFunctions,
  shared: SharedFunctions,
): FunctionReference<'void'> {
  const functions = functionsOf(context, panel, shared);
  const signature = {
    name: 'attentionBackwardBlock',
    parameters: PARAMETERS,
    result: 'void',
    exported: false,
  } as const;
  return context.module.function(signature, (f, p) => {
    const code = declare(f, p);
    const { record, mask, places, panelWalk } = code;
    packQueries(f, functions, code);
    const { block, tile } = wordLocals(f, 'block', 'tile');
    const { run, bits } = code;
    f.for({ index: block, from: 0, below: record.keys, step: TILE_KEYS }, () => {
      readTile(f, tile, { tiles: mask.tiles, programs: mask.programs, keys: record.keys }, block);
      const isPartial = f.let('isPartial', i32.eq(tile, TILE.partial));
      f.set(run.first, block);
      f.set(run.keys, least(i32.sub(record.keys, block), TILE_KEYS));
      f.if(i32.eqz(tile), () => f.set(run.keys, 0));
      f.if(isPartial, () => writeMasks(f, functions, code));
      f.if(run.keys, () => {
        placeRun(f, functions, code);
        panelWalk.forEach(() => addQueryGradients(f, functions, code, { isPartial, bits }));
        addKeyGradients(f, functions, code);
      });
    });
    panelWalk.forEach(() => {
      const out = i32.add(code.rows.dq, i32.mul(panelWalk.at, record.strideQ));
      const factors = i32.add(places.rowNumbers, ROW_NUMBERS.scale);
      const sums = i32.add(places.sumPanels, panelWalk.inPanels);
      f.callVoid(functions.unpack, out, record.strideQ, sums, panelWalk.rows, record.width, factors);
    });
  });
}

type Code = ReturnType<typeof declare>;

/** The variables of the function. */
function declare(f: FunctionBuilder, p: Parameters) {
  const sizes = readRecord(f, p.record, 'keys', 'width', 'groups', 'storage', 'programBytes');
  const given = readRecord(f, p.record, 'q', 'k', 'v', 'y', 'lse', 'dy', 'dq');
  const strides = readRecord(f, p.record, 'strideQ', 'strideK', 'strideY', 'strideSums');
  const record = { ...sizes, ...given, ...strides };
  const map = readRecord(f, p.record, ...MASK_FIELDS);
  const panels = readPlaces(f, p.record, p.slot, 'panels', 'flowPanels', 'sumPanels', 'queryRows', 'flowRows');
  const blocks = readPlaces(f, p.record, p.slot, 'rowNumbers', 'scores', 'gradients', 'stagedK', 'stagedV');
  const ofMask = readPlaces(f, p.record, p.slot, 'mask', 'stack', 'numbers');
  const count = f.let('count', least(i32.sub(map.rows, p.row), PANEL_ROWS));
  const group = i32.add(i32.mul(p.keyHead, sizes.groups), p.group);
  const firstRow = f.let('firstRow', i32.add(i32.mul(group, map.rows), p.row));
  const { program, tiles } = placeMask(f, map, p.keyHead, p.row);
  const rowAt = (operand: Local<'i32'>, stride: Local<'i32'>): Local<'i32'> =>
    f.let('rowAt', i32.add(operand, i32.mul(firstRow, stride)));
  const strideK = f.let('strideRows', record.strideK);
  f.if(record.storage, () => f.set(strideK, i32.shl(record.width, 2)));
  return {
    p,
    record,
    places: { ...panels, ...blocks, ...ofMask },
    mask: { ...map, program, tiles, end: f.let('end', i32.add(program, record.programBytes)) },
    count,
    firstRow,
    scale: readScale(f, p.record),
    rows: {
      q: rowAt(record.q, record.strideQ),
      dq: rowAt(record.dq, record.strideQ),
      y: rowAt(record.y, record.strideY),
      dy: rowAt(record.dy, record.strideY),
    },
    /** Bytes between keys and values as the products read them. */
    strideK,
    ofHead: f.let('ofHead', i32.mul(i32.mul(p.keyHead, record.keys), record.strideK)),
    run: wordLocals(f, 'first', 'keys', 'k', 'v'),
    /** The mask of the first key of the run and the first panel. */
    bits: f.local('i32', 'bits'),
    panelWalk: walkPanels(f, count, f.let('panelWidth', i32.mul(record.width, PANEL_BYTES))),
  };
}

/** A loop over the panels: the place of the panel's first row, its rows, and where it is in what lies panel after panel. */
function walkPanels(f: FunctionBuilder, count: Local<'i32'>, panelWidth: Local<'i32'>) {
  const walk = wordLocals(f, 'at', 'rows', 'inPanels', 'inScores', 'inMask');
  const { at, rows, inPanels, inScores, inMask } = walk;
  return {
    ...walk,
    panelWidth,
    forEach(body: () => void): void {
      for (const offset of [inPanels, inScores, inMask]) f.set(offset, 0);
      f.for({ index: at, from: 0, below: count, step: PANEL_QUERIES }, () => {
        f.set(rows, least(i32.sub(count, at), PANEL_QUERIES));
        body();
        f.set(inPanels, i32.add(inPanels, panelWidth));
        f.set(inScores, i32.add(inScores, PANEL_BYTES));
        f.set(inMask, i32.add(inMask, MASK_BYTES));
      });
    },
  };
}

/** Packs q and dy both ways, and writes the numbers of rows. */
function packQueries(f: FunctionBuilder, { deltas, pack, packRows }: Functions, code: Code): void {
  const { record, places, rows, count, scale, panelWalk } = code;
  const { strideQ, strideY, width } = record;
  const { at, inPanels } = panelWalk;
  const numbers = places.rowNumbers;
  const lse = i32.add(record.lse, i32.shl(code.firstRow, 2));
  f.do(memory.copy(i32.add(numbers, ROW_NUMBERS.lse), lse, i32.shl(count, 2)));
  // Columns of the last panel that stand for no query have no weight.
  const beyond = f.let('beyond', count);
  f.for({ index: beyond, from: beyond, below: PANEL_ROWS, step: 1 }, () => {
    const place = i32.add(numbers, i32.shl(beyond, 2));
    f.do(f32.store(place, Infinity, ROW_NUMBERS.lse), f32.store(place, 0, ROW_NUMBERS.delta));
  });
  f.callVoid(deltas, i32.add(numbers, ROW_NUMBERS.delta), rows.y, rows.dy, strideY, count, width);
  const factor = f.let('factor', f32x4.splat(scale));
  for (let byte = 0; byte < PANEL_BYTES; byte += 16) f.do(v128.store(numbers, factor, ROW_NUMBERS.scale + byte));
  panelWalk.forEach(() => {
    const [rowQ, rowDy] = [i32.add(rows.q, i32.mul(at, strideQ)), i32.add(rows.dy, i32.mul(at, strideY))];
    f.callVoid(pack, i32.add(places.panels, inPanels), rowQ, strideQ, panelWalk.rows, width, scale);
    f.callVoid(pack, i32.add(places.flowPanels, inPanels), rowDy, strideY, panelWalk.rows, width, 1);
    f.do(memory.fill(i32.add(places.sumPanels, inPanels), 0, panelWalk.panelWidth));
  });
  f.callVoid(packRows, places.queryRows, rows.q, strideQ, count, width, scale);
  f.callVoid(packRows, places.flowRows, rows.dy, strideY, count, width, 1);
}

/** The masks of all panels, and the run without the keys at its ends that none of their queries sees. */
function writeMasks(f: FunctionBuilder, { queryNumbers, maskRun }: Functions, code: Code): void {
  const { p, mask, places, run, bits, panelWalk } = code;
  const { at, rows, inMask } = panelWalk;
  const { program, end } = mask;
  panelWalk.forEach(() => {
    f.callVoid(queryNumbers, program, end, places.numbers, i32.add(p.row, at), rows, mask.queries);
    const out = i32.add(places.mask, inMask);
    f.callVoid(maskRun, out, program, end, places.numbers, run.first, run.keys, places.stack);
  });
  f.set(bits, places.mask);
  const seen = f.local('i32', 'seen');
  trimRun(f, {
    keys: run.keys,
    isSeen: (key) => {
      f.set(seen, 0);
      panelWalk.forEach(() => {
        const row = i32.add(i32.add(bits, inMask), i32.mul(key, PANEL_BYTES));
        f.set(seen, i32.or(seen, isSeen(row, PANEL_QUERIES)));
      });
      return seen;
    },
    skip: () => {
      f.set(bits, i32.add(bits, PANEL_BYTES));
      f.set(run.first, i32.add(run.first, 1));
    },
  });
}

/** Sets the keys and values of the run, widened where they are codes. */
function placeRun(f: FunctionBuilder, { stage }: Functions, { record, places, run, ofHead }: Code): void {
  const from = f.let('from', i32.add(ofHead, i32.mul(run.first, record.strideK)));
  f.set(run.k, i32.add(record.k, from));
  f.set(run.v, i32.add(record.v, from));
  f.if(record.storage, () => {
    const numbers = f.let('numbers', i32.mul(run.keys, record.width));
    f.callVoid(stage, record.storage, places.stagedK, run.k, numbers);
    f.callVoid(stage, record.storage, places.stagedV, run.v, numbers);
    f.set(run.k, places.stagedK);
    f.set(run.v, places.stagedV);
  });
}

/** The weights and score gradients of a panel, and what they add to dq. */
function addQueryGradients(
  f: FunctionBuilder,
  { rowsByPanel, applyMask, scoreGradient, addTransposed }: Functions,
  { record, places, run, strideK, panelWalk }: Code,
  { isPartial, bits }: { readonly isPartial: Local<'i32'>; readonly bits: Local<'i32'> },
): void {
  const { inPanels, inScores, inMask } = panelWalk;
  const { keys, k, v } = run;
  const [scores, gradients] = [i32.add(places.scores, inScores), i32.add(places.gradients, inScores)];
  for (const [rows, panel, out] of [
    [k, places.panels, scores],
    [v, places.flowPanels, gradients],
  ] as const) {
    const right = i32.add(panel, inPanels);
    f.callVoid(rowsByPanel, rows, strideK, right, PANEL_BYTES, out, SCORE_ROW_BYTES, record.width, keys);
  }
  f.if(isPartial, () => f.callVoid(applyMask, scores, SCORE_ROW_BYTES, i32.add(bits, inMask), keys));
  const numbers = i32.add(places.rowNumbers, inScores);
  const [lse, delta] = [i32.add(numbers, ROW_NUMBERS.lse), i32.add(numbers, ROW_NUMBERS.delta)];
  f.callVoid(scoreGradient, scores, gradients, SCORE_ROW_BYTES, keys, lse, delta);
  const sums = i32.add(places.sumPanels, inPanels);
  f.callVoid(addTransposed, k, strideK, gradients, SCORE_ROW_BYTES, sums, PANEL_BYTES, keys, record.width);
}

/** What the queries of all panels add to dk and dv, 16 columns at a time. */
function addKeyGradients(f: FunctionBuilder, { rowProduct }: Functions, { p, record, places, run, count }: Code): void {
  const { strideSums } = record;
  const ofKey = i32.mul(run.first, strideSums);
  const dk = f.let('dkRows', i32.add(p.dk, ofKey));
  const dv = f.let('dvRows', i32.add(p.dv, ofKey));
  const { column, ofPiece } = wordLocals(f, 'column', 'ofPiece');
  f.set(ofPiece, 0);
  f.for({ index: column, from: 0, below: record.width, step: ROW_PANEL_COLUMNS }, () => {
    for (const [weights, rows, out] of [
      [places.scores, places.flowRows, dv],
      [places.gradients, places.queryRows, dk],
    ] as const) {
      const right = i32.add(rows, ofPiece);
      f.callVoid(rowProduct, weights, SCORE_ROW_BYTES, right, ROW_BYTES, out, strideSums, count, run.keys);
      f.set(out, i32.add(out, ROW_BYTES));
    }
    f.set(ofPiece, i32.add(ofPiece, ROW_PANEL_BYTES));
  });
}
