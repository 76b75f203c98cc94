/**
 * Rotary position embedding, rotate-half convention (Su et al. 2021; the layout of Llama and Qwen).
 *
 * x [batch, heads, rows, width] contiguous; cos and sin [batch or 1, rows, width / 2], shared by the heads. With x1, x2 the
 * halves of a row:
 *
 *   forward   y1 = x1 cos - x2 sin,  y2 = x2 cos + x1 sin
 *   backward  the rotation by the opposite angle: dx1 = dy1 cos + dy2 sin,  dx2 = dy2 cos - dy1 sin
 *
 * Tables of width `width` whose halves are equal (transformers' form) are read with `tableStride = width`. `y` may be `x`.
 */
import { f32x4, i32 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachOfRow } from './row-pass.js';
import { divideRows, forEachRow } from './rows.js';

const UNROLL = 2;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 16;

/** Offsets in bytes, sizes in elements. */
export interface RopeArguments {
  readonly x: number;
  readonly y: number;
  readonly cos: number;
  readonly sin: number;
  /** Entries with tables of their own; 1 when left out. */
  readonly batch?: number;
  readonly heads: number;
  readonly rows: number;
  /** Elements of a row of x; even. */
  readonly width: number;
  /** Elements between rows of the tables; default width / 2. */
  readonly tableStride?: number;
}

/** The rotation and its gradient. */
export interface RopeKernels {
  rope(operands: RopeArguments): void;
  /** As `rope`, by the opposite angle: x is dy, y is dx. */
  ropeBackward(operands: RopeArguments): void;
}

/** Emits both directions. */
export function emitRope(context: KernelContext): void {
  emitRotation(context, 'rope', 1);
  emitRotation(context, 'ropeBackward', -1);
}

function emitRotation({ module, arithmetic }: KernelContext, name: string, direction: 1 | -1): void {
  const parameters = {
    y: 'i32',
    x: 'i32',
    cos: 'i32',
    sin: 'i32',
    /** Where the first row stands in its head, and its head in its entry. */
    row: 'i32',
    head: 'i32',
    count: 'i32',
    rows: 'i32',
    heads: 'i32',
    half: 'i32',
    tableStride: 'i32',
  } as const;
  const plus = arithmetic.multiplyAdd;
  const minus = arithmetic.negativeMultiplyAdd;
  const [first, second] = direction === 1 ? [minus, plus] : [plus, minus];
  module.function({ name, parameters, result: 'void', exported: true }, (f, p) => {
    const halfBytes = f.let('halfBytes', i32.shl(p.half, 2));
    const [x1, y1] = [f.let('x1', p.x), f.let('y1', p.y)];
    const [cos, sin, x2, y2, at] = ['cosAt', 'sinAt', 'x2', 'y2', 'at'].map((key) =>
      f.local('i32', key),
    ) as unknown as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const steps = [
      [x1, halfBytes],
      [y1, halfBytes],
      [p.row, 1],
    ] as const;
    forEachRow(f, p.count, steps, () => {
      f.if(i32.eq(p.row, p.rows), () => {
        f.set(p.row, 0);
        f.set(p.head, i32.add(p.head, 1));
        f.if(i32.eq(p.head, p.heads), () => {
          f.set(p.head, 0);
          const tableBytes = f.let('tableBytes', i32.mul(p.rows, p.tableStride));
          for (const table of [p.cos, p.sin]) f.set(table, i32.add(table, tableBytes));
        });
      });
      f.set(at, i32.mul(p.row, p.tableStride));
      f.set(cos, i32.add(p.cos, at));
      f.set(sin, i32.add(p.sin, at));
      f.set(x2, i32.add(x1, halfBytes));
      f.set(y2, i32.add(y1, halfBytes));
      forEachOfRow(f, { cursors: [cos, sin, x1, x2, y1, y2], count: p.half, unroll: UNROLL }, (lanes) => {
        const c = lanes.keep('c', lanes.load(cos));
        const s = lanes.keep('s', lanes.load(sin));
        const a = lanes.keep('a', lanes.load(x1));
        const b = lanes.keep('b', lanes.load(x2));
        lanes.store(y1, first(b, s, f32x4.mul(a, c)));
        lanes.store(y2, second(a, s, f32x4.mul(b, c)));
      });
    });
  });
}

/** Binds both directions; they divide the rows of all heads. */
export function bindRope(host: KernelHost): RopeKernels {
  return { rope: bindRotation(host, 'rope'), ropeBackward: bindRotation(host, 'ropeBackward') };
}

function bindRotation(host: KernelHost, name: string): (operands: RopeArguments) => void {
  const run = host.kernel(name);
  return ({ x, y, cos, sin, batch = 1, heads, rows, width, tableStride = width / 2 }) => {
    host.checkSize(`${name} width / 2`, width / 2);
    host.checkSize(`${name} batch`, batch);
    host.checkSize(`${name} heads`, heads);
    host.checkMatrix(name, { x, y }, batch * heads * rows, width);
    if (!Number.isInteger(tableStride) || tableStride < width / 2) {
      throw new RangeError(`${name}: a table stride of ${tableStride} elements is less than half the width ${width}`);
    }
    const tableCount = rows === 0 || batch === 0 ? 0 : (batch * rows - 1) * tableStride + width / 2;
    host.checkRange(`${name} cos`, cos, tableCount);
    host.checkRange(`${name} sin`, sin, tableCount);
    if (width === 0) return;
    const strideBytes = tableStride * F32_BYTES;
    const division = { rows: batch * heads * rows, columns: width, grain: GRAIN };
    divideRows(host, run, division, (at, firstRow, size) => {
      const [head, row] = [Math.floor(firstRow / Math.max(1, rows)), firstRow % Math.max(1, rows)];
      const table = Math.floor(head / Math.max(1, heads)) * rows * strideBytes;
      const place = [row, head % Math.max(1, heads)];
      return [y + at, x + at, cos + table, sin + table, ...place, size, rows, heads, width / 2, strideBytes];
    });
  };
}
