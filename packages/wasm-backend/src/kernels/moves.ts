/**
 * Moves of elements whose value is no matter: runs of bytes between two layouts, and transposes.
 *
 *   copyRuns    to[i, j, …run] = from[i, j, …run], with any strides of i and j on either side
 *   transpose   to[i, r, c] = from[i, c, r], where c is contiguous in `to` and r in `from`
 *
 * A transpose of words goes in blocks of 8 rows by 4 columns: two tiles of 4 x 4 are turned in registers, so that loads and
 * stores are whole vectors. More rows would make the lines that are written fall out of the cache where rows are a power of
 * two apart. Bytes and halves are moved one by one.
 */
import { i32, memory, v128 } from '../emit/index.js';
import type { FunctionBuilder, Local, Statement } from '../emit/index.js';
import type { KernelContext, KernelHost } from './host.js';
import { type FourVectors, transposed } from './transposed.js';

/** Runs from this length on are copied by the engine. */
const LONG_RUN = 1024;
/** Bytes that are worth a part of the work of their own. */
const GRAIN = 2 ** 17;
const VECTOR = 16;
const TILE = 4;
/** Tiles of a block, one below the other in `to`. */
const BLOCK_TILES = 2;

export type ElementBytes = 1 | 2 | 4;

/** A loop around a move: how often, and how many bytes apart. */
export interface MoveLoop {
  readonly count: number;
  readonly to: number;
  readonly from: number;
}

/** Offsets in bytes. The operands do not overlap. */
export interface CopyRunsArguments {
  readonly to: number;
  readonly from: number;
  readonly runBytes: number;
  readonly inner: MoveLoop;
  readonly outer: MoveLoop;
}

/** Offsets and strides in bytes. The operands do not overlap. */
export interface TransposeArguments {
  readonly to: number;
  readonly from: number;
  readonly elementBytes: ElementBytes;
  /** Rows of `to`, `toStride` apart; neighbours in `from`. */
  readonly rows: number;
  /** Neighbours in `to`; `fromStride` apart in `from`. */
  readonly columns: number;
  readonly toStride: number;
  readonly fromStride: number;
  readonly outer: MoveLoop;
}

/** Moves between layouts. */
export interface MoveKernels {
  copyRuns(operands: CopyRunsArguments): void;
  transpose(operands: TransposeArguments): void;
}

const transposeName = (bytes: ElementBytes): string => `transpose_${bytes}`;

/** Emits all moves. */
export function emitMoves(context: KernelContext): void {
  emitCopyRuns(context);
  for (const bytes of [1, 2, 4] as const) emitTranspose(context, bytes);
}

/** How one element goes from address to address. */
const MOVE_ONE: Readonly<Record<ElementBytes, (to: Local<'i32'>, from: Local<'i32'>) => Statement>> = {
  1: (to, from) => i32.store8(to, i32.load8Unsigned(from)),
  2: (to, from) => i32.store16(to, i32.load16Unsigned(from)),
  4: (to, from) => i32.store(to, i32.load(from)),
};

