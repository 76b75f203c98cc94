/** Four vectors turned: lane j of vector i becomes lane i of vector j. */
import { i32x4 } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';

type Vector = Local<'v128'>;
export type FourVectors = readonly [Vector, Vector, Vector, Vector];

/** Emits eight shuffles, all of which x64 has as one instruction. */
export function transposed(f: FunctionBuilder, [a, b, c, d]: FourVectors): FourVectors {
  const shuffle = (x: Vector, y: Vector, lanes: readonly number[]): Vector =>
    f.let('shuffled', i32x4.shuffle(x, y, lanes));
  const [abLow, abHigh] = [shuffle(a, b, [0, 4, 1, 5]), shuffle(a, b, [2, 6, 3, 7])];
  const [cdLow, cdHigh] = [shuffle(c, d, [0, 4, 1, 5]), shuffle(c, d, [2, 6, 3, 7])];
  const [front, back] = [
    [0, 1, 4, 5],
    [2, 3, 6, 7],
  ] as const;
  return [
    shuffle(abLow, cdLow, front),
    shuffle(abLow, cdLow, back),
    shuffle(abHigh, cdHigh, front),
    shuffle(abHigh, cdHigh, back),
  ];
}
