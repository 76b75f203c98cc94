/**
 * RMS normalisation over the last axis of contiguous f32 [rows, columns] (Zhang & Sennrich 2019).
 *
 *   rmsNorm    y = w x r,  r = 1 / sqrt(mean x^2 + epsilon)
 *   backward   with g = dy w:  dx = r (g - x r^2 mean(g x)),  dw = sum over rows of dy x r
 *
 * r of each row is saved for the backward pass. Outputs may be the arrays they are computed from (y = x, dx = dy or x). Sums
 * are f32: along a row in interleaved partial sums, over rows as row-blocks.ts says.
 */
import { f32, f32x4, i32, memory } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { bindRowBlocks, rowBlockScratchBytes } from './row-blocks.js';
import { forEachOfRow, inverseRoot, RowTotal, splat } from './row-pass.js';
import { divideRows, forEachRow, forEachRowGroup, rowCursors } from './rows.js';

const UNROLL_SUM = 8;
const UNROLL = 4;
/** Rows of the backward pass that load the weight, and add to its gradient, once for all of them. */
const ROWS_TOGETHER = 2;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 16;

/** Offsets in bytes, sizes in elements. */
export interface RmsNormArguments {
  readonly x: number;
  /** [columns]. */
  readonly weight: number;
  readonly y: number;
  /** [rows], written: r of each row. */
  readonly rstd: number;
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
}

/** Offsets in bytes, sizes in elements. */
export interface RmsNormBackwardArguments {
  readonly x: number;
  readonly weight: number;
  /** As `rmsNorm` wrote it. */
  readonly rstd: number;
  readonly dy: number;
  readonly dx: number;
  readonly rows: number;
  readonly columns: number;
  /** Left out when the weight is frozen. */
  readonly dweight?: {
    /** [columns], written. */
    readonly pointer: number;
    /** `rmsNormBackwardScratchBytes(rows, columns)` bytes. */
    readonly scratch: number;
  };
}

/** RMS normalisation. */
export interface NormKernels {
  rmsNorm(operands: RmsNormArguments): void;
  rmsNormBackward(operands: RmsNormBackwardArguments): void;
  rmsNormBackwardScratchBytes(rows: number, columns: number): number;
}

/** Emits both directions, the backward one with and without the gradient of the weight. */
export function emitNorm(context: KernelContext): void {
  emitRmsNorm(context);
  emitRmsNormBackward(context, 'rmsNormBackward', false);
  emitRmsNormBackward(context, 'rmsNormBackwardWithWeight', true);
}

const RMS_NORM_PARAMETERS = {
  y: 'i32',
  rstd: 'i32',
  x: 'i32',
  weight: 'i32',
  rows: 'i32',
  columns: 'i32',
  epsilon: 'f32',
} as const;

function emitRmsNorm({ module, arithmetic }: KernelContext): void {
  const signature = { name: 'rmsNorm', parameters: RMS_NORM_PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const columns = f.let('columnsF32', f32.convertI32Unsigned(p.columns));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const squares = new RowTotal(f, 'squares', UNROLL_SUM);
    const row = rowCursors(f, p.x, p.weight, p.y);
    const [x, weight, y] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.x, rowBytes],
      [p.y, rowBytes],
      [p.rstd, F32_BYTES],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      squares.start();
      const sum = { cursors: [x], count: p.columns, unroll: UNROLL_SUM, totals: [squares] };
      forEachOfRow(f, sum, (lanes) => {
        const value = lanes.keep('value', lanes.load(x));
        lanes.update(squares, (total) => arithmetic.multiplyAdd(value, value, total));
      });
      const variance = f32.add(f32.div(squares.value(), columns), p.epsilon);
      const scale = inverseRoot(f, variance);
      f.do(f32.store(p.rstd, scale));
      const r = splat(f, 'r', scale);
      row.reset();
      forEachOfRow(f, { cursors: [x, weight, y], count: p.columns, unroll: UNROLL }, (lanes) => {
        lanes.store(y, f32x4.mul(f32x4.mul(lanes.load(x), r), lanes.load(weight)));
      });
    });
  });
}

type Cursors = readonly Local<'i32'>[];

const RMS_NORM_BACKWARD_PARAMETERS = {
  dx: 'i32',
  dweight: 'i32',
  x: 'i32',
  weight: 'i32',
  rstd: 'i32',
  dy: 'i32',
  rows: 'i32',
  columns: 'i32',
} as const;

