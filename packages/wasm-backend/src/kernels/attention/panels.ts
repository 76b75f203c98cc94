/**
 * Between rows in memory and the panels that the products of attention read and write.
 *
 * - A *transposed panel* is [width, columns]: one column per row of queries (or of their gradients), so that the products with
 *   keys and values treat up to 16 queries as lanes of vectors. Columns beyond the last row repeat it and are not written back.
 * - *Row panels* are [ceil(width / 16), PANEL_ROWS, 16]: rows cut into pieces of 16 elements, zeros beyond the width.
 */
import { f32, f32x4, i32, i32x4, memory, select, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import type { PanelColumns } from './products.js';
import { wordLocals } from './words.js';

/** Rows of a row panel, and queries whose gradients are computed together. */
export const PANEL_ROWS = 64;
/** Columns of a row panel. */
export const ROW_PANEL_COLUMNS = 16;
const LANES = 4;
const VECTOR_BYTES = 16;

type Vectors = readonly Expression<'v128'>[];

/** The transpose of four vectors of four lanes. */
function transpose(f: FunctionBuilder, [a, b, c, d]: readonly Local<'v128'>[]): Vectors {
  const pair = (x: Local<'v128'>, y: Local<'v128'>, lanes: readonly number[]): Local<'v128'> =>
    f.let('pair', i32x4.shuffle(x, y, lanes));
  const [low, high] = [
    [0, 4, 1, 5],
    [2, 6, 3, 7],
  ] as const;
  const [lowAC, highAC, lowBD, highBD] = [pair(a!, c!, low), pair(a!, c!, high), pair(b!, d!, low), pair(b!, d!, high)];
  return [pair(lowAC, lowBD, low), pair(lowAC, lowBD, high), pair(highAC, highBD, low), pair(highAC, highBD, high)];
}

/** (out, rows, stride, count, width, scale): a transposed panel of scale times `count` rows, at least one. */
export function emitPackTransposed({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { out: 'i32', rows: 'i32', stride: 'i32', count: 'i32', width: 'i32', scale: 'f32' } as const;
  const signature = { name: `attentionPack${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const scale = f.let('scales', f32x4.splat(p.scale));
    const last = f.let('last', i32.sub(p.count, 1));
    const remaining = f.local('i32', 'remaining');
    const to = f.local('i32', 'to');
    const cursors = Array.from({ length: LANES }, () => f.local('i32', 'cursor'));
    const vectors = cursors.map(() => f.local('v128', 'vector'));
    const panelStride = columns * F32_BYTES;
    for (let group = 0; group < columns / LANES; group += 1) {
      cursors.forEach((cursor, lane) => {
        const row = group * LANES + lane;
        const index = select(i32.const(row), last, i32.leUnsigned(row, last));
        f.set(cursor, i32.add(p.rows, i32.mul(index, p.stride)));
      });
      f.set(to, i32.add(p.out, group * VECTOR_BYTES));
      f.set(remaining, p.width);
      f.countDown(remaining, LANES, () => {
        vectors.forEach((vector, lane) => f.set(vector, f32x4.mul(v128.load(cursors[lane]!), scale)));
        transpose(f, vectors).forEach((vector, i) => f.do(v128.store(to, vector, i * panelStride)));
        for (const cursor of cursors) f.set(cursor, i32.add(cursor, VECTOR_BYTES));
        f.set(to, i32.add(to, LANES * panelStride));
      });
      f.countDown(remaining, 1, () => {
        cursors.forEach((cursor, lane) => {
          f.do(f32.store(to, f32.mul(f32.load(cursor), p.scale), lane * F32_BYTES));
          f.set(cursor, i32.add(cursor, F32_BYTES));
        });
        f.set(to, i32.add(to, panelStride));
      });
    }
  });
}

/** (rows, stride, panel, count, width, factors): `count` rows from a transposed panel, each times its factor of [columns]. */
export function emitUnpackTransposed({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { rows: 'i32', stride: 'i32', panel: 'i32', count: 'i32', width: 'i32', factors: 'i32' } as const;
  const signature = { name: `attentionUnpack${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const panelStride = columns * F32_BYTES;
    const remaining = f.local('i32', 'remaining');
    const from = f.local('i32', 'from');
    const to = f.local('i32', 'to');
    const factor = f.local('v128', 'factor');
    const vectors = Array.from({ length: LANES }, () => f.local('v128', 'vector'));
    const ofLane = f.local('f32', 'ofLane');
    const next = (): void => {
      f.set(p.panel, i32.add(p.panel, F32_BYTES));
      f.set(p.factors, i32.add(p.factors, F32_BYTES));
      f.set(p.rows, i32.add(p.rows, p.stride));
    };
    /** One row, from `start` elements on. */
    const copyRow = (
      row: Local<'i32'>,
      panel: Expression<'i32'>,
      scale: Expression<'f32'>,
      count: Local<'i32'>,
    ): void => {
      f.set(from, panel);
      f.set(to, row);
      f.set(ofLane, scale);
      f.set(remaining, count);
      f.countDown(remaining, 1, () => {
        f.do(f32.store(to, f32.mul(f32.load(from), ofLane)));
        f.set(from, i32.add(from, panelStride));
        f.set(to, i32.add(to, F32_BYTES));
      });
    };
    const whole = f.let('whole', i32.and(p.width, -LANES));
    const tail = f.let('tail', i32.and(p.width, LANES - 1));
    f.countDown(p.count, LANES, () => {
      f.set(from, p.panel);
      f.set(to, p.rows);
      f.set(factor, v128.load(p.factors));
      f.set(remaining, whole);
      f.countDown(remaining, LANES, () => {
        vectors.forEach((vector, i) => f.set(vector, f32x4.mul(v128.load(from, i * panelStride), factor)));
        const row = f.let('row', to);
        for (const vector of transpose(f, vectors)) {
          f.do(v128.store(row, vector));
          f.set(row, i32.add(row, p.stride));
        }
        f.set(from, i32.add(from, LANES * panelStride));
        f.set(to, i32.add(to, VECTOR_BYTES));
      });
      const tailPanel = f.let('tailPanel', from);
      const tailRow = f.let('tailRow', to);
      for (let lane = 0; lane < LANES; lane += 1) {
        copyRow(tailRow, tailPanel, f32.load(p.factors), tail);
        f.set(tailPanel, i32.add(tailPanel, F32_BYTES));
        f.set(tailRow, i32.add(tailRow, p.stride));
        next();
      }
    });
    f.countDown(p.count, 1, () => {
      copyRow(p.rows, p.panel, f32.load(p.factors), p.width);
      next();
    });
  });
}

/** (out, rows, stride, count, width, scale): row panels of scale times `count` rows; the others are not written. */
export function emitPackRows({ module }: KernelContext): FunctionReference<'void'> {
  const parameters = { out: 'i32', rows: 'i32', stride: 'i32', count: 'i32', width: 'i32', scale: 'f32' } as const;
  const signature = { name: 'attentionPackRows', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const scale = f.let('scales', f32x4.splat(p.scale));
    const { from, to, row, column } = wordLocals(f, 'from', 'to', 'row', 'column');
    const rowBytes = ROW_PANEL_COLUMNS * F32_BYTES;
    const remaining = f.let('remaining', p.width);
    const forEachRow = (body: () => void): void => {
      f.set(from, p.rows);
      f.set(to, p.out);
      f.for({ index: row, from: 0, below: p.count, step: 1 }, () => {
        body();
        f.set(from, i32.add(from, p.stride));
        f.set(to, i32.add(to, rowBytes));
      });
    };
    f.countDown(remaining, ROW_PANEL_COLUMNS, () => {
      forEachRow(() => {
        for (let at = 0; at < rowBytes; at += VECTOR_BYTES)
          f.do(v128.store(to, f32x4.mul(v128.load(from, at), scale), at));
      });
      f.set(p.rows, i32.add(p.rows, rowBytes));
      f.set(p.out, i32.add(p.out, PANEL_ROWS * rowBytes));
    });
    f.if(remaining, () => {
      forEachRow(() => {
        f.do(memory.fill(to, 0, rowBytes));
        f.for({ index: column, from: 0, below: remaining, step: 1 }, () => {
          const at = f.let('at', i32.shl(column, 2));
          f.do(f32.store(i32.add(to, at), f32.mul(f32.load(i32.add(from, at)), p.scale)));
        });
      });
    });
  });
}
