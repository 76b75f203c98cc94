import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Tier } from '../../src/kernels/index.js';
import { arenaFor, multiplyAddOf, SEED, size, TIERS, values, valueSeed } from './support.js';

interface Case {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly accumulate: boolean;
  readonly padding: number;
  readonly seed: number;
}

/** Runs one product and returns the result beside the simple loop in the tier's own rounding, in the order of k. */
function runCase(arena: ReturnType<typeof arenaFor>, tier: Tier, test: Case, scale = 1): [Float32Array, Float32Array] {
  const { m, n, k, transposeA, transposeB, accumulate, padding, seed } = test;
  const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
  const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
  const rowStrideA = columnsA + padding;
  const rowStrideB = columnsB + padding;
  const rowStrideC = n + padding;
  const a = values(seed, rowsA * rowStrideA, scale);
  const b = values(seed + 1, rowsB * rowStrideB, scale);
  const c = values(seed + 2, m * rowStrideC);
  arena.reset();
  const offsets = { a: arena.f32(a), b: arena.f32(b), c: arena.f32(c) };
  const scratch = arena.bytes(arena.kernels.matmulScratchBytes(m, n, k));
  const strides = { rowStrideA, rowStrideB, rowStrideC };
  arena.kernels.matmul({ ...offsets, m, n, k, transposeA, transposeB, accumulate, scratch, ...strides });
  arena.checkGuards();
  const multiplyAdd = multiplyAddOf(tier);
  const expected = c.slice();
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < n; j += 1) {
      let sum = accumulate ? (c[i * rowStrideC + j] as number) : 0;
      for (let p = 0; p < k; p += 1) {
        const x = a[transposeA ? p * rowStrideA + i : i * rowStrideA + p] as number;
        const y = b[transposeB ? j * rowStrideB + p : p * rowStrideB + j] as number;
        sum = multiplyAdd(x, y, sum);
      }
      expected[i * rowStrideC + j] = sum;
    }
  }
  return [arena.read(offsets.c, c.length), expected];
}

const small = fc.record({
  m: size(40),
  n: size(40),
  k: size(40),
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  accumulate: fc.boolean(),
  padding: fc.constantFrom(0, 0, 1, 3),
  seed: valueSeed,
});

describe.each(TIERS)('matmul, tier %s', (tier) => {
  const arena = arenaFor(tier);

  test('equals the simple loop in the order of k, to the bit', () => {
    fc.assert(
      fc.property(small, (options) => {
        const [actual, expected] = runCase(arena, tier, options);
        expect(actual).toEqual(expected);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('large magnitudes, including overflow to infinity, equal the simple loop', () => {
    fc.assert(
      fc.property(small, fc.constantFrom(1e-30, 1e15, 1e19), (options, scale) => {
        const [actual, expected] = runCase(arena, tier, options, scale);
        expect(actual).toEqual(expected);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test.each([
    [7, 530, 300],
    [200, 9, 513],
    [187, 24, 257],
    [6, 8, 600],
    [540, 20, 300],
    [1, 600, 600],
    [64, 64, 64],
  ])('crosses every block border: %i x %i x %i', (m, n, k) => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const options = { m, n, k, transposeA, transposeB, accumulate: transposeA, padding: 0, seed: m };
        const [actual, expected] = runCase(arena, tier, options);
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
    expect(() => arena.kernels.matmul({ ...base, b: end - 60 })).toThrow(/matmul b: bytes .* outside the memory/);
    expect(() => arena.kernels.matmul({ ...base, scratch: end })).toThrow(/matmul scratch/);
    expect(() => arena.kernels.matmul({ ...base, a: -4 })).toThrow(/matmul a/);
    expect(() => arena.kernels.matmul({ ...base, m: 1.5 })).toThrow(/integer of at least 0/);
    expect(() => arena.kernels.matmul({ ...base, rowStrideA: 3 })).toThrow(/row stride of 3 elements/);
  });
});
