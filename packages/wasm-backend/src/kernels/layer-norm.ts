/**
 * Layer normalisation over the last axis of contiguous f32 [rows, columns] (Ba et al. 2016).
 *
 *   layerNorm  y = w n + b,  n = (x - mu) r,  r = 1 / sqrt(var + epsilon), biased variance
 *   backward   with g = dy w:  dx = r (g - mean g - n mean(g n)),  dw = sum over rows of dy n,  db = sum over rows of dy
 *
 * The backward pass computes mu and r again. Outputs may be the arrays they are computed from (y = x, dx = dy or x). Sums are
 * f32: along a row in interleaved partial sums, over rows as row-blocks.ts says. The variance is that of the centred values.
 */
import { f32, f32x4, i32, memory } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { bindRowBlocks, rowBlockScratchBytes } from './row-blocks.js';
import { forEachOfRow, inverseRoot, RowTotal, splat } from './row-pass.js';
import type { RowLanes } from './row-pass.js';
import { divideRows, forEachRow, forEachRowGroup, rowCursors } from './rows.js';

const UNROLL_SUM = 8;
const UNROLL = 4;
/** Of the passes of the backward direction that have three sums, or three outputs, for each of two rows. */
const UNROLL_MOMENTS = 2;
const UNROLL_OUTPUTS = 2;
/** Rows of the backward pass that load the weight, and add to its gradient, once for all of them. */
const ROWS_TOGETHER = 2;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 16;

/** Offsets in bytes, sizes in elements. */
export interface LayerNormArguments {
  readonly x: number;
  /** [columns]. */
  readonly weight: number;
  /** [columns]. */
  readonly bias: number;
  readonly y: number;
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
}

/** Offsets in bytes, sizes in elements. */
export interface LayerNormBackwardArguments {
  readonly x: number;
  readonly weight: number;
  readonly dy: number;
  readonly dx: number;
  /** [columns], written. */
  readonly dweight: number;
  /** [columns], written. */
  readonly dbias: number;
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
  /** `layerNormBackwardScratchBytes(rows, columns)` bytes. */
  readonly scratch: number;
}

/** Layer normalisation. */
export interface LayerNormKernels {
  layerNorm(operands: LayerNormArguments): void;
  layerNormBackward(operands: LayerNormBackwardArguments): void;
  layerNormBackwardScratchBytes(rows: number, columns: number): number;
}

/** Emits both directions. */
export function emitLayerNorm(context: KernelContext): void {
  emitForward(context);
  emitBackward(context);
}

const FORWARD_PARAMETERS = {
  y: 'i32',
  x: 'i32',
  weight: 'i32',
  bias: 'i32',
  rows: 'i32',
  columns: 'i32',
  epsilon: 'f32',
} as const;

function emitForward({ module, arithmetic }: KernelContext): void {
  const signature = { name: 'layerNorm', parameters: FORWARD_PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const columns = f.let('columnsF32', f32.convertI32Unsigned(p.columns));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const sums = new RowTotal(f, 'sum', UNROLL_SUM);
    const squares = new RowTotal(f, 'squares', UNROLL_SUM);
    const row = rowCursors(f, p.x, p.weight, p.bias, p.y);
    const [x, weight, bias, y] = row.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [p.x, rowBytes],
      [p.y, rowBytes],
    ] as const;
    const alongX = { cursors: [x], count: p.columns, unroll: UNROLL_SUM };
    forEachRow(f, p.rows, steps, () => {
      row.reset();
      sums.start();
      forEachOfRow(f, { ...alongX, totals: [sums] }, (lanes) => {
        lanes.update(sums, (sum) => f32x4.add(sum, lanes.load(x)));
      });
      const mu = splat(f, 'mu', f32.div(sums.value(), columns));
      row.reset();
      squares.start();
      forEachOfRow(f, { ...alongX, totals: [squares] }, (lanes) => {
        const centred = lanes.keep('centred', f32x4.sub(lanes.load(x), mu));
        lanes.update(squares, (sum) => arithmetic.multiplyAdd(centred, centred, sum));
      });
      const variance = f32.add(f32.div(squares.value(), columns), p.epsilon);
      const r = splat(f, 'r', inverseRoot(f, variance));
      row.reset();
      forEachOfRow(f, { cursors: [x, weight, bias, y], count: p.columns, unroll: UNROLL }, (lanes) => {
        const normal = f32x4.mul(f32x4.sub(lanes.load(x), mu), r);
        lanes.store(y, arithmetic.multiplyAdd(normal, lanes.load(weight), lanes.load(bias)));
      });
    });
  });
}

const BACKWARD_PARAMETERS = {
  dx: 'i32',
  dweight: 'i32',
  dbias: 'i32',
  x: 'i32',
  weight: 'i32',
  dy: 'i32',
  rows: 'i32',
  columns: 'i32',
  epsilon: 'f32',
} as const;

type Cursors = readonly Local<'i32'>[];