function emitCopyRuns({ module }: KernelContext): void {
  const parameters = {
    to: 'i32',
    from: 'i32',
    runBytes: 'i32',
    inner: 'i32',
    innerTo: 'i32',
    innerFrom: 'i32',
    outer: 'i32',
    outerTo: 'i32',
    outerFrom: 'i32',
  } as const;
  module.function({ name: 'copyRuns', parameters, result: 'void', exported: true }, (f, p) => {
    const index = (name: string): Local<'i32'> => f.local('i32', name);
    const [rowTo, rowFrom, to, from] = [index('rowTo'), index('rowFrom'), index('runTo'), index('runFrom')];
    const [inner, left] = [index('innerLeft'), index('left')];
    const pieces: readonly (readonly [number, () => Statement])[] = [
      [VECTOR, () => v128.store(to, v128.load(from))],
      [4, () => MOVE_ONE[4](to, from)],
      [1, () => MOVE_ONE[1](to, from)],
    ];
    const forEachRun = (body: () => void): void => {
      f.countDown(p.outer, 1, () => {
        f.set(rowTo, p.to);
        f.set(rowFrom, p.from);
        f.set(inner, p.inner);
        f.countDown(inner, 1, () => {
          body();
          f.set(rowTo, i32.add(rowTo, p.innerTo));
          f.set(rowFrom, i32.add(rowFrom, p.innerFrom));
        });
        f.set(p.to, i32.add(p.to, p.outerTo));
        f.set(p.from, i32.add(p.from, p.outerFrom));
      });
    };
    f.if(i32.geUnsigned(p.runBytes, LONG_RUN), () => {
      forEachRun(() => f.do(memory.copy(rowTo, rowFrom, p.runBytes)));
      f.return();
    });
    // Elements that stand alone, the commonest short run.
    f.if(i32.eq(p.runBytes, 4), () => {
      forEachRun(() => f.do(MOVE_ONE[4](rowTo, rowFrom)));
      f.return();
    });
    forEachRun(() => {
      f.set(to, rowTo);
      f.set(from, rowFrom);
      f.set(left, p.runBytes);
      for (const [bytes, move] of pieces) {
        f.countDown(left, bytes, () => {
          f.do(move());
          f.set(to, i32.add(to, bytes));
          f.set(from, i32.add(from, bytes));
        });
      }
    });
  });
}

function emitTranspose({ module }: KernelContext, bytes: ElementBytes): void {
  const parameters = {
    to: 'i32',
    from: 'i32',
    rows: 'i32',
    columns: 'i32',
    toStride: 'i32',
    fromStride: 'i32',
    outer: 'i32',
    outerTo: 'i32',
    outerFrom: 'i32',
  } as const;
  module.function({ name: transposeName(bytes), parameters, result: 'void', exported: true }, (f, p) => {
    const index = (name: string): Local<'i32'> => f.local('i32', name);
    const [rowTo, rowFrom, to, from, rows, columns] = [
      index('rowTo'),
      index('rowFrom'),
      index('blockTo'),
      index('blockFrom'),
      index('rowsLeft'),
      index('columnsLeft'),
    ];
    const move = { to, from, toStride: p.toStride, fromStride: p.fromStride };
    f.countDown(p.outer, 1, () => {
      f.set(rowTo, p.to);
      f.set(rowFrom, p.from);
      f.set(rows, p.rows);
      for (const height of bytes === 4 ? [BLOCK_TILES * TILE, TILE, 1] : [1]) {
        f.countDown(rows, height, () => {
          f.set(to, rowTo);
          f.set(from, rowFrom);
          f.set(columns, p.columns);
          const step = (width: number): void => {
            f.set(to, i32.add(to, width * bytes));
            f.set(from, i32.add(from, i32.mul(p.fromStride, width)));
          };
          if (height >= TILE) {
            f.countDown(columns, TILE, () => {
              turnTiles(f, move, height / TILE);
              step(TILE);
            });
          }
          f.countDown(columns, 1, () => {
            const [target, source] = [f.let('target', to), f.let('source', from)];
            for (let row = 0; row < height; row++) {
              f.do(MOVE_ONE[bytes](target, source));
              if (row === height - 1) break;
              f.set(target, i32.add(target, p.toStride));
              f.set(source, i32.add(source, bytes));
            }
            step(1);
          });
          f.set(rowTo, i32.add(rowTo, i32.mul(p.toStride, height)));
          f.set(rowFrom, i32.add(rowFrom, height * bytes));
        });
      }
      f.set(p.to, i32.add(p.to, p.outerTo));
      f.set(p.from, i32.add(p.from, p.outerFrom));
    });
  });
}

interface Tile {
  readonly to: Local<'i32'>;
  readonly from: Local<'i32'>;
  readonly toStride: Local<'i32'>;
  readonly fromStride: Local<'i32'>;
}

