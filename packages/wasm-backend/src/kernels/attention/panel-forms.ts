/**
 * The two forms of a panel in scratch, and what is done to each: transposed, for 8 or 16 queries, and rows, for at most four.
 * Both have scores [keys, columns], so that masks and softmax do not know which it is.
 */
import { i32, memory } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { FEW_ROWS, emitFewScores } from './few-scores.js';
import { emitFewSums, emitScaleRows } from './few-sums.js';
import { emitMaskRun } from './mask-run.js';
import type { PanelFunctions, SharedFunctions } from './panel-functions.js';
import type { PanelColumns } from './products.js';
import { scalePlace } from './record.js';
import { STATE, emitApplyMask, emitRescale } from './softmax.js';

type Word = Local<'i32'> | Expression<'i32'>;

/** Places and sizes of a panel; see `panel-steps.ts`. */
export interface PanelPlace {
  readonly queries: Word;
  readonly sums: Word;
  readonly state: Word;
  readonly width: Word;
  /** Rows that are there. */
  readonly count: Word;
}

/** A run of keys or values, at least one. */
export interface StoredRun {
  readonly first: Word;
  readonly stride: Word;
  readonly keys: Word;
  /** 0 for f32; else few rows are to meet codes of 16 bits. */
  readonly storage: Word;
  /** Where they may be widened. */
  readonly staged: Word;
}

export interface RowsPlace {
  readonly first: Word;
  readonly stride: Word;
}

export interface PanelForm {
  readonly columns: number;
  readonly maskRun: FunctionReference<'void'>;
  readonly applyMask: FunctionReference<'void'>;
  /** Queries of the panel <- scaled rows. */
  pack(f: FunctionBuilder, panel: PanelPlace, rows: RowsPlace, record: Local<'i32'>, scale: Local<'f32'>): void;
  /** scores [keys, columns] <- products of keys and queries. */
  score(f: FunctionBuilder, panel: PanelPlace, k: StoredRun, scores: Word, partials: Word): void;
  /** sums += weights times values. */
  addValues(f: FunctionBuilder, panel: PanelPlace, v: StoredRun, weights: Word): void;
  /** sums <- state.alpha times sums. */
  rescale(f: FunctionBuilder, panel: PanelPlace): void;
  /** rows <- state.alpha times sums. */
  unpack(f: FunctionBuilder, panel: PanelPlace, rows: RowsPlace): void;
}

/** Transposed panels. */
export function transposedForm(context: KernelContext, functions: PanelFunctions): PanelForm {
  const { columns, maskRun, applyMask, pack, unpack, rowsByPanel, addTransposed } = functions;
  const rescale = emitRescale(context, columns);
  const rowBytes = columns * F32_BYTES;
  return {
    columns,
    maskRun,
    applyMask,
    pack: (f, { queries, count, width }, { first, stride }, _record, scale) =>
      f.callVoid(pack, queries, first, stride, count, width, scale),
    score: (f, { queries, width }, { first, stride, keys }, scores) =>
      f.callVoid(rowsByPanel, first, stride, queries, rowBytes, scores, rowBytes, width, keys),
    addValues: (f, { sums, width }, { first, stride, keys }, weights) =>
      f.callVoid(addTransposed, first, stride, weights, rowBytes, sums, rowBytes, keys, width),
    rescale: (f, { sums, width, state }) => f.callVoid(rescale, sums, width, state),
    unpack: (f, { sums, state, count, width }, { first, stride }) =>
      f.callVoid(unpack, first, stride, sums, count, width, i32.add(state, STATE.alpha)),
  };
}

/** Panels of rows. */
export function fewRowsForm(context: KernelContext, { stage }: SharedFunctions): PanelForm {
  const columns: PanelColumns = FEW_ROWS;
  const scores = emitFewScores(context, stage);
  const sums = emitFewSums(context, stage);
  const scaleRows = emitScaleRows(context);
  const chunks = ({ first, stride, storage, staged, keys }: StoredRun, width: Word): readonly Word[] => [
    first,
    stride,
    storage,
    staged,
    width,
    keys,
  ];
  const bytesOf = (width: Word): Expression<'i32'> => i32.mul(width, F32_BYTES);
  return {
    columns,
    maskRun: emitMaskRun(context, columns),
    applyMask: emitApplyMask(context, columns),
    pack(f, { queries, count, width }, { first, stride }, record) {
      // Rows that are not there are met too.
      f.do(memory.fill(queries, 0, i32.mul(width, FEW_ROWS * F32_BYTES)));
      f.callVoid(scaleRows, queries, bytesOf(width), first, stride, count, width, scalePlace(record), 0);
    },
    score: (f, { queries, width, count }, k, out, partials) =>
      f.callVoid(scores, ...chunks(k, width), queries, bytesOf(width), partials, out, count),
    addValues: (f, panel, v, weights) =>
      f.callVoid(sums, ...chunks(v, panel.width), weights, panel.sums, bytesOf(panel.width), panel.count),
    rescale: (f, panel) => {
      const stride = bytesOf(panel.width);
      const factors = i32.add(panel.state, STATE.alpha);
      f.callVoid(scaleRows, panel.sums, stride, panel.sums, stride, panel.count, panel.width, factors, F32_BYTES);
    },
    unpack: (f, panel, { first, stride }) => {
      const factors = i32.add(panel.state, STATE.alpha);
      f.callVoid(
        scaleRows,
        first,
        stride,
        panel.sums,
        bytesOf(panel.width),
        panel.count,
        panel.width,
        factors,
        F32_BYTES,
      );
    },
  };
}