function emitBackward({ module, arithmetic }: KernelContext): void {
  const signature = {
    name: 'layerNormBackward',
    parameters: BACKWARD_PARAMETERS,
    result: 'void',
    exported: true,
  } as const;
  module.function(signature, (f, p) => {
    const columns = f.let('columnsF32', f32.convertI32Unsigned(p.columns));
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const totalsOf = (name: string, unroll: number): RowTotal[] =>
      Array.from({ length: ROWS_TOGETHER }, () => new RowTotal(f, name, unroll));
    const sums = totalsOf('sum', UNROLL);
    /** Of c^2, g and g c, with c = x - mu. */
    const moments = totalsOf('squares', UNROLL_MOMENTS).map((squares) => ({
      squares,
      flows: new RowTotal(f, 'flow', UNROLL_MOMENTS),
      products: new RowTotal(f, 'product', UNROLL_MOMENTS),
    }));
    const shared = rowCursors(f, p.weight, p.dweight, p.dbias);
    const [weight, dweight, dbias] = shared.cursors as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>];
    f.do(memory.fill(p.dweight, 0, rowBytes), memory.fill(p.dbias, 0, rowBytes));
    const walk = { rows: p.rows, rowBytes, together: ROWS_TOGETHER };
    forEachRowGroup(f, walk, [p.x, p.dy, p.dx], ({ cursors, reset }) => {
      const [x, dy, dx] = cursors as readonly [Cursors, Cursors, Cursors];
      const pass = (
        cursorsOfPass: Cursors,
        totals: readonly RowTotal[],
        unroll: number,
        body: (lanes: RowLanes) => void,
      ): void => {
        reset();
        shared.reset();
        for (const total of totals) total.start();
        forEachOfRow(f, { cursors: cursorsOfPass, count: p.columns, unroll, totals }, body);
      };
      const ofGroup = sums.slice(0, x.length);
      pass([...x, ...dy, dbias], ofGroup, UNROLL, (lanes) => {
        let bias = lanes.load(dbias);
        ofGroup.forEach((sum, row) => {
          lanes.update(sum, (total) => f32x4.add(total, lanes.load(x[row]!)));
          bias = f32x4.add(bias, lanes.load(dy[row]!));
        });
        lanes.store(dbias, bias);
      });
      const mu = ofGroup.map((sum) => splat(f, 'mu', f32.div(sum.value(), columns)));
      const momentsOfGroup = moments.slice(0, x.length);
      const totals = momentsOfGroup.flatMap(({ squares, flows, products }) => [squares, flows, products]);
      pass([...x, ...dy, weight], totals, UNROLL_MOMENTS, (lanes) => {
        const w = lanes.keep('w', lanes.load(weight));
        momentsOfGroup.forEach(({ squares, flows, products }, row) => {
          const centred = lanes.keep('centred', f32x4.sub(lanes.load(x[row]!), mu[row]!));
          const gradient = lanes.keep('gradient', f32x4.mul(lanes.load(dy[row]!), w));
          lanes.update(squares, (sum) => arithmetic.multiplyAdd(centred, centred, sum));
          lanes.update(flows, (sum) => f32x4.add(sum, gradient));
          lanes.update(products, (sum) => arithmetic.multiplyAdd(centred, gradient, sum));
        });
      });
      const perRow = momentsOfGroup.map(({ squares, flows, products }, row) => {
        const scale = inverseRoot(f, f32.add(f32.div(squares.value(), columns), p.epsilon));
        return {
          mu: mu[row]!,
          r: splat(f, 'r', scale),
          flow: splat(f, 'flow', f32.div(flows.value(), columns)),
          projection: splat(f, 'projection', f32.div(f32.mul(products.value(), scale), columns)),
        };
      });
      pass([...x, ...dy, ...dx, weight, dweight], [], UNROLL_OUTPUTS, (lanes) => {
        const w = lanes.keep('w', lanes.load(weight));
        let sum = lanes.load(dweight);
        perRow.forEach((row, i) => {
          const normal = lanes.keep('normal', f32x4.mul(f32x4.sub(lanes.load(x[i]!), row.mu), row.r));
          const dys = lanes.keep('dys', lanes.load(dy[i]!));
          const level = f32x4.sub(f32x4.mul(dys, w), row.flow);
          lanes.store(dx[i]!, f32x4.mul(arithmetic.negativeMultiplyAdd(normal, row.projection, level), row.r));
          sum = arithmetic.multiplyAdd(dys, normal, sum);
        });
        lanes.store(dweight, sum);
      });
    });
  });
}

/** Binds both directions; they divide the rows. */
export function bindLayerNorm(host: KernelHost): LayerNormKernels {
  const layerNorm = host.kernel('layerNorm');
  const layerNormBackward = bindRowBlocks(host, 'layerNormBackward');
  return {
    layerNorm({ x, weight, bias, y, rows, columns, epsilon }) {
      host.checkMatrix('layerNorm', { x, y }, rows, columns);
      host.checkRange('layerNorm weight', weight, columns);
      host.checkRange('layerNorm bias', bias, columns);
      divideRows(host, layerNorm, { rows, columns, grain: GRAIN }, (at, _first, size) => [
        y + at,
        x + at,
        weight,
        bias,
        size,
        columns,
        epsilon,
      ]);
    },
    layerNormBackward({ x, weight, dy, dx, dweight, dbias, rows, columns, epsilon, scratch }) {
      host.checkMatrix('layerNormBackward', { x, dy, dx }, rows, columns);
      for (const [name, pointer] of Object.entries({ weight, dweight, dbias }))
        host.checkRange(`layerNormBackward ${name}`, pointer, columns);
      layerNormBackward({ rows, columns }, [dweight, dbias], scratch, (block) => {
        const at = block.firstRow * columns * F32_BYTES;
        const [weights, biases] = block.sums as readonly [number, number];
        return [dx + at, weights, biases, x + at, weight, dy + at, block.rows, columns, epsilon];
      });
    },
    layerNormBackwardScratchBytes: (rows, columns) => rowBlockScratchBytes(rows, columns, 2),
  };
}
