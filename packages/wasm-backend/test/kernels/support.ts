/** What kernel tests share: an arena over a kernel memory, seeded inputs, exact rounding, and the tiers of this engine. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { createKernels, supportsTier } from '../../src/kernels/index.js';
import type { Kernels, Tier } from '../../src/kernels/index.js';

/** The tiers that this engine runs. */
export const TIERS: readonly Tier[] = (['simd128', 'relaxed', 'revectorized'] as const).filter(supportsTier);

/** Seed of every property test, so that a failure repeats. */
export const SEED = 20_260;

/** Byte written around every allocation; a kernel that writes outside its operand changes one. */
const GUARD = 0xa5;
const GUARD_BYTES = 64;
const ARENA_PAGES = 256;

/** Allocates operands in a kernel memory, each between guard bytes. */
export class Arena {
  readonly kernels: Kernels;
  #next = 0;
  readonly #guards: number[] = [];

  constructor(kernels: Kernels) {
    this.kernels = kernels;
  }

  /** Starts over: every earlier operand is given up. */
  reset(): void {
    this.#next = 0;
    this.#guards.length = 0;
    this.#guard();
  }

  /** Space for `bytes` bytes; returns its offset. */
  bytes(bytes: number): number {
    const offset = this.#next;
    this.#next += Math.ceil(bytes / 4) * 4;
    const after = this.#next;
    this.#guard();
    // Padding up to the alignment belongs to the guard too.
    new Uint8Array(this.kernels.memory.buffer, offset + bytes, after - offset - bytes).fill(GUARD);
    return offset;
  }

  /** A copy of f32 values; returns its offset. */
  f32(values: ArrayLike<number>): number {
    const offset = this.bytes(values.length * 4);
    new Float32Array(this.kernels.memory.buffer, offset, values.length).set(values);
    return offset;
  }

  /** A copy of byte values; returns its offset. */
  u8(values: ArrayLike<number>): number {
    const offset = this.bytes(values.length);
    new Uint8Array(this.kernels.memory.buffer, offset, values.length).set(values);
    return offset;
  }

  /** Uninitialised f32 output (filled with NaN); returns its offset. */
  output(count: number): number {
    return this.f32(new Float32Array(count).fill(Number.NaN));
  }

  /** A copy of `count` values at `offset`. */
  read(offset: number, count: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, offset, count).slice();
  }

  /** Throws if a kernel wrote outside its operands. */
  checkGuards(): void {
    const memory = new Uint8Array(this.kernels.memory.buffer);
    for (const at of this.#guards) {
      for (let i = at; i < at + GUARD_BYTES; i += 1) {
        if (memory[i] !== GUARD) throw new Error(`guard byte at ${i} was overwritten`);
      }
    }
  }

  #guard(): void {
    new Uint8Array(this.kernels.memory.buffer, this.#next, GUARD_BYTES).fill(GUARD);
    this.#guards.push(this.#next);
    this.#next += GUARD_BYTES;
  }
}

/** Kernels of a tier with an arena of 16 MiB. */
export function arenaFor(tier: Tier): Arena {
  return new Arena(createKernels({ tier, memory: new WebAssembly.Memory({ initial: ARENA_PAGES }) }));
}

/** Deterministic values in [-1, 1) times `scale` (an integer hash of the index; Wang's mixing constants). */
export function values(seed: number, count: number, scale = 1): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    let h = Math.imul(i + 1, 0x9e37_79b1) ^ Math.imul(seed + 1, 0x85eb_ca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b_3c6d);
    h = Math.imul(h ^ (h >>> 12), 0x297a_2d39);
    return (((h ^ (h >>> 15)) >>> 0) / 2 ** 31 - 1) * scale;
  });
}

const bits = new DataView(new ArrayBuffer(8));

/** a * b + c rounded once to f32: the sum in f64 is rounded to odd first, which makes the second rounding harmless. */
export function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b; // exact: 24 + 24 bits fit f64
  const sum = product + c;
  const virtual = sum - product;
  const error = product - (sum - virtual) + (c - virtual);
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum);
  bits.setFloat64(0, sum);
  const low = bits.getUint32(4);
  if ((low & 1) === 0) {
    // Step one unit in the last place towards the error: away from zero if the signs agree, else towards zero.
    const whole = bits.getBigUint64(0);
    bits.setBigUint64(0, error > 0 === sum > 0 ? whole + 1n : whole - 1n);
  }
  return Math.fround(bits.getFloat64(0));
}

/** The multiply-add of a tier: all but `simd128` round once. */
export function multiplyAddOf(tier: Tier): (a: number, b: number, c: number) => number {
  return tier === 'simd128' ? (a, b, c) => Math.fround(c + Math.fround(a * b)) : fusedMultiplyAdd;
}

/** Largest |actual - expected| / (absolute + relative * |expected|); at most 1 passes. NaN and infinities must agree. */
export function worstError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: { absolute: number; relative: number },
): number {
  if (actual.length !== expected.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < expected.length; i += 1) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    if (Object.is(a, e) || a === e) continue;
    if (!Number.isFinite(a) || !Number.isFinite(e)) return Infinity;
    worst = Math.max(worst, Math.abs(a - e) / (tolerance.absolute + tolerance.relative * Math.abs(e)));
  }
  return worst;
}

/** Sizes that hit zero, one, whole tiles and remainders. */
export const size = (maximum: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(0, 1, 3, 4, 5, 8, 16).filter((n) => n <= maximum),
    fc.integer({ min: 0, max: maximum }),
  );

/** A seed for `values`. */
export const valueSeed: fc.Arbitrary<number> = fc.integer({ min: 0, max: 1_000_000 });

/** erf in double precision by its Maclaurin series, or 1 - its asymptotic continued fraction (A&S 7.1.5, 7.1.14). */
export function errorFunction(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  if (magnitude < 2.5) {
    let term = x;
    let total = x;
    for (let n = 1; n < 100; n += 1) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = 0;
  for (let k = 60; k >= 1; k -= 1) fraction = k / 2 / (magnitude + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (magnitude + fraction));
}

/** Shapes and magnitudes of the row kernels' matrices. */
export const matrixShape: fc.Arbitrary<{ rows: number; columns: number; seed: number; scale: number }> = fc.record({
  rows: size(9),
  columns: size(70),
  seed: valueSeed,
  scale: fc.constantFrom(1e-3, 1, 30),
});

/** Rows of a flat matrix. */
export function rowsOf(matrix: ArrayLike<number>, rows: number, columns: number): number[][] {
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_unused, c) => matrix[r * columns + c] as number),
  );
}

/** The sum of numbers, in order. */
export const sum = (terms: readonly number[]): number => terms.reduce((a, b) => a + b, 0);

/** Fails unless the f32 values at `offset` are within the tolerance of `expected`. */
export function expectClose(
  arena: Arena,
  offset: number,
  expected: readonly number[],
  tolerance: { absolute: number; relative: number },
): void {
  expect(worstError(arena.read(offset, expected.length), expected, tolerance)).toBeLessThanOrEqual(1);
}
