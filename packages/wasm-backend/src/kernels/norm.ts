/**
 * Normalisation over the last axis of contiguous f32 [rows, columns].
 *
 *   rmsNorm    y = w x r,  r = 1 / sqrt(mean x^2 + epsilon)                        (Zhang & Sennrich 2019)
 *   backward   with g = dy w:  dx = r (g - x r^2 mean(g x)),  dw += sum over rows of dy x r
 *   layerNorm  y = w (x - mu) r + b,  r = 1 / sqrt(var + epsilon), biased variance  (Ba et al. 2016)
 *
 * rmsNorm saves r per row for its backward. Outputs may be the arrays they are computed from (y = x, dx = dy or x). Sums
 * are f32 in several interleaved partial sums; the variance is that of the centred values (two passes).
 */
import { f32, f32x4, i32, v128 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import { Accumulators, forEachVector, vectorConstant } from './vector-loop.js';

const UNROLL = 4;

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
  /** [columns], added to; left out when the weight is frozen. */
  readonly dweight?: number;
  readonly rows: number;
  readonly columns: number;
}

/** Offsets in bytes, sizes in elements. */
export interface LayerNormArguments {
  readonly x: number;
  readonly weight: number;
  readonly bias: number;
  readonly y: number;
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
}

/** Normalisations. */
export interface NormKernels {
  rmsNorm(operands: RmsNormArguments): void;
  rmsNormBackward(operands: RmsNormBackwardArguments): void;
  layerNorm(operands: LayerNormArguments): void;
}

/** Emits the normalisations. */
export function emitNorm(context: KernelContext): void {
  emitRmsNorm(context);
  emitRmsNormBackward(context, 'rmsNormBackward', false);
  emitRmsNormBackward(context, 'rmsNormBackwardWithWeight', true);
  emitLayerNorm(context);
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
    const one = vectorConstant(f, 'one', 1);
    const epsilon = f.let('epsilon', f32x4.splat(p.epsilon));
    const columns = f.let('columnsF32', f32x4.splat(f32.convertI32Unsigned(p.columns)));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const squares = new Accumulators(f, 'squares', UNROLL);
    const row = rowCursors(f, p.x, p.weight, p.y);
    const [x, weight, y] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.x, rowBytes],
      [p.y, rowBytes],
      [p.rstd, 4],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      squares.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [x], count: p.columns, unroll: UNROLL }, (lanes) => {
        const value = f.let('value', lanes.own(lanes.load(x)));
        const sum = squares.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(value, value, sum));
      });
      const variance = f32x4.add(f32x4.div(squares.sum(), columns), epsilon);
      const r = f.let('r', f32x4.div(one, f32x4.sqrt(variance)));
      f.do(v128.store32Lane(p.rstd, r, 0));
      row.reset();
      forEachVector(f, { cursors: [x, weight, y], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(y, f32x4.mul(f32x4.mul(lanes.load(x), r), lanes.load(weight))));
      });
    });
  });
}

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
    const columns = f.let('columnsF32', f32x4.splat(f32.convertI32Unsigned(p.columns)));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const projections = new Accumulators(f, 'projection', UNROLL);
    const row = rowCursors(f, p.x, p.weight, p.dy, p.dx, p.dweight);
    const [x, weight, dy, dx, dweight] = row.cursors as readonly [
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
      Local<'i32'>,
    ];
    const steps = [
      [p.x, rowBytes],
      [p.dy, rowBytes],
      [p.dx, rowBytes],
      [p.rstd, 4],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      projections.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [x, weight, dy], count: p.columns, unroll: UNROLL }, (lanes) => {
        const gradient = f32x4.mul(lanes.load(dy), lanes.load(weight));
        const sum = projections.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(lanes.own(gradient), lanes.load(x), sum));
      });
      const r = f.let('r', v128.load32Splat(p.rstd));
      const scaled = f32x4.mul(projections.sum(), f32x4.mul(r, r));
      const projection = f.let('projection', f32x4.div(scaled, columns));
      row.reset();
      const cursors = withWeight ? [x, weight, dy, dx, dweight] : [x, weight, dy, dx];
      forEachVector(f, { cursors, count: p.columns, unroll: UNROLL }, (lanes) => {
        const xs = f.let('xs', lanes.load(x));
        const dys = f.let('dys', lanes.load(dy));
        const across = arithmetic.negativeMultiplyAdd(xs, projection, f32x4.mul(dys, lanes.load(weight)));
        f.do(lanes.store(dx, f32x4.mul(across, r)));
        if (withWeight) {
          f.do(lanes.store(dweight, arithmetic.multiplyAdd(dys, f32x4.mul(xs, r), lanes.load(dweight))));
        }
      });
    });
  });
}

