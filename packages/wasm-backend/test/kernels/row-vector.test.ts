import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, matrixShape, TIERS, values } from './support.js';

describe.each(TIERS)('a vector over rows, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('is added to each row, in place too', () => {
    fc.assert(
      fc.property(matrixShape, fc.boolean(), ({ rows, columns, seed, scale }, inPlace) => {
        const [x, vector] = [values(seed, rows * columns, scale), values(seed + 1, columns)];
        arena.reset();
        const [input, v] = [arena.f32(x), arena.f32(vector)];
        const added = inPlace ? input : arena.output(x.length);
        kernels.addRowVector(added, input, v, rows, columns);
        arena.checkGuards();
        expect(arena.read(added, x.length)).toEqual(x.map((e, i) => e + (vector[i % columns] as number)));
      }),
      { numRuns: 80 },
    );
  });
});
