/**
 * Packing of B into panels of 8 columns: panel q holds B[p, 8q .. 8q+7] at panels + q * 32 * k + 32 * p, so that the
 * micro-kernel reads one contiguous stream. Columns beyond n are zero. Three writers:
 * - `rows`: B is stored [k, n], whole panels: two vector copies per row;
 * - `transposed`: B is stored [n, k] (the layout of a linear layer's weight), whole panels: 4 x 4 transpositions;
 * - `edge`: the last, partial panel, of either storage, element by element.
 */
import { f32, i32, i32x4, memory, v128 } from '../../emit/index.js';
import type { FunctionReference, Local } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import { TILE_COLUMNS } from './blocking.js';

const ROW_BYTES = TILE_COLUMNS * 4;

/** The three packing functions. */
export interface Packing {
  /** (panels, b, bStride, k, columns): `columns` is a multiple of 8. */
  readonly rows: FunctionReference<'void'>;
  /** (panels, b, bStride, k, columns): `columns` is a multiple of 8, rows of B are `bStride` bytes apart. */
  readonly transposed: FunctionReference<'void'>;
  /** (panel, b, strideK, strideN, k, columns): B[p, j] at b + p * strideK + j * strideN, columns in 1..7. */
  readonly edge: FunctionReference<'void'>;
}

/** Emits the packing functions. */
export function emitPacking(context: KernelContext): Packing {
  return { rows: emitRows(context), transposed: emitTransposed(context), edge: emitEdge(context) };
}

const PANEL_PARAMETERS = { panels: 'i32', b: 'i32', bStride: 'i32', k: 'i32', columns: 'i32' } as const;

function emitRows(context: KernelContext): FunctionReference<'void'> {
  const signature = { name: 'packRows', parameters: PANEL_PARAMETERS, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const column = f.local('i32', 'column');
    const depth = f.local('i32', 'depth');
    const source = f.local('i32', 'source');
    f.for({ index: column, from: 0, below: p.columns, step: TILE_COLUMNS }, () => {
      f.set(source, i32.add(p.b, i32.shl(column, 2)));
      f.for({ index: depth, from: 0, below: p.k, step: 1 }, () => {
        f.do(v128.store(p.panels, v128.load(source)), v128.store(p.panels, v128.load(source, 16), 16));
        f.set(p.panels, i32.add(p.panels, ROW_BYTES));
        f.set(source, i32.add(source, p.bStride));
      });
    });
  });
}

function emitTransposed(context: KernelContext): FunctionReference<'void'> {
  const signature = { name: 'packTransposed', parameters: PANEL_PARAMETERS, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const column = f.local('i32', 'column');
    const depth = f.local('i32', 'depth');
    const source = Array.from({ length: TILE_COLUMNS }, (_, j) => f.local('i32', `source${j}`));
    const rows = Array.from({ length: 4 }, (_, i) => f.local('v128', `row${i}`)) as unknown as Four;
    const halves = Array.from({ length: 4 }, (_, i) => f.local('v128', `half${i}`)) as unknown as Four;
    const wholeDepth = f.let('wholeDepth', i32.and(p.k, -4));
    const advance = (bytes: number): void => {
      for (const pointer of source) f.set(pointer, i32.add(pointer, bytes));
    };
    f.for({ index: column, from: 0, below: p.columns, step: TILE_COLUMNS }, () => {
      source.forEach((pointer, j) => f.set(pointer, j === 0 ? p.b : i32.add(source[j - 1] as Local<'i32'>, p.bStride)));
      f.set(p.b, i32.add(source[TILE_COLUMNS - 1] as Local<'i32'>, p.bStride));
      f.for({ index: depth, from: 0, below: wholeDepth, step: 4 }, () => {
        for (const group of [0, 4]) {
          rows.forEach((row, i) => f.set(row, v128.load(source[group + i] as Local<'i32'>)));
          // [a0 b0 a1 b1], [a2 b2 a3 b3] and the same of c, d; then pairs of halves are the columns.
          f.set(halves[0], i32x4.shuffle(rows[0], rows[1], [0, 4, 1, 5]));
          f.set(halves[1], i32x4.shuffle(rows[0], rows[1], [2, 6, 3, 7]));
          f.set(halves[2], i32x4.shuffle(rows[2], rows[3], [0, 4, 1, 5]));
          f.set(halves[3], i32x4.shuffle(rows[2], rows[3], [2, 6, 3, 7]));
          const columns = [
            i32x4.shuffle(halves[0], halves[2], [0, 1, 4, 5]),
            i32x4.shuffle(halves[0], halves[2], [2, 3, 6, 7]),
            i32x4.shuffle(halves[1], halves[3], [0, 1, 4, 5]),
            i32x4.shuffle(halves[1], halves[3], [2, 3, 6, 7]),
          ];
          f.do(...columns.map((value, i) => v128.store(p.panels, value, i * ROW_BYTES + group * 4)));
        }
        advance(16);
        f.set(p.panels, i32.add(p.panels, 4 * ROW_BYTES));
      });
      f.for({ index: depth, from: wholeDepth, below: p.k, step: 1 }, () => {
        f.do(...source.map((pointer, j) => f32.store(p.panels, f32.load(pointer), 4 * j)));
        advance(4);
        f.set(p.panels, i32.add(p.panels, ROW_BYTES));
      });
    });
  });
}

type Four = readonly [Local<'v128'>, Local<'v128'>, Local<'v128'>, Local<'v128'>];

function emitEdge(context: KernelContext): FunctionReference<'void'> {
  const parameters = { panel: 'i32', b: 'i32', strideK: 'i32', strideN: 'i32', k: 'i32', columns: 'i32' } as const;
  return context.module.function({ name: 'packEdge', parameters, result: 'void', exported: false }, (f, p) => {
    const column = f.local('i32', 'column');
    const depth = f.local('i32', 'depth');
    const source = f.local('i32', 'source');
    const target = f.local('i32', 'target');
    f.do(memory.fill(p.panel, 0, i32.mul(p.k, ROW_BYTES)));
    f.for({ index: column, from: 0, below: p.columns, step: 1 }, () => {
      f.set(source, i32.add(p.b, i32.mul(column, p.strideN)));
      f.set(target, i32.add(p.panel, i32.shl(column, 2)));
      f.for({ index: depth, from: 0, below: p.k, step: 1 }, () => {
        f.do(f32.store(target, f32.load(source)));
        f.set(source, i32.add(source, p.strideK));
        f.set(target, i32.add(target, ROW_BYTES));
      });
    });
  });
}
