/** What the iteration is for: singular values near 1, and the singular vectors of its argument. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReferenceDevice, full, mul, orthogonalize, tensor, transpose } from '../../src/index.js';
import { arbitrarySeed, assertClose, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice();
const close = { absolute: 1e-4 };
const arbitrarySides = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }));

describe('orthogonalize', () => {
  it('of a diagonal is what five rounds of the polynomial make of its entries', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 1, maxLength: 5 }),
        async (entries) => {
          const n = entries.length;
          const diagonal = Float32Array.from({ length: n * n }, (_, i) =>
            i % (n + 1) === 0 ? entries[i / (n + 1)]! : 0,
          );
          const norm = Math.hypot(...entries);
          const expected = entries.map((entry) => {
            let s = entry / norm;
            for (let i = 0; i < 5; i++) s = 3.4445 * s - 4.775 * s ** 3 + 2.0315 * s ** 5;
            return s;
          });
          const result = await orthogonalize(tensor(diagonal, [n, n])).data(device);
          for (let i = 0; i < n * n; i++)
            expect(result[i]).toBeCloseTo(i % (n + 1) === 0 ? expected[i / (n + 1)]! : 0, 3);
          // The smallest entry may be lost in the norm; those that are not have come near 1.
          expected.forEach((s, i) => {
            if (entries[i]! / norm > 0.05) expect(Math.abs(s - 0.95)).toBeLessThan(0.3);
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('does not see the scale of its argument, and transposes with it', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySides, arbitrarySeed(), fc.constantFrom(-12, -3, 3, 15), async (shape, seed, power) => {
        const matrix = toTensor(seededValue(shape, 'f32', 'ordinary', seed));
        const result = await readBack(orthogonalize(matrix), device);
        const scaled = orthogonalize(mul(matrix, 10 ** power), { epsilon: 1e-30 });
        assertClose(await readBack(scaled, device), result, 'scaled', close);
        assertClose(
          await readBack(transpose(orthogonalize(transpose(matrix))), device),
          result,
          'transposed and back',
          close,
        );
      }),
      { numRuns: 30 },
    );
  });

  it('of zeros is zero, of nothing nothing, of a vector an error', async () => {
    expect([...(await orthogonalize(full([2, 3], 0)).data(device))]).toEqual([0, 0, 0, 0, 0, 0]);
    expect((await orthogonalize(tensor(new Float32Array(0), [0, 3])).data(device)).length).toBe(0);
    expect(() => orthogonalize(full([3], 1))).toThrow(/orthogonalize takes a matrix, got shape \[3\]/);
  });
});
