/** Resampling of pictures: the bytes of tensor-core's loops, for sizes that are enlarged, shrunk, odd and 1. */
import { type PixelArithmetic, type ResampleTaps, bicubicTaps, resampleBytes } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arrangeTaps } from '../../src/kernels/index.js';
import { TIERS, arenaFor, valueSeed, values } from './support.js';

/** Words of all bits, alpha included. */
const pixelsOf = (seed: number, count: number): Uint32Array =>
  Uint32Array.from(values(seed, count, 2 ** 31), (value) => value >>> 0);

/** Every output with as many taps, weights of zero where there are fewer. */
function evenTaps({ starts, counts, weights, stride, bits }: ResampleTaps, length: number): ResampleTaps {
  const taps = counts.reduce((most, count) => Math.max(most, count), 1);
  const first = starts.map((start) => Math.min(start, length - taps));
  const even = new Int32Array(starts.length * taps);
  starts.forEach((start, i) => {
    const own = weights.subarray(i * stride, i * stride + counts[i]!);
    even.set(own, i * taps + start - first[i]!);
  });
  return { starts: first, counts: new Int32Array(starts.length).fill(taps), weights: even, stride: taps, bits };
}

const length = fc.oneof(fc.constantFrom(1, 2, 3, 28), fc.integer({ min: 1, max: 60 }));
const sizes = fc.record({
  lines: fc.integer({ min: 0, max: 9 }),
  length,
  out: length,
  trail: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 21 })),
  arithmetic: fc.constantFrom<PixelArithmetic>('pillow', 'torchvision'),
  seed: valueSeed,
});
type Sizes = typeof sizes extends fc.Arbitrary<infer Value> ? Value : never;

const bytesOf = (words: Uint32Array): Uint8Array => new Uint8Array(words.buffer);

/** The loops of tensor-core. */
function expectedOf(pixels: Uint32Array, taps: ResampleTaps, { lines, length: from, out, trail }: Sizes): Uint32Array {
  const resampled = new Uint32Array(lines * out * trail);
  const step = 4 * trail;
  const steps = { lines, inLineStep: from * step, outLineStep: out * step, offsets: step, step };
  resampleBytes(bytesOf(pixels), bytesOf(resampled), taps, steps);
  return resampled;
}

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;
  const words = (data: Int32Array | Uint32Array): number => {
    const offset = arena.bytes(data.byteLength);
    new Uint32Array(kernels.memory.buffer, offset, data.length).set(data);
    return offset;
  };

  function run(given: Sizes, pixels: Uint32Array, taps: ResampleTaps): Uint32Array {
    const { lines, out, trail } = given;
    arena.reset();
    const arranged = arrangeTaps(taps.weights, out, taps.stride);
    const y = arena.output(lines * out * trail);
    kernels.resample({
      x: words(pixels),
      y,
      starts: words(taps.starts),
      words: words(arranged.words),
      parts: arranged.parts,
      bits: taps.bits,
      taps: taps.stride,
      lines,
      length: given.length,
      out,
      trail,
    });
    arena.checkGuards();
    return new Uint32Array(kernels.memory.buffer, y, lines * out * trail).slice();
  }

  test('bicubic weights of both arithmetics', () => {
    const property = fc.property(sizes, (given) => {
      const pixels = pixelsOf(given.seed, given.lines * given.length * given.trail);
      const taps = bicubicTaps(given.length, given.out, given.arithmetic);
      const actual = run(given, pixels, evenTaps(taps, given.length));
      expect(actual).toEqual(expectedOf(pixels, taps, given));
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('weights of up to 31 bits, whose sums wrap', () => {
    const property = fc.property(sizes, fc.integer({ min: 1, max: 30 }), fc.nat(), (given, bits, share) => {
      const stride = 1 + (share % given.length);
      const taps = {
        starts: Int32Array.from({ length: given.out }, (_, i) => (i * 7 + share) % (given.length - stride + 1)),
        counts: new Int32Array(given.out).fill(stride),
        weights: Int32Array.from(values(given.seed + 1, given.out * stride, 2 ** 30)),
        stride,
        bits,
      };
      const pixels = pixelsOf(given.seed, given.lines * given.length * given.trail);
      expect(run(given, pixels, taps)).toEqual(expectedOf(pixels, taps, given));
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('weights of 16 bits are one part, others two', () => {
    expect(arrangeTaps(Int32Array.of(-(2 ** 15), 2 ** 15 - 1, 5), 1, 3)).toEqual({
      parts: 1,
      words: Int32Array.of(0x7fff_8000, 5),
    });
    expect(arrangeTaps(Int32Array.of(2 ** 15, -1), 1, 2)).toEqual({
      parts: 2,
      words: Int32Array.of(0x7fff_0000, 0xffff_0001 | 0),
    });
  });

  test('operands outside the memory are refused by name', () => {
    const end = kernels.memory.buffer.byteLength;
    const operands = {
      x: 0,
      y: 0,
      starts: 0,
      words: 0,
      parts: 1,
      bits: 8,
      taps: 1,
      lines: 1,
      length: 4,
      out: 4,
      trail: 1,
    } as const;
    for (const name of ['x', 'y', 'starts', 'words'] as const)
      expect(() => kernels.resample({ ...operands, [name]: end })).toThrow(new RegExp(`resample ${name}`));
    expect(() => kernels.resample({ ...operands, lines: 0.5 })).toThrow(/resample lines is 0.5/);
  });
});
