/** Patches of pictures and films: tensor-core's loops, bit for bit. */
import { cutPatches, lookUpSamples } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TIERS, arenaFor, valueSeed, values } from './support.js';

const few = fc.integer({ min: 1, max: 3 });
const sizes = fc.record({
  frames: fc.integer({ min: 1, max: 5 }),
  down: fc.nat(3),
  across: fc.nat(3),
  channels: fc.integer({ min: 1, max: 4 }),
  patchSize: fc.oneof(fc.constantFrom(1, 2, 14), fc.integer({ min: 1, max: 7 })),
  temporalPatchSize: few,
  mergeSize: few,
  seed: valueSeed,
});

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('every sample looked up, every patch in its place', () => {
    const property = fc.property(sizes, ({ down, across, seed, ...given }) => {
      const { frames, channels, patchSize, temporalPatchSize, mergeSize } = given;
      const [height, width] = [down * mergeSize * patchSize, across * mergeSize * patchSize];
      const pixels = Uint32Array.from(values(seed, frames * height * width, 2 ** 31), (value) => value >>> 0);
      // NaN is a value like any other.
      const table = values(seed + 1, channels * 256).fill(Number.NaN, 3, 5);
      const count = Math.ceil(frames / temporalPatchSize) * temporalPatchSize * channels * height * width;

      const planes = new Float32Array(frames * channels * height * width);
      for (let frame = 0; frame < frames; frame++) {
        const own = new Uint8Array(pixels.buffer, 4 * frame * height * width, 4 * height * width);
        const length = channels * height * width;
        lookUpSamples(own, 4, table, channels, planes.subarray(frame * length, (frame + 1) * length));
      }
      const expected = new Float32Array(count);
      cutPatches(planes, { frames, channels, height, width }, given, expected);

      arena.reset();
      const at = arena.bytes(pixels.byteLength);
      new Uint32Array(kernels.memory.buffer, at, pixels.length).set(pixels);
      const patches = arena.f32(new Float32Array(count).fill(-7));
      kernels.cutPatches({ pixels: at, table: arena.f32(table), patches, height, width, ...given });
      arena.checkGuards();
      expect(arena.read(patches, count)).toEqual(expected);
    });
    fc.assert(property, { numRuns: 150 });
  });

  test('operands outside the memory are refused by name', () => {
    const end = kernels.memory.buffer.byteLength;
    const shape = { frames: 1, height: 2, width: 2, channels: 1 };
    const operands = { pixels: 0, table: 0, patches: 0, ...shape, patchSize: 2, temporalPatchSize: 1, mergeSize: 1 };
    for (const name of ['pixels', 'table', 'patches'] as const)
      expect(() => kernels.cutPatches({ ...operands, [name]: end })).toThrow(new RegExp(`cutPatches ${name}`));
  });
});
