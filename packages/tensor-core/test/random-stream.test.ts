import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { philox4x32 } from '../src/random/philox.js';
import { RandomStream, type RandomStreamState } from '../src/random/random-stream.js';
import { seedFromNumber, seedFromString } from '../src/random/seed.js';

describe('seeds', () => {
  it.each([
    ['', [0x84222325, 0xcbf29ce4]],
    ['a', [0x8601ec8c, 0xaf63dc4c]],
    ['foobar', [0xf73967e8, 0x85944171]],
  ])('hashes %j as the published FNV-1a vectors', (text, expected) => {
    expect(seedFromString(text)).toEqual(expected);
  });

  it('hashes any text as FNV-1a in big integers', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        let hash = 0xcbf29ce484222325n;
        for (const byte of new TextEncoder().encode(text))
          hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
        expect(seedFromString(text)).toEqual([Number(hash & 0xffffffffn), Number(hash >> 32n)]);
      }),
    );
  });

  it('keeps all 53 bits of a number and refuses what is not one', () => {
    expect(seedFromNumber(42)).toEqual([42, 0]);
    expect(seedFromNumber(2 ** 53 - 1)).toEqual([0xffffffff, 0x1fffff]);
    for (const seed of [-1, 1.5, NaN, 2 ** 53]) expect(() => seedFromNumber(seed)).toThrow(/seed is/);
  });
});

describe('RandomStream', () => {
  const draws = (stream: RandomStream, count: number): number[] => Array.from({ length: count }, () => stream.bits());

  it('is word p mod 4 of block p / 4 in the host domain', () => {
    const words = draws(RandomStream.fromSeed(42), 6);
    expect(words).toEqual([...philox4x32([0, 0, 0, 1], [42, 0]), ...philox4x32([1, 0, 0, 1], [42, 0]).slice(0, 2)]);
  });

  it('continues from its state, through JSON, to the last bit', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(50), (name, count) => {
        const stream = RandomStream.fromSeed(name);
        draws(stream, count);
        const saved = JSON.parse(JSON.stringify(stream.state())) as RandomStreamState;
        const later = [stream.normal(), stream.uniform(), stream.integer(10), stream.bits()];
        const restored = RandomStream.fromState(saved);
        expect([restored.normal(), restored.uniform(), restored.integer(10), restored.bits()]).toEqual(later);
      }),
    );
  });

  it('forks by name only: draws move no fork, and names and levels differ', () => {
    const [fresh, used] = [RandomStream.fromSeed(1), RandomStream.fromSeed(1)];
    draws(used, 13);
    expect(used.fork('data').state()).toEqual(fresh.fork('data').state());
    const streams = [
      fresh,
      fresh.fork('data'),
      fresh.fork('dropout'),
      fresh.fork('data').fork('data'),
      RandomStream.fromSeed('data'),
    ];
    expect(new Set(streams.map((stream) => draws(stream, 4).join())).size).toBe(streams.length);
  });

  it('draws integers below any bound, each equally likely', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 32 }), fc.nat(), (bound, seed) => {
        const value = RandomStream.fromSeed(seed).integer(bound);
        return Number.isInteger(value) && value >= 0 && value < bound;
      }),
      {
        examples: [
          [2 ** 32, 0],
          [1, 0],
          [2 ** 31 + 1, 0],
        ],
      },
    );
    // A bound of 3·2^30 shows the bias at its worst: without rejection, multiples of 3 come twice as often as other numbers.
    const stream = RandomStream.fromSeed('bias');
    const remainders = Array.from({ length: 6000 }, () => stream.integer(3 * 2 ** 30) % 3);
    for (const remainder of [0, 1, 2]) {
      const share = remainders.filter((value) => value === remainder).length / 6000;
      expect(Math.abs(share - 1 / 3)).toBeLessThan(0.03); // five standard deviations
    }
    const die = Array.from({ length: 6000 }, () => stream.integer(6));
    for (let face = 0; face < 6; face++) expect(die.filter((value) => value === face).length / 1000).toBeCloseTo(1, 0);
  });

  it('shuffles to a permutation, and reaches all of them', () => {
    const stream = RandomStream.fromSeed('shuffle');
    const seen = new Map<string, number>();
    for (let i = 0; i < 2400; i++) {
      const order = stream.shuffle([0, 1, 2, 3]).join('');
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    expect(Math.min(...seen.values())).toBeGreaterThan(50); // 100 expected
    expect(stream.shuffle([])).toEqual([]);
  });

  it('chooses elements, and takes uniform bounds', () => {
    const stream = RandomStream.fromSeed(0);
    const colours = ['red', 'green', 'blue'];
    expect(new Set(Array.from({ length: 50 }, () => stream.choice(colours))).size).toBe(3);
    for (let i = 0; i < 100; i++) {
      const value = stream.uniform(-2, 3);
      expect(value >= -2 && value < 3).toBe(true);
    }
  });

  it.each([
    ['integer bound 0', () => RandomStream.fromSeed(0).integer(0), /bound is 0/],
    ['integer bound 2^32 + 1', () => RandomStream.fromSeed(0).integer(2 ** 32 + 1), /bound is 4294967297/],
    ['empty choice', () => RandomStream.fromSeed(0).choice([]), /array is empty/],
    ['bad seed', () => RandomStream.fromSeed(-1), /seed is -1/],
    [
      'bad position',
      () => RandomStream.fromState({ algorithm: 'philox4x32-10', key: [0, 0], position: -1 }),
      /position is -1/,
    ],
    [
      'bad key',
      () => RandomStream.fromState({ algorithm: 'philox4x32-10', key: [0, 2 ** 32], position: 0 }),
      /key is \[0,4294967296\]/,
    ],
    [
      'other algorithm',
      () => RandomStream.fromState({ ...RandomStream.fromSeed(0).state(), algorithm: 'mt' as 'philox4x32-10' }),
      /"mt"/,
    ],
  ])('refuses: %s', (_, act, message) => {
    expect(act).toThrow(message);
    expect(act).toThrow(RangeError);
  });
});
