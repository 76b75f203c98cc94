import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, expectClose, matrixShape, rowsOf, SEED, sum, TIERS, values } from './support.js';

describe.each(TIERS)('reductions, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('reductions and the row broadcast', () => {
    fc.assert(
      fc.property(matrixShape, ({ rows, columns, seed, scale }) => {
        const [x, vector, before] = [
          values(seed, rows * columns, scale),
          values(seed + 1, columns),
          values(seed + 2, columns),
        ];
        arena.reset();
        const [input, v] = [arena.f32(x), arena.f32(vector)];
        const [columnSums, added] = [arena.f32(before), arena.output(x.length)];
        const squares = kernels.sumOfSquares(input, x.length);
        kernels.addColumnSums(columnSums, input, rows, columns);
        kernels.addRowVector(added, input, v, rows, columns);
        arena.checkGuards();
        const xs = rowsOf(x, rows, columns);
        expect(squares).toBeCloseTo(sum(Array.from(x, (e) => e * e)), 9 - Math.ceil(2 * Math.log10(scale)));
        const tolerance = { absolute: 2e-6 * scale + 1e-6, relative: 1e-6 };
        expectClose(
          arena,
          columnSums,
          [...before].map((b, c) => b + sum(xs.map((row) => row[c] as number))),
          tolerance,
        );
        expect(arena.read(added, x.length)).toEqual(x.map((e, i) => e + (vector[i % columns] as number)));
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('sumOfSquares of a million large and small values keeps double precision', () => {
    const count = 1_000_000;
    arena.reset();
    const x = values(7, count, 1e15);
    expect(kernels.sumOfSquares(arena.f32(x), count) / sum(Array.from(x, (v) => v * v))).toBeCloseTo(1, 12);
  });

  test('an empty sum is 0', () => {
    expect(kernels.sumOfSquares(0, 0)).toBe(0);
  });
});