const LAYER_NORM_PARAMETERS = {
  y: 'i32',
  x: 'i32',
  weight: 'i32',
  bias: 'i32',
  rows: 'i32',
  columns: 'i32',
  epsilon: 'f32',
} as const;

function emitLayerNorm({ module, arithmetic }: KernelContext): void {
  const signature = { name: 'layerNorm', parameters: LAYER_NORM_PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const one = vectorConstant(f, 'one', 1);
    const epsilon = f.let('epsilon', f32x4.splat(p.epsilon));
    const columns = f.let('columnsF32', f32x4.splat(f32.convertI32Unsigned(p.columns)));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const sums = new Accumulators(f, 'sum', UNROLL);
    const row = rowCursors(f, p.x, p.weight, p.bias, p.y);
    const [x, weight, bias, y] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.x, rowBytes],
      [p.y, rowBytes],
    ] as const;
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      sums.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [x], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.set(sums.of(lanes.copy), f32x4.add(sums.of(lanes.copy), lanes.own(lanes.load(x))));
      });
      const mu = f.let('mu', f32x4.div(sums.sum(), columns));
      row.reset();
      sums.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [x], count: p.columns, unroll: UNROLL }, (lanes) => {
        const centred = f.let('centred', lanes.own(f32x4.sub(lanes.load(x), mu)));
        f.set(sums.of(lanes.copy), arithmetic.multiplyAdd(centred, centred, sums.of(lanes.copy)));
      });
      const variance = f32x4.add(f32x4.div(sums.sum(), columns), epsilon);
      const r = f.let('r', f32x4.div(one, f32x4.sqrt(variance)));
      row.reset();
      forEachVector(f, { cursors: [x, weight, bias, y], count: p.columns, unroll: UNROLL }, (lanes) => {
        const normal = f32x4.mul(f32x4.sub(lanes.load(x), mu), r);
        f.do(lanes.store(y, arithmetic.multiplyAdd(normal, lanes.load(weight), lanes.load(bias))));
      });
    });
  });
}

/** Binds the normalisations. */
export function bindNorm(host: KernelHost): NormKernels {
  const rmsNorm = host.kernel('rmsNorm');
  const rmsNormBackward = host.kernel('rmsNormBackward');
  const rmsNormBackwardWithWeight = host.kernel('rmsNormBackwardWithWeight');
  const layerNorm = host.kernel('layerNorm');
  return {
    rmsNorm({ x, weight, y, rstd, rows, columns, epsilon }) {
      host.checkMatrix('rmsNorm', { x, y }, rows, columns);
      host.checkRange('rmsNorm weight', weight, columns);
      host.checkRange('rmsNorm rstd', rstd, rows);
      rmsNorm(y, rstd, x, weight, rows, columns, epsilon);
    },
    rmsNormBackward({ x, weight, rstd, dy, dx, dweight, rows, columns }) {
      host.checkMatrix('rmsNormBackward', { x, dy, dx }, rows, columns);
      host.checkRange('rmsNormBackward weight', weight, columns);
      host.checkRange('rmsNormBackward rstd', rstd, rows);
      if (dweight === undefined) {
        rmsNormBackward(dx, 0, x, weight, rstd, dy, rows, columns);
        return;
      }
      host.checkRange('rmsNormBackward dweight', dweight, columns);
      rmsNormBackwardWithWeight(dx, dweight, x, weight, rstd, dy, rows, columns);
    },
    layerNorm({ x, weight, bias, y, rows, columns, epsilon }) {
      host.checkMatrix('layerNorm', { x, y }, rows, columns);
      host.checkRange('layerNorm weight', weight, columns);
      host.checkRange('layerNorm bias', bias, columns);
      layerNorm(y, x, weight, bias, rows, columns, epsilon);
    },
  };
}
