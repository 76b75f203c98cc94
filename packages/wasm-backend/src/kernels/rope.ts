/**
 * Rotary position embedding, rotate-half convention (Su et al. 2021; the layout of Llama and Qwen).
 *
 * x [heads, rows, width] contiguous; cos and sin [rows, width / 2], shared by the heads. With x1, x2 the halves of a row:
 *
 *   forward   y1 = x1 cos - x2 sin,  y2 = x2 cos + x1 sin
 *   backward  the rotation by the opposite angle: dx1 = dy1 cos + dy2 sin,  dx2 = dy2 cos - dy1 sin
 *
 * Tables of width `width` whose halves are equal (transformers' form) are read with `tableStride = width`. `y` may be `x`.
 */
import { f32x4, i32 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import { forEachVector } from './vector-loop.js';

const UNROLL = 2;

/** Offsets in bytes, sizes in elements. */
export interface RopeArguments {
  readonly x: number;
  readonly y: number;
  readonly cos: number;
  readonly sin: number;
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
    heads: 'i32',
    rows: 'i32',
    half: 'i32',
    tableStride: 'i32',
  } as const;
  const plus = arithmetic.multiplyAdd;
  const minus = arithmetic.negativeMultiplyAdd;
  const [first, second] = direction === 1 ? [minus, plus] : [plus, minus];
  module.function({ name, parameters, result: 'void', exported: true }, (f, p) => {
    const halfBytes = f.let('halfBytes', i32.shl(p.half, 2));
    const table = rowCursors(f, p.cos, p.sin);
    const [cosRow, sinRow] = table.cursors as readonly [Local<'i32'>, Local<'i32'>];
    const [cos, sin, x1, x2, y1, y2] = ['cos', 'sin', 'x1', 'x2', 'y1', 'y2'].map((key) =>
      f.local('i32', key),
    ) as unknown as readonly [Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>, Local<'i32'>];
    const rows = f.local('i32', 'rowsLeft');
    f.set(x1, p.x);
    f.set(y1, p.y);
    forEachRow(f, p.heads, [], () => {
      table.reset();
      f.set(rows, p.rows);
      const steps = [
        [cosRow, p.tableStride],
        [sinRow, p.tableStride],
        [x1, halfBytes],
        [y1, halfBytes],
      ] as const;
      forEachRow(f, rows, steps, () => {
        f.set(cos, cosRow);
        f.set(sin, sinRow);
        f.set(x2, i32.add(x1, halfBytes));
        f.set(y2, i32.add(y1, halfBytes));
        forEachVector(f, { cursors: [cos, sin, x1, x2, y1, y2], count: p.half, unroll: UNROLL }, (lanes) => {
          const c = f.let('c', lanes.load(cos));
          const s = f.let('s', lanes.load(sin));
          const a = f.let('a', lanes.load(x1));
          const b = f.let('b', lanes.load(x2));
          f.do(lanes.store(y1, first(b, s, f32x4.mul(a, c))), lanes.store(y2, second(a, s, f32x4.mul(b, c))));
        });
      });
    });
  });
}

/** Binds both directions. */
export function bindRope(host: KernelHost): RopeKernels {
  return { rope: bindRotation(host, 'rope'), ropeBackward: bindRotation(host, 'ropeBackward') };
}

function bindRotation(host: KernelHost, name: string): (operands: RopeArguments) => void {
  const run = host.kernel(name);
  return ({ x, y, cos, sin, heads, rows, width, tableStride = width / 2 }) => {
    host.checkSize(`${name} width / 2`, width / 2);
    host.checkSize(`${name} heads`, heads);
    host.checkMatrix(name, { x, y }, heads * rows, width);
    if (!Number.isInteger(tableStride) || tableStride < width / 2) {
      throw new RangeError(`${name}: a table stride of ${tableStride} elements is less than half the width ${width}`);
    }
    const tableCount = rows === 0 ? 0 : (rows - 1) * tableStride + width / 2;
    host.checkRange(`${name} cos`, cos, tableCount);
    host.checkRange(`${name} sin`, sin, tableCount);
    run(y, x, cos, sin, heads, rows, width / 2, tableStride * 4);
  };
}
