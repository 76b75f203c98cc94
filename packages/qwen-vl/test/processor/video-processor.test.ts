import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { publishedPreprocessorConfig, tinyPreprocessorConfig } from '../../src/config/presets.js';
import { ImageError } from '../../src/errors.js';
import { visualTokenBox } from '../../src/processor/coordinates.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { sampleFrames } from '../../src/processor/sample-frames.js';
import { framesPerSecondOf, timestampsOf, type VideoFrames } from '../../src/processor/video.js';
import { VideoProcessor } from '../../src/processor/video-processor.js';
import { formulaImage } from '../support/formula-image.js';

const frame = (seed: number, width = 60, height = 40) => formulaImage({ kind: 'noise', seed, height, width });
const film = (count: number): VideoFrames => ({
  frames: Array.from({ length: count }, (_value, index) => frame(index)),
});
const config = { ...publishedPreprocessorConfig(), patchSize: 4 };
const settings = { minPixels: 64, maxPixels: 1024 };
const processor = new VideoProcessor(config, settings);

describe('frames', () => {
  test('an odd count is as if the last came twice', () => {
    const five = film(5);
    const six = { frames: [...five.frames, five.frames[4]!] };
    expect(processor.process([five]).pixelValues).toEqual(processor.process([six]).pixelValues);
    expect(processor.process([five]).videoGridThw[0]![0]).toBe(3);
  });

  test('a video of one frame is that image', () => {
    const asImage = new ImageProcessor({ ...config, ...settings }, { arithmetic: 'torchvision' }).process([frame(7)]);
    const asVideo = processor.process([{ frames: [frame(7)] }]);
    expect(asVideo.pixelValues).toEqual(asImage.pixelValues);
    expect(asVideo.videoGridThw).toEqual(asImage.imageGridThw);
  });

  test('several videos are the single ones one after the other', () => {
    const videos = [film(3), { frames: [frame(9, 20, 90)], framesPerSecond: 8 }];
    const together = processor.process(videos);
    const alone = videos.map((video) => processor.process([video]));
    expect([...together.pixelValues]).toEqual(alone.flatMap((one) => [...one.pixelValues]));
    expect(together.secondsPerGrid).toEqual([1, 0.25]);
    expect(together.videos.map(({ frames }) => frames)).toEqual([3, 1]);
  });

  test('grey and transparent frames are read as RGB', () => {
    const grey = formulaImage({ kind: 'gradient', seed: 1, height: 8, width: 8 }, 1);
    const expanded = {
      ...grey,
      channels: 3 as const,
      data: Uint8Array.from([...grey.data].flatMap((value) => [value, value, value])),
    };
    expect(processor.process([{ frames: [grey, grey] }]).pixelValues).toEqual(
      processor.process([{ frames: [expanded, expanded] }]).pixelValues,
    );
  });

  test('visual tokens of a later frame lie where those of the first do', () => {
    const [geometry] = processor.process([film(4)]).videos;
    const perFrame = geometry!.tokenGrid.height * geometry!.tokenGrid.width;
    expect(visualTokenBox(geometry!, perFrame + 1)).toEqual(visualTokenBox(geometry!, 1));
  });
});

describe('limits per frame', () => {
  const published = new VideoProcessor(publishedPreprocessorConfig());

  test('a few frames may have 768 tokens, at least 128', () => {
    expect(published.geometry(8, 1080, 1920).tokenGrid).toEqual({ height: 20, width: 36 });
    expect(published.geometry(8, 28, 28).tokenGrid).toEqual({ height: 12, width: 12 });
  });

  test('many frames share what a video may cost, unless told not to', () => {
    // 0.9 * 128000 * 784 pixels for the whole video, two frames to a temporal patch.
    const share = Math.floor((Math.floor(128_000 * 784 * 0.9) * 2) / 768);
    const expected = new ImageProcessor(publishedPreprocessorConfig()).geometry(1080, 1920, { maxPixels: share });
    expect(published.geometry(768, 1080, 1920).resized).toEqual(expected.resized);
    const free = new VideoProcessor(publishedPreprocessorConfig(), { sharePixels: false });
    expect(free.geometry(768, 1080, 1920).resized).toEqual(published.geometry(8, 1080, 1920).resized);
    // So many frames that the share is below the smallest area: a little above that area.
    expect(
      published.geometry(4000, 1080, 1920).tokenGrid.height * published.geometry(4000, 1080, 1920).tokenGrid.width,
    ).toBeLessThanOrEqual(134);
  });

  test('the tiny preset is read for its patches, not for its limits of images', () => {
    expect(new VideoProcessor(tinyPreprocessorConfig()).settings.maxPixels).toBe(768 * 784);
  });
});

