import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fillNormal,
  fillRandomBits,
  fillUniform,
  multiplyHigh32,
  normalPair,
  philox4x32,
  type Seed,
  uniform01,
} from '../src/random/philox.js';

const word = fc.integer({ min: 0, max: 0xffffffff });
const seed: fc.Arbitrary<Seed> = fc.tuple(word, word);

describe('philox4x32', () => {
  const ones = 0xffffffff;
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], expected: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      counter: [ones, ones, ones, ones],
      key: [ones, ones],
      expected: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      expected: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ] as const)('matches the Random123 vector of counter $counter', ({ counter, key, expected }) => {
    expect(philox4x32(counter, key)).toEqual(expected);
  });

  it('multiplies exactly', () => {
    fc.assert(
      fc.property(word, word, (a, b) => multiplyHigh32(a, b) === Number((BigInt(a) * BigInt(b)) >> 32n)),
      {
        numRuns: 2000,
        examples: [
          [ones, ones],
          [0xffff0000, 0xffff],
          [0x10000, 0x10000],
        ],
      },
    );
  });

  it('agrees with the definition written in big integers', () => {
    const byDefinition = (counter: readonly number[], key: readonly number[]): number[] => {
      let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
      let [k0, k1] = key.map(BigInt) as [bigint, bigint];
      const mask = 0xffffffffn;
      for (let round = 0; round < 10; round++) {
        const [first, second] = [0xd2511f53n * c0, 0xcd9e8d57n * c2];
        [c0, c1, c2, c3] = [(second >> 32n) ^ c1 ^ k0, second & mask, (first >> 32n) ^ c3 ^ k1, first & mask];
        [k0, k1] = [(k0 + 0x9e3779b9n) & mask, (k1 + 0xbb67ae85n) & mask];
      }
      return [c0, c1, c2, c3].map(Number);
    };
    fc.assert(
      fc.property(fc.tuple(word, word, word, word), seed, (counter, key) => {
        expect(philox4x32(counter, key)).toEqual(byDefinition(counter, key));
      }),
    );
  });
});

describe('random tensors', () => {
  it('puts element i in word i mod 4 of block i / 4, with the stream in the third counter word', () => {
    fc.assert(
      fc.property(seed, word, fc.integer({ min: 0, max: 2 ** 50 }), (key, stream, index) => {
        const block = Math.floor(index / 4);
        const expected = philox4x32([block % 2 ** 32, Math.floor(block / 2 ** 32), stream, 0], key)[index % 4];
        expect(fillRandomBits(new Uint32Array(1), key, stream, index)[0]).toBe(expected);
      }),
    );
  });

  it.each([
    { name: 'bits', fill: (n: number, key: Seed, at: number) => fillRandomBits(new Uint32Array(n), key, 7, at) },
    { name: 'uniform', fill: (n: number, key: Seed, at: number) => fillUniform(new Float32Array(n), key, 7, at) },
    { name: 'normal', fill: (n: number, key: Seed, at: number) => fillNormal(new Float64Array(n), key, 7, at) },
  ])('$name: filled in pieces equals filled at once', ({ fill }) => {
    const size = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 4090, max: 4100 }));
    fc.assert(
      fc.property(seed, fc.integer({ min: 0, max: 9 }), size, size, (key, at, first, second) => {
        const whole = fill(first + second, key, at);
        expect(whole.slice(0, first)).toEqual(fill(first, key, at));
        expect(whole.slice(first)).toEqual(fill(second, key, at + first));
      }),
    );
  });

  it('converts words as the formulas say', () => {
    expect([uniform01(0), uniform01(0xff), uniform01(0x100), uniform01(0xffffffff)]).toEqual([
      0,
      0,
      2 ** -24,
      1 - 2 ** -24,
    ]);
    fc.assert(
      fc.property(seed, (key) => {
        const words = fillRandomBits(new Uint32Array(6), key);
        expect([...fillUniform(new Float32Array(6), key)]).toEqual([...words].map(uniform01));
        const pairs = [0, 2, 4].flatMap((i) => normalPair(words[i]!, words[i + 1]!));
        expect([...fillNormal(new Float64Array(6), key)]).toEqual(pairs);
      }),
    );
    const [cosine, sine] = normalPair(0xffffffff, 0x40000000); // ln 1 = 0
    expect([Math.abs(cosine), Math.abs(sine)]).toEqual([0, 0]);
    expect(normalPair(0, 0)[0]).toBeCloseTo(Math.sqrt(48 * Math.LN2), 12); // the largest: 5.768
  });

  it('has the moments of the distributions it names', () => {
    const n = 200_000;
    const mean = (values: Float64Array, power: number): number => values.reduce((sum, x) => sum + x ** power, 0) / n;
    const uniform = fillUniform(new Float64Array(n), [1, 2]);
    expect(mean(uniform, 1)).toBeCloseTo(1 / 2, 2);
    expect(mean(uniform, 2)).toBeCloseTo(1 / 3, 2);
    const normal = fillNormal(new Float64Array(n), [1, 2]);
    expect(Math.abs(mean(normal, 1))).toBeLessThan(0.01);
    expect(Math.abs(mean(normal, 2) - 1)).toBeLessThan(0.02);
    expect(Math.abs(mean(normal, 3))).toBeLessThan(0.03);
    expect(Math.abs(mean(normal, 4) - 3)).toBeLessThan(0.1);
  });

  it.each([-1, 0.5, NaN, 2 ** 53])('refuses the offset %s', (offset) => {
    expect(() => fillRandomBits(new Uint32Array(1), [0, 0], 0, offset)).toThrow(/random element offset is/);
  });
});