function emitRmsNormBackward({ module, arithmetic }: KernelContext, name: string, withWeight: boolean): void {
  const signature = { name, parameters: RMS_NORM_BACKWARD_PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const columns = f.let('columnsF32', f32.convertI32Unsigned(p.columns));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const projections = Array.from({ length: ROWS_TOGETHER }, () => new RowTotal(f, 'projection', UNROLL));
    const shared = rowCursors(f, p.weight, p.dweight);
    const [weight, dweight] = shared.cursors as readonly [Local<'i32'>, Local<'i32'>];
    if (withWeight) f.do(memory.fill(p.dweight, 0, rowBytes));
    const walk = { rows: p.rows, rowBytes, together: ROWS_TOGETHER };
    forEachRowGroup(f, walk, [p.x, p.dy, p.dx], ({ cursors, reset }) => {
      const [x, dy, dx] = cursors as readonly [Cursors, Cursors, Cursors];
      const scales = x.map((_, row) => f.let('scale', f32.load(p.rstd, row * F32_BYTES)));
      const r = scales.map((scale) => splat(f, 'r', scale));
      const totals = projections.slice(0, x.length);
      for (const total of totals) total.start();
      reset();
      shared.reset();
      const sums = [...x, ...dy, weight, ...(withWeight ? [dweight] : [])];
      forEachOfRow(f, { cursors: sums, count: p.columns, unroll: UNROLL, totals }, (lanes) => {
        const w = lanes.keep('w', lanes.load(weight));
        let sum = lanes.load(dweight);
        totals.forEach((total, row) => {
          const product = lanes.keep('product', f32x4.mul(lanes.load(dy[row]!), lanes.load(x[row]!)));
          lanes.update(total, (projection) => arithmetic.multiplyAdd(product, w, projection));
          sum = arithmetic.multiplyAdd(product, r[row]!, sum);
        });
        if (withWeight) lanes.store(dweight, sum);
      });
      const projected = totals.map((total, row) => {
        const square = f32.mul(scales[row]!, scales[row]!);
        return splat(f, 'projected', f32.div(f32.mul(total.value(), square), columns));
      });
      reset();
      shared.reset();
      const outputs = { cursors: [...x, ...dy, ...dx, weight], count: p.columns, unroll: UNROLL };
      forEachOfRow(f, outputs, (lanes) => {
        const w = lanes.keep('w', lanes.load(weight));
        projected.forEach((projection, row) => {
          const gradient = f32x4.mul(lanes.load(dy[row]!), w);
          const across = arithmetic.negativeMultiplyAdd(lanes.load(x[row]!), projection, gradient);
          lanes.store(dx[row]!, f32x4.mul(across, r[row]!));
        });
      });
      f.set(p.rstd, i32.add(p.rstd, x.length * F32_BYTES));
    });
  });
}

/** Binds both directions; they divide the rows. */
export function bindNorm(host: KernelHost): NormKernels {
  const rmsNorm = host.kernel('rmsNorm');
  const rmsNormBackward = host.kernel('rmsNormBackward');
  const withWeight = bindRowBlocks(host, 'rmsNormBackwardWithWeight');
  return {
    rmsNorm({ x, weight, y, rstd, rows, columns, epsilon }) {
      host.checkMatrix('rmsNorm', { x, y }, rows, columns);
      host.checkRange('rmsNorm weight', weight, columns);
      host.checkRange('rmsNorm rstd', rstd, rows);
      divideRows(host, rmsNorm, { rows, columns, grain: GRAIN }, (at, first, size) => [
        y + at,
        rstd + first * F32_BYTES,
        x + at,
        weight,
        size,
        columns,
        epsilon,
      ]);
    },
    rmsNormBackward({ x, weight, rstd, dy, dx, dweight, rows, columns }) {
      host.checkMatrix('rmsNormBackward', { x, dy, dx }, rows, columns);
      host.checkRange('rmsNormBackward weight', weight, columns);
      host.checkRange('rmsNormBackward rstd', rstd, rows);
      const valuesOf = (at: number, first: number, size: number, sum: number): readonly number[] => [
        dx + at,
        sum,
        x + at,
        weight,
        rstd + first * F32_BYTES,
        dy + at,
        size,
        columns,
      ];
      if (dweight === undefined) {
        divideRows(host, rmsNormBackward, { rows, columns, grain: GRAIN }, (at, first, size) =>
          valuesOf(at, first, size, 0),
        );
        return;
      }
      host.checkRange('rmsNormBackward dweight', dweight.pointer, columns);
      withWeight({ rows, columns }, [dweight.pointer], dweight.scratch, (block) =>
        valuesOf(block.firstRow * columns * F32_BYTES, block.firstRow, block.rows, block.sums[0]!),
      );
    },
    rmsNormBackwardScratchBytes: (rows, columns) => rowBlockScratchBytes(rows, columns, 1),
  };
}
