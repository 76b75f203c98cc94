/** Nested counted loops that move pointers by strides; what runs inside finds every pointer where its element is. */
import { i32 } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';
import { minimum } from '../kernels/matmul/strip.js';

type Counter = Local<'i32'>;

export interface Move {
  readonly pointer: Counter;
  /** Bytes per turn. */
  readonly stride: Counter;
}

/** One loop: its size, and the pointers that move along it. */
export interface Level {
  readonly size: Counter;
  readonly moves: readonly Move[];
}

/** Runs `body` for every turn of all levels, outermost first. Pointers are afterwards what they were before. */
export function walk(f: FunctionBuilder, [level, ...inner]: readonly Level[], body: () => void): void {
  if (!level) return body();
  returning(f, level, () => turns(f, level, level.size, () => walk(f, inner, body)));
}

/** As `walk`, and `afterBlock` after at most `length` turns of the innermost level. */
export function walkInBlocks(
  f: FunctionBuilder,
  levels: readonly Level[],
  length: number,
  body: () => void,
  afterBlock: () => void,
): void {
  const last = levels.at(-1);
  walk(f, levels.slice(0, -1), () => {
    if (!last) {
      body();
      return afterBlock();
    }
    returning(f, last, () =>
      inBlocks(f, last.size, length, (count) => {
        turns(f, last, count, body);
        afterBlock();
      }),
    );
  });
}

/** Cuts `count` into blocks of `length` and a rest, and runs `body` for each with its size. */
export function inBlocks(f: FunctionBuilder, count: Counter, length: number, body: (count: Counter) => void): void {
  const remaining = f.let('remaining', count);
  const block = f.local('i32', 'block');
  f.if(remaining, () => {
    f.loop((again) => {
      f.set(block, minimum(remaining, length));
      body(block);
      f.set(remaining, i32.sub(remaining, block));
      f.branchIf(again, remaining);
    });
  });
}

function returning(f: FunctionBuilder, { moves }: Level, body: () => void): void {
  const start = moves.map(({ pointer }) => f.let('start', pointer));
  body();
  moves.forEach(({ pointer }, i) => f.set(pointer, start[i]!));
}

function turns(f: FunctionBuilder, { moves }: Level, count: Counter, body: () => void): void {
  const turn = f.local('i32', 'turn');
  f.for({ index: turn, from: 0, below: count, step: 1 }, () => {
    body();
    for (const { pointer, stride } of moves) f.set(pointer, i32.add(pointer, stride));
  });
}
