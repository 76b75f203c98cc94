/** Nested counted loops that move pointers by strides; what runs inside finds every pointer where its element is. */
import { i32 } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';

export interface Move {
  readonly pointer: Local<'i32'>;
  /** Bytes per turn. */
  readonly stride: Local<'i32'>;
}

/** One loop: its size, and the pointers that move along it. */
export interface Level {
  readonly size: Local<'i32'>;
  readonly moves: readonly Move[];
}

/** Runs `body` for every turn of all levels, outermost first. Pointers are afterwards what they were before. */
export function walk(f: FunctionBuilder, [level, ...inner]: readonly Level[], body: () => void): void {
  if (!level) return body();
  const start = level.moves.map(({ pointer }) => f.let('start', pointer));
  const turn = f.local('i32', 'turn');
  f.for({ index: turn, from: 0, below: level.size, step: 1 }, () => {
    walk(f, inner, body);
    for (const { pointer, stride } of level.moves) f.set(pointer, i32.add(pointer, stride));
  });
  level.moves.forEach(({ pointer }, i) => f.set(pointer, start[i]!));
}