/** 4 columns of `tiles` times 4 rows. */
function turnTiles(f: FunctionBuilder, { to, from, toStride, fromStride }: Tile, tiles: number): void {
  const source = f.let('source', from);
  const columns: Local<'v128'>[][] = Array.from({ length: tiles }, () => []);
  for (let column = 0; column < TILE; column++) {
    if (column > 0) f.set(source, i32.add(source, fromStride));
    columns.forEach((tile, i) => tile.push(f.let('column', v128.load(source, i * VECTOR))));
  }
  const target = f.let('target', to);
  columns.forEach((tile, i) => {
    transposed(f, tile as unknown as FourVectors).forEach((row, r) => {
      if (i + r > 0) f.set(target, i32.add(target, toStride));
      f.do(v128.store(target, row));
    });
  });
}

/** Bytes from the first to behind the last element of a move. */
const span = (last: number, ...loops: readonly (readonly [count: number, stride: number])[]): number =>
  loops.reduce((bytes, [count, stride]) => bytes + (count - 1) * stride, last);

/** Binds all moves; they divide their longest loop. */
export function bindMoves(host: KernelHost): MoveKernels {
  const copyRuns = host.kernel('copyRuns');
  const transposes = { 1: host.kernel('transpose_1'), 2: host.kernel('transpose_2'), 4: host.kernel('transpose_4') };
  return {
    copyRuns({ to, from, runBytes, inner, outer }) {
      host.checkSize('copyRuns runBytes', runBytes);
      host.checkSize('copyRuns inner count', inner.count);
      host.checkSize('copyRuns outer count', outer.count);
      if (runBytes * inner.count * outer.count === 0) return;
      host.checkRange('copyRuns to', to, span(runBytes, [inner.count, inner.to], [outer.count, outer.to]), 1);
      host.checkRange('copyRuns from', from, span(runBytes, [inner.count, inner.from], [outer.count, outer.from]), 1);
      const [most, rest] = inner.count > outer.count ? [inner, outer] : [outer, inner];
      const grain = Math.ceil(GRAIN / (rest.count * runBytes));
      host.divide(copyRuns, { count: most.count, grain }, (first, count) => {
        const part = { ...most, count };
        const [within, around] = most === inner ? [part, outer] : [inner, part];
        return [
          to + first * most.to,
          from + first * most.from,
          runBytes,
          within.count,
          within.to,
          within.from,
          around.count,
          around.to,
          around.from,
        ];
      });
    },
    transpose({ to, from, elementBytes, rows, columns, toStride, fromStride, outer }) {
      host.checkSize('transpose rows', rows);
      host.checkSize('transpose columns', columns);
      host.checkSize('transpose outer count', outer.count);
      const bytes = rows * columns * elementBytes;
      if (bytes * outer.count === 0) return;
      const ends = {
        to: span(elementBytes, [columns, elementBytes], [rows, toStride], [outer.count, outer.to]),
        from: span(elementBytes, [rows, elementBytes], [columns, fromStride], [outer.count, outer.from]),
      };
      host.checkRange('transpose to', to, ends.to, 1);
      host.checkRange('transpose from', from, ends.from, 1);
      const values = (at: readonly [number, number], ownRows: number, count: number): readonly number[] => [
        ...at,
        ownRows,
        columns,
        toStride,
        fromStride,
        count,
        outer.to,
        outer.from,
      ];
      if (outer.count >= rows) {
        host.divide(transposes[elementBytes], { count: outer.count, grain: Math.ceil(GRAIN / bytes) }, (first, count) =>
          values([to + first * outer.to, from + first * outer.from], rows, count),
        );
      } else {
        const grain = Math.ceil((GRAIN * rows) / (bytes * outer.count));
        const division = { count: rows, grain, multiple: BLOCK_TILES * TILE };
        host.divide(transposes[elementBytes], division, (first, count) =>
          values([to + first * toStride, from + first * elementBytes], count, outer.count),
        );
      }
    },
  };
}
