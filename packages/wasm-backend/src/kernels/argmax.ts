/**
 * Index of the first largest element of each row, or of its first NaN: x [rows, columns] → i32 [rows], columns at least 1.
 *
 * Two passes over a row: its largest element, four vectors at a time, then the first place that equals it. The second stops
 * where it finds one, and zeros of either sign are equal, as they are to the op's own comparison.
 */
import { f32x4, i32, i32x4, v128 } from '../emit/index.js';
import type { Expression, Local, Operand } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { Accumulators, forEachVector } from './vector-loop.js';

const UNROLL = 4;
/** Elements that are worth a part of the work of their own. */
const GRAIN = 2 ** 15;

export type OrderedType = 'f32' | 'i32' | 'u32';

/** Searches along rows. */
export interface ArgmaxKernels {
  /** Offsets in bytes; `x` [rows, columns] of `dtype`, `out` i32 [rows]. */
  argmax(dtype: OrderedType, out: number, x: number, rows: number, columns: number): void;
}

type Pairwise = (a: Operand<'v128'>, b: Operand<'v128'>) => Expression<'v128'>;

interface Order {
  readonly larger: Pairwise;
  readonly equal: Pairwise;
}

const ORDERS: Readonly<Record<OrderedType, Order>> = {
  // One instruction; a NaN is looked for apart.
  f32: { larger: (best, x) => f32x4.pmax(best, x), equal: f32x4.eq },
  i32: { larger: i32x4.maxSigned, equal: i32x4.eq },
  u32: { larger: i32x4.maxUnsigned, equal: i32x4.eq },
};

const ORDERED_TYPES = Object.keys(ORDERS) as readonly OrderedType[];

/** Emits a kernel per type. */
export function emitArgmax(context: KernelContext): void {
  for (const dtype of ORDERED_TYPES) emitSearch(context, dtype);
}

function emitSearch({ module }: KernelContext, dtype: OrderedType): void {
  const { larger, equal } = ORDERS[dtype];
  const parameters = { out: 'i32', x: 'i32', rows: 'i32', columns: 'i32' } as const;
  module.function({ name: `argmax_${dtype}`, parameters, result: 'void', exported: true }, (f, p) => {
    const [cursor, left] = [f.local('i32', 'cursor'), f.local('i32', 'left')];
    const best = new Accumulators(f, 'best', UNROLL);
    const unordered = new Accumulators(f, 'unordered', UNROLL);
    /** Moves the cursor to the first element that is found, which there is. */
    const seek = (found: (x: Expression<'v128'>) => Expression<'v128'>): void => {
      f.set(cursor, p.x);
      f.set(left, p.columns);
      f.block((done) => {
        f.countDown(left, 4, () => {
          const x = f.let('x', v128.load(cursor));
          f.branchIf(done, v128.anyTrue(found(x)));
          f.set(cursor, i32.add(cursor, 4 * F32_BYTES));
        });
      });
      f.block((done) => {
        f.loop((again) => {
          const x = f.let('x', v128.load32Splat(cursor));
          f.branchIf(done, v128.anyTrue(found(x)));
          f.set(cursor, i32.add(cursor, F32_BYTES));
          f.branch(again);
        });
      });
    };
    f.countDown(p.rows, 1, () => {
      best.fill(v128.load32Splat(p.x));
      if (dtype === 'f32') unordered.fill(i32x4.constant(0, 0, 0, 0));
      f.set(cursor, p.x);
      forEachVector(f, { cursors: [cursor], count: p.columns, unroll: UNROLL }, (lanes) => {
        const x = f.let('x', lanes.load(cursor));
        f.set(best.of(lanes.copy), larger(best.of(lanes.copy), x));
        if (dtype !== 'f32') return;
        const seen: Local<'v128'> = unordered.of(lanes.copy);
        f.set(seen, v128.or(seen, f32x4.ne(x, x)));
      });
      const largest = best.combine(larger);
      const toLargest = (): void => seek((x) => equal(x, largest));
      if (dtype === 'f32') {
        const any = unordered.combine(v128.or);
        f.if(v128.anyTrue(any), () => seek((x) => f32x4.ne(x, x)), toLargest);
      } else toLargest();
      f.do(i32.store(p.out, i32.shrUnsigned(i32.sub(cursor, p.x), 2)));
      f.set(p.out, i32.add(p.out, F32_BYTES));
      f.set(p.x, i32.add(p.x, i32.shl(p.columns, 2)));
    });
  });
}

/** Binds the kernels; they divide the rows. */
export function bindArgmax(host: KernelHost): ArgmaxKernels {
  const kernels = Object.fromEntries(ORDERED_TYPES.map((dtype) => [dtype, host.kernel(`argmax_${dtype}`)]));
  return {
    argmax(dtype, out, x, rows, columns) {
      host.checkMatrix('argmax', { x }, rows, columns);
      host.checkRange('argmax out', out, rows);
      if (columns === 0 && rows > 0) throw new RangeError('argmax columns is 0; a row needs an element');
      host.divide(kernels[dtype]!, { count: rows, grain: Math.ceil(GRAIN / Math.max(1, columns)) }, (first, count) => [
        out + first * F32_BYTES,
        x + first * columns * F32_BYTES,
        count,
        columns,
      ]);
    },
  };
}
