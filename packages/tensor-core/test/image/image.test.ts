/** Pictures as u32 pixels: packing, resizing and patches against definitions written out sample by sample. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bicubicTapTensors,
  bicubicTaps,
  createReferenceDevice,
  packPixels,
  patchifyImage,
  resampleImage,
  resamplePixels,
  tensor,
} from '../../src/index.js';

const device = createReferenceDevice();
const side = fc.integer({ min: 1, max: 20 });
const bytesOf = (words: Uint32Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** Words of all bits in some frames of some size. */
const picture = fc
  .record({ frames: fc.integer({ min: 1, max: 3 }), height: side, width: side })
  .chain(({ frames, height, width }) => {
    const size = frames * height * width;
    return fc
      .uint32Array({ minLength: size, maxLength: size, size: 'max' })
      .map((words) => ({ frames, height, width, words }));
  });

describe('packPixels', () => {
  const packed = (data: Uint8Array, channels: 1 | 3 | 4): number[] => [...bytesOf(packPixels(data, channels))];

  it('keeps the channels there are, repeats grey, and is opaque without alpha', () => {
    const samples = fc.uint8Array({ maxLength: 60 });
    const property = fc.property(samples, fc.constantFrom(1, 3, 4), fc.nat(3), (bytes, channels, offset) => {
      const count = Math.floor(bytes.length / channels);
      // At any place of a buffer, so that some are not aligned to words.
      const data = new Uint8Array(bytes.length + 3).subarray(offset, offset + count * channels);
      data.set(bytes.subarray(0, data.length));
      const expected = Array.from({ length: count }, (_, pixel) => {
        const own = [...data.subarray(pixel * channels, (pixel + 1) * channels)];
        return channels === 1 ? [own[0]!, own[0]!, own[0]!, 255] : [...own, 255].slice(0, 4);
      });
      expect(packed(data, channels as 1 | 3 | 4)).toEqual(expected.flat());
    });
    fc.assert(property);
  });
});

describe('bicubicTapTensors', () => {
  it('holds the weights of bicubicTaps, all on the axis', async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 200 }),
      fc.constantFrom('pillow' as const, 'torchvision' as const),
      async (from, to, arithmetic) => {
        const taps = bicubicTaps(from, to, arithmetic);
        const { starts, weights, bits } = bicubicTapTensors(from, to, arithmetic);
        expect(bits).toBe(taps.bits);
        const [first, even] = [await starts.data(), await weights.data()];
        const count = weights.shape[1]!;
        for (let x = 0; x < to; x++) {
          expect(first[x]!).toBeGreaterThanOrEqual(0);
          expect(first[x]! + count).toBeLessThanOrEqual(from);
          const row = new Int32Array(from);
          row.set(taps.weights.subarray(x * taps.stride, x * taps.stride + taps.counts[x]!), taps.starts[x]);
          const own = new Int32Array(from);
          own.set(even.subarray(x * count, (x + 1) * count) as Int32Array, first[x]);
          expect(own).toEqual(row);
        }
      },
    );
    await fc.assert(property);
  });
});