describe('time', () => {
  test('two frames per second unless something says otherwise', () => {
    expect(framesPerSecondOf(film(4))).toBe(2);
    expect(framesPerSecondOf({ ...film(4), framesPerSecond: 5 })).toBe(5);
    expect(framesPerSecondOf({ ...film(3), timestamps: [1, 1.5, 5] })).toBe(0.5);
    expect(timestampsOf({ ...film(3), framesPerSecond: 4 })).toEqual([0, 0.25, 0.5]);
    expect(processor.process([{ ...film(4), framesPerSecond: 8 }]).secondsPerGrid).toEqual([0.25]);
  });

  test.each<readonly [object, RegExp]>([
    [{ frames: [] }, /^video 1: a video needs 1 to 4096 frames, got 0/],
    [{ frames: [frame(1), frame(2, 61)] }, /^video 1, frame 2: 61 x 40 pixels, but the first frame has 60 x 40/],
    [{ frames: [frame(1), { ...frame(2), data: new Uint8Array(3) }] }, /^video 1, frame 2: .* need 7200 bytes, got 3/],
    [{ ...film(2), framesPerSecond: 0 }, /framesPerSecond must be a positive number, got 0/],
    [{ ...film(2), timestamps: [1] }, /1 timestamps for 2 frames/],
    [{ ...film(2), timestamps: [1, 1] }, /timestamp 2, 1 s, must be later/],
    [{ ...film(2), timestamps: [NaN, 1] }, /timestamp 1, NaN s, must be later/],
  ])('refused: %#', (video, message) => {
    const run = (): unknown => processor.process([video as VideoFrames]);
    expect(run).toThrow(message);
    expect(run).toThrow(ImageError);
  });
});

describe('sampling', () => {
  test('any film: an even count in order, within the film and the limits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 5000 }),
        fc.double({ min: 0.5, max: 120, noNaN: true }),
        fc.double({ min: 0.1, max: 60, noNaN: true }),
        fc.constantFrom('qwen-vl-utils' as const, 'transformers' as const),
        (total, sourceFramesPerSecond, framesPerSecond, rule) => {
          const { indices, ...sampled } = sampleFrames(total, { sourceFramesPerSecond, framesPerSecond, rule });
          expect(indices.length % 2).toBe(0);
          expect(indices.length).toBeLessThanOrEqual(768);
          expect(indices.length).toBeGreaterThanOrEqual(Math.min(4, Math.floor(total / 2) * 2));
          for (const [at, index] of indices.entries()) {
            expect(Number.isInteger(index) && index >= (indices[at - 1] ?? 0) && index < total).toBe(true);
          }
          expect(sampled.framesPerSecond).toBeCloseTo((indices.length / total) * sourceFramesPerSecond, 9);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a number of frames in place of a rate, rounded to pairs', () => {
    const sourceFramesPerSecond = 10;
    expect(sampleFrames(100, { sourceFramesPerSecond, frames: 5 }).indices).toEqual([0, 33, 66, 99]);
    expect(sampleFrames(100, { sourceFramesPerSecond, frames: 4, rule: 'transformers' }).indices).toEqual([
      0, 25, 50, 75,
    ]);
    expect(sampleFrames(100, { sourceFramesPerSecond, frames: 4 }).timestamps).toEqual([0, 3.3, 6.6, 9.9]);
  });

  test.each<readonly [number, object, RegExp]>([
    [1, {}, /0 frames cannot be taken out of 1 in multiples of 2/],
    [10, { frames: 12 }, /12 frames cannot be taken out of 10/],
    [10, { sourceFramesPerSecond: 0 }, /sourceFramesPerSecond must be a positive number, got 0/],
    [10, { minFrames: 9, maxFrames: 8 }, /minFrames 9 must not exceed maxFrames 8/],
    [2.5, {}, /total must be a positive whole number, got 2.5/],
  ])('refused: %i frames, %j', (total, options, message) => {
    expect(() => sampleFrames(total, { sourceFramesPerSecond: 10, ...options })).toThrow(message);
  });
});
