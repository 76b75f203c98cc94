import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tier } from '../../src/kernels/index.js';
import { type ProductCase, operandsOf, placed, productCase, simpleLoop } from './matmul-cases.js';
import { arenaFor, TIERS, values } from './support.js';

/** Runs one product and returns the result beside the simple loop. */
function runCase(arena: ReturnType<typeof arenaFor>, tier: Tier, test: ProductCase, scale = 1) {
  const operands = operandsOf(test, { scale });
  const call = placed(arena, test, operands);
  arena.kernels.matmul(call);
  arena.checkGuards();
  return [arena.read(call.c, operands.c.length), simpleLoop(tier, test, operands)] as const;
}

const small = productCase(40);

describe.each(TIERS)('matmul, tier %s', (tier) => {
  const arena = arenaFor(tier);

  test('equals the simple loop in the order of k, to the bit', () => {
    fc.assert(
      fc.property(small, (options) => {
        const [actual, expected] = runCase(arena, tier, options);
        expect(actual).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  test('large magnitudes, including overflow to infinity, equal the simple loop', () => {
    fc.assert(
      fc.property(small, fc.constantFrom(1e-30, 1e15, 1e19), (options, scale) => {
        const [actual, expected] = runCase(arena, tier, options, scale);
        expect(actual).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  test('NaN and infinities equal the simple loop', () => {
    const special = fc.array(fc.constantFrom(Number.NaN, Infinity, -Infinity, -0), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(small, special, (options, specials) => {
        const [actual, expected] = runCase(arena, tier, { ...options, specials });
        expect(actual).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  // Blocks are 90 rows and 512 deep, cells 128 columns, or 512 up to 180 rows; chunks 2048 deep, 4096 rows and columns.
  test.each([
    [7, 530, 300],
    [200, 9, 513],
    [187, 24, 257],
    [6, 8, 600],
    [181, 150, 40],
    [91, 520, 20],
    [5, 20, 2060],
    [190, 3, 2060],
    [17, 4100, 3],
    [4100, 3, 2],
    [1, 600, 600],
    [4, 4100, 5],
    [64, 64, 64],
  ])('crosses every block border: %i x %i x %i', (m, n, k) => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const accumulate = transposeA !== transposeB;
        const sizes = { m, n, k, transposeA, transposeB, accumulate, padding: 0, seed: m, specials: [] };
        const [actual, expected] = runCase(arena, tier, sizes);
        expect(actual).toEqual(expected);
      }
    }
  });

  test('a NaN or infinity in A or B reaches exactly its row or column', () => {
    const [m, n, k] = [9, 11, 5];
    arena.reset();
    const a = values(1, m * k);
    a[2 * k + 3] = Number.NaN;
    const b = values(2, k * n);
    b[10] = Infinity;
    const c = arena.output(m * n);
    const scratch = arena.bytes(arena.kernels.matmulScratchBytes(m, n, k));
    arena.kernels.matmul({ a: arena.f32(a), b: arena.f32(b), c, m, n, k, scratch });
    const result = arena.read(c, m * n);
    for (let i = 0; i < m; i += 1) {
      for (let j = 0; j < n; j += 1) {
        const value = result[i * n + j] as number;
        expect(Number.isNaN(value)).toBe(i === 2);
        if (i !== 2) expect(Number.isFinite(value)).toBe(j !== 10);
      }
    }
  });

  test('an operand outside the memory or a short stride is an error that names it', () => {
    const end = arena.kernels.memory.buffer.byteLength;
    const base = { a: 0, b: 0, c: 0, m: 4, n: 4, k: 4, scratch: 1024 };
    const call = (wrong: object) => (): void => arena.kernels.matmul({ ...base, ...wrong });
    expect(call({ b: end - 60 })).toThrow(/matmul b: bytes .* outside the memory/);
    expect(call({ scratch: end })).toThrow(/matmul scratch/);
    expect(call({ a: -4 })).toThrow(/matmul a/);
    expect(call({ m: 1.5 })).toThrow(/integer of at least 0/);
    expect(call({ rowStrideA: 3 })).toThrow(/row stride of 3 elements/);
    expect(call({ bias: end - 12 })).toThrow(/matmul bias/);
    expect(call({ residual: end - 60 })).toThrow(/matmul residual/);
    expect(call({ packed: end - 60 })).toThrow(/matmul packed/);
    expect(call({ c: end - 64, batch: 2 })).toThrow(/matmul c/);
    expect(() => arena.kernels.packWeight({ b: end - 60, n: 4, k: 4 }, 0)).toThrow(/matmul b/);
  });
});

test('all tiers with a fused multiply-add have the same bits', () => {
  const arenas = TIERS.filter((tier) => tier !== 'simd128').map(arenaFor);
  fc.assert(
    fc.property(productCase(200), (options) => {
      const operands = operandsOf(options);
      const [first, ...others] = arenas.map((arena) => {
        const call = placed(arena, options, operands);
        arena.kernels.matmul(call);
        return arena.read(call.c, operands.c.length);
      });
      for (const other of others) expect(other).toEqual(first);
    }),
    { numRuns: 30 },
  );
});
