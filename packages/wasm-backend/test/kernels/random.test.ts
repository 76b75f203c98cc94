import { fillRandomBits } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SEED, TIERS, arenaFor, size, valueSeed, values } from './support.js';

const word = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff }));
/** Around one group of 16 and one chunk of 4096 elements too. */
const count = fc.oneof(size(70), fc.integer({ min: 4090, max: 4100 }), fc.constant(9000));
const draw = fc.record({ count, low: word, high: word, stream: word });

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('random words are those of tensor-core, bit for bit', () => {
    const property = fc.property(draw, (given) => {
      arena.reset();
      const out = arena.output(given.count);
      const scratch = arena.bytes(kernels.randomScratchBytes);
      const seed = [given.low, given.high] as const;
      kernels.randomWords({ out, count: given.count, seed, stream: given.stream, scratch });
      arena.checkGuards();
      const drawn = new Uint32Array(kernels.memory.buffer, out, given.count).slice();
      expect(drawn).toEqual(fillRandomBits(new Uint32Array(given.count), seed, given.stream));
    });
    fc.assert(property, { seed: SEED, numRuns: 60 });
  });

  test('dropout zeroes the elements whose word is below the probability and scales the others, in place too', () => {
    const probability = fc.oneof(fc.constantFrom(0, 0.05, 0.5), fc.double({ min: 0, max: 0.999, noNaN: true }));
    const property = fc.property(draw, probability, valueSeed, fc.boolean(), (given, p, seedOfX, inPlace) => {
      arena.reset();
      const data = values(seedOfX, given.count, 10);
      const x = arena.f32(data);
      const y = inPlace ? x : arena.output(given.count);
      const scratch = arena.bytes(kernels.randomScratchBytes);
      const seed = [given.low, given.high] as const;
      kernels.dropout({ x, y, count: given.count, probability: p, seed, stream: given.stream, scratch });
      arena.checkGuards();
      const words = fillRandomBits(new Uint32Array(given.count), seed, given.stream);
      const factor = Math.fround(1 / (1 - p));
      const expected = data.map((value, i) => (((words[i] as number) >>> 8) * 2 ** -24 < p ? 0 : value * factor));
      expect(arena.read(y, given.count)).toEqual(expected);
    });
    fc.assert(property, { seed: SEED, numRuns: 60 });
  });

  test('what is dropped is zero even where it was NaN or infinite', () => {
    arena.reset();
    const x = arena.f32(new Float32Array(64).fill(Number.NaN));
    const scratch = arena.bytes(kernels.randomScratchBytes);
    kernels.dropout({ x, y: x, count: 64, probability: 0.999999, seed: [1, 2], stream: 3, scratch });
    expect(arena.read(x, 64).every((value) => Object.is(value, 0))).toBe(true);
  });

  test('operands outside the memory are refused by name', () => {
    arena.reset();
    const end = kernels.memory.buffer.byteLength;
    const common = { count: 4, seed: [0, 0] as const, stream: 0, scratch: 0 };
    expect(() => kernels.randomWords({ ...common, out: end })).toThrow(/randomWords out/);
    expect(() => kernels.dropout({ ...common, x: 0, y: end, probability: 0.5 })).toThrow(/dropout y/);
    expect(() => kernels.dropout({ ...common, x: 0, y: 0, probability: 0.5, scratch: end })).toThrow(/random scratch/);
  });
});
