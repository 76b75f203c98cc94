/** Pictures and films prepared on a device: the same patches as on the host, bit for bit. */
import { createReferenceDevice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { tinyPreprocessorConfig } from '../../src/config/presets.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { Processor } from '../../src/processor/processor.js';
import type { RasterImage } from '../../src/processor/raster.js';
import { VideoProcessor } from '../../src/processor/video-processor.js';
import { ChatTemplate } from '../../src/tokenizer/chat-template.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';

const devices = { reference: createReferenceDevice(), wasm: createWasmDevice() };

const raster = (width: number, height: number, channels: 1 | 3 | 4): fc.Arbitrary<RasterImage> => {
  const length = width * height * channels;
  return fc
    .tuple(fc.uint8Array({ minLength: length, maxLength: length, size: 'max' }), fc.boolean())
    .map(([bytes, isClamped]) => ({ data: isClamped ? new Uint8ClampedArray(bytes) : bytes, width, height, channels }));
};

/** From one pixel up, of every number of channels; so small that most are enlarged, and some that are shrunk. */
const side = fc.oneof(fc.constantFrom(1, 2, 28, 56), fc.integer({ min: 1, max: 70 }));
const channels = fc.constantFrom(1 as const, 3 as const, 4 as const);
const picture = fc.tuple(side, side, channels).chain(([width, height, of]) => raster(width, height, of));

const config = resolvePreprocessorConfig({ patch_size: 7, merge_size: 2, min_pixels: 14 * 14, max_pixels: 42 * 42 });

describe.each(Object.entries(devices))('on the %s device', (_name, device) => {
  test.each(['pillow', 'torchvision'] as const)('images by the arithmetic of %s', async (arithmetic) => {
    const processor = new ImageProcessor(config, { arithmetic });
    const property = fc.asyncProperty(fc.array(picture, { minLength: 1, maxLength: 3 }), async (images) => {
      expect(await processor.processOn(device, images)).toEqual(processor.process(images));
    });
    await fc.assert(property, { numRuns: 40 });
  });

  test('an image that keeps its size, under the configuration of the published models', async () => {
    const processor = new ImageProcessor(tinyPreprocessorConfig());
    const [image] = fc.sample(raster(56, 84, 3), 1) as [RasterImage];
    expect(await processor.processOn(device, [image])).toEqual(processor.process([image]));
  });

  test('films, with a last frame to repeat', async () => {
    const processor = new VideoProcessor(config, { minPixels: 14 * 14, maxPixels: 28 * 42 });
    const film = fc
      .tuple(side, side, channels, fc.integer({ min: 1, max: 5 }))
      .chain(([width, height, of, frames]) =>
        fc.array(raster(width, height, of), { minLength: frames, maxLength: frames }),
      );
    const property = fc.asyncProperty(film, async (frames) => {
      expect(await processor.processOn(device, [{ frames }])).toEqual(processor.process([{ frames }]));
    });
    await fc.assert(property, { numRuns: 20 });
  });

  test('a conversation with images and a film', async () => {
    const tokenizer = Tokenizer.fromJson(readGoldenJson('models/tiny-tied/tokenizer.json'));
    const processor = new Processor(tokenizer, new ChatTemplate(), config, {
      video: { minPixels: 1, maxPixels: 28 * 28 },
    });
    const [first, second] = fc.sample(picture, 2) as [RasterImage, RasterImage];
    const frames = fc.sample(raster(20, 9, 3), 3);
    const content = [
      { type: 'image' },
      { type: 'video' },
      { type: 'image' },
      { type: 'text', text: 'What moved?' },
    ] as const;
    const given = [[{ role: 'user', content }], { images: [first, second], videos: [{ frames }] }] as const;
    expect(await processor.processOn(device, ...given)).toEqual(processor.process(...given));
    const text = [{ role: 'user', content: 'No picture.' }] as const;
    expect(await processor.processOn(device, text)).toEqual(processor.process(text));
  });

  test('a picture that is no picture is refused as on the host', async () => {
    const broken: RasterImage = { data: new Uint8Array(5), width: 2, height: 1, channels: 3 };
    await expect(new ImageProcessor(config).processOn(device, [broken])).rejects.toThrow(/image 1: 2 x 1 pixels/);
  });
});