describe('resampleImage', () => {
  /** One axis, in numbers without a limit. */
  function resampled(samples: readonly number[], to: number): number[] {
    const { starts, counts, weights, stride, bits } = bicubicTaps(samples.length, to);
    return Array.from({ length: to }, (_, x) => {
      let sum = 1n << BigInt(bits - 1);
      for (let j = 0; j < counts[x]!; j++) sum += BigInt(samples[starts[x]! + j]! * weights[x * stride + j]!);
      return Math.min(255, Math.max(0, Number(sum >> BigInt(bits))));
    });
  }

  it('resizes the rows of each channel, then its columns', async () => {
    const property = fc.asyncProperty(picture, side, side, async ({ frames, height, width, words }, h, w) => {
      const pixels = tensor(words.slice(), [frames, height, width]);
      const actual = bytesOf((await resampleImage(pixels, { height: h, width: w }).data(device)) as Uint32Array);
      const bytes = bytesOf(words);
      const expected = new Uint8Array(frames * h * w * 4);
      for (let frame = 0; frame < frames; frame++) {
        for (let channel = 0; channel < 4; channel++) {
          const rows = Array.from({ length: height }, (_, y) => {
            const row = Array.from(
              { length: width },
              (_unused, x) => bytes[((frame * height + y) * width + x) * 4 + channel]!,
            );
            return w === width ? row : resampled(row, w);
          });
          for (let x = 0; x < w; x++) {
            const column = rows.map((row) => row[x]!);
            (h === height ? column : resampled(column, h)).forEach((sample, y) => {
              expected[((frame * h + y) * w + x) * 4 + channel] = sample;
            });
          }
        }
      }
      expect(actual).toEqual(expected);
    });
    await fc.assert(property);
  });

  it('gives a picture of the size asked for back as it is', () => {
    const pixels = tensor(new Uint32Array(6), [2, 3]);
    expect(resampleImage(pixels, { height: 2, width: 3 })).toBe(pixels);
  });

  it('refuses what is no picture, no size, and taps beyond the axis', async () => {
    const pixels = tensor(new Uint32Array(6), [2, 3]);
    expect(() => resampleImage(tensor([[1]]), { height: 1, width: 2 })).toThrow(/takes u32 pixels/);
    expect(() => resampleImage(pixels, { height: 0, width: 3 })).toThrow(/from 2 to 0 samples/);
    expect(() => resampleImage(pixels, { height: 2, width: 1.5 })).toThrow(/from 3 to 1.5 samples/);
    const taps = { starts: tensor(Int32Array.of(2)), weights: tensor(Int32Array.of(1, 1), [1, 2]), bits: 8 };
    await expect(resamplePixels(pixels, taps, -1).data(device)).rejects.toThrow(/2 taps from sample 2 on/);
    expect(() => resamplePixels(pixels, { ...taps, bits: 31 }, 1)).toThrow(/31 fraction bits must be 1 to 30/);
    expect(() => resamplePixels(pixels, { ...taps, weights: tensor(new Int32Array(4), [1, 4]) }, 1)).toThrow(
      /made of 1 to 3 others/,
    );
  });
});

describe('patchifyImage', () => {
  it('puts every sample of the table where its patch has it', async () => {
    const few = fc.integer({ min: 1, max: 3 });
    const sizes = fc.record({
      frames: few,
      down: few,
      across: few,
      patchSize: few,
      temporalPatchSize: few,
      mergeSize: few,
      channels: fc.integer({ min: 1, max: 4 }),
    });
    const property = fc.asyncProperty(sizes, async ({ frames, down, across, channels, ...given }) => {
      const { patchSize: p, temporalPatchSize: t, mergeSize: m } = given;
      const [height, width] = [down * m * p, across * m * p];
      const words = Uint32Array.from(
        { length: frames * height * width },
        (_, i) => Math.imul(i + 1, 0x9e37_79b1) >>> 0,
      );
      const bytes = bytesOf(words);
      const table = Float32Array.from({ length: channels * 256 }, (_, i) => i / 7);
      const patches = patchifyImage(tensor(words, [frames, height, width]), tensor(table, [channels, 256]), given);
      const expected: number[] = [];
      for (let time = 0; time < Math.ceil(frames / t); time++)
        for (let blockRow = 0; blockRow < down; blockRow++)
          for (let blockColumn = 0; blockColumn < across; blockColumn++)
            for (let row = 0; row < m; row++)
              for (let column = 0; column < m; column++)
                for (let channel = 0; channel < channels; channel++)
                  for (let step = 0; step < t; step++)
                    for (let y = 0; y < p; y++)
                      for (let x = 0; x < p; x++) {
                        const frame = Math.min(time * t + step, frames - 1);
                        const line = frame * height + (blockRow * m + row) * p + y;
                        const sample = bytes[(line * width + (blockColumn * m + column) * p + x) * 4 + channel]!;
                        expected.push(table[channel * 256 + sample]!);
                      }
      expect([...(await patches.data(device))]).toEqual(expected);
    });
    await fc.assert(property, { numRuns: 50 });
  });

  it('refuses sides that do not divide, and tables of another size', () => {
    const sizes = { patchSize: 2, temporalPatchSize: 2, mergeSize: 2 };
    const table = tensor(new Float32Array(768), [3, 256]);
    const pixels = tensor(new Uint32Array(16), [1, 4, 4]);
    expect(() => patchifyImage(tensor(new Uint32Array(24), [1, 4, 6]), table, sizes)).toThrow(/multiples of 4/);
    expect(() => patchifyImage(pixels, tensor(new Float32Array(5 * 256), [5, 256]), sizes)).toThrow(/1 to 4 channels/);
    expect(() => patchifyImage(pixels, table, { ...sizes, mergeSize: 0 })).toThrow(/positive whole numbers/);
    expect(() => patchifyImage(tensor(new Uint32Array(16), [4, 4]), table, sizes)).toThrow(/\[frames, height, width\]/);
  });
});
