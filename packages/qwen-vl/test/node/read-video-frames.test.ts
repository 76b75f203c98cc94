import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publishedPreprocessorConfig } from '../../src/config/presets.js';
import { ImageError } from '../../src/errors.js';
import { decodeImage } from '../../src/node/decode-image.js';
import { writePng } from '../../src/node/encode-png.js';
import { readVideoFrames } from '../../src/node/read-video-frames.js';
import { framesPerSecondOf, timestampsOf } from '../../src/processor/video.js';
import { VideoProcessor } from '../../src/processor/video-processor.js';
import { formulaImage } from '../support/formula-image.js';
import { readGoldenTensors, tensorOf } from '../support/golden.js';

const encoded = readGoldenTensors('images/encoded.safetensors');
let folder = '';
const at = (name: string): string => join(folder, name);
const picture = (seed: number, width = 12) => formulaImage({ kind: 'noise', seed, height: 8, width });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'video-frames-'));
  for (const name of ['animated.gif', 'animated.webp', 'rgb-8.png'])
    await writeFile(at(name), tensorOf(encoded, name).bytes);
  await mkdir(at('frames'));
  for (const index of [1, 2, 10, 11, 3, 4]) await writePng(at(`frames/frame-${index}.png`), picture(index));
  await writeFile(at('frames/notes.txt'), 'not a frame');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('animations', () => {
  test('a GIF: all frames, with their own times', async () => {
    const video = await readVideoFrames(at('animated.gif'));
    expect(video.frames.map(({ width, height }) => [width, height])).toEqual(Array(3).fill([14, 12]));
    expect(timestampsOf(video)).toEqual([0, 0.1, 0.35]);
    expect(framesPerSecondOf(video)).toBeCloseTo(3 / 0.4, 12);
    expect(video.frames[0]).toEqual(await decodeImage(tensorOf(encoded, 'animated.gif').bytes));
    expect(new Set(video.frames.map(({ data }) => data.join())).size).toBe(3);
  });

  test('a lossless WebP: the pixels that went in', async () => {
    const video = await readVideoFrames(at('animated.webp'));
    for (const [index, frame] of video.frames.entries())
      expect(frame).toEqual(formulaImage({ kind: 'blocks', seed: 590 + index, height: 12, width: 14 }));
    expect(video.timestamps).toEqual([0, 0.04, 0.08]);
  });

  test('a rate of one’s own takes the place of the file’s', async () => {
    const video = await readVideoFrames(at('animated.gif'), { framesPerSecond: 4 });
    expect(timestampsOf(video)).toEqual([0, 0.25, 0.5]);
  });

  test('sampled: an even number of frames', async () => {
    const video = await readVideoFrames(at('animated.gif'), { sampling: { framesPerSecond: 2 } });
    expect(video.frames).toHaveLength(2);
    expect(video.timestamps).toEqual([0, 0.35]);
    expect(framesPerSecondOf(video)).toBeCloseTo((2 / 3) * 7.5, 12);
  });

  test('a still picture is a video of one frame, and one temporal patch', async () => {
    const video = await readVideoFrames(at('rgb-8.png'), { sampling: {} });
    expect(video.frames).toHaveLength(1);
    expect(new VideoProcessor(publishedPreprocessorConfig()).process([video]).videoGridThw[0]![0]).toBe(1);
  });
});

describe('folders', () => {
  test('pictures in the order of their numbers, at two per second', async () => {
    const video = await readVideoFrames(at('frames'));
    expect(video.frames).toEqual([1, 2, 3, 4, 10, 11].map((seed) => picture(seed)));
    expect(framesPerSecondOf(video)).toBe(2);
  });

  test('sampled from a film at 30 per second', async () => {
    const { frames, framesPerSecond } = await readVideoFrames(at('frames'), { framesPerSecond: 30, sampling: {} });
    expect(frames).toEqual([1, 3, 4, 11].map((seed) => picture(seed)));
    expect(framesPerSecond).toBe(20);
  });

  test('what is no video', async () => {
    await mkdir(at('empty'));
    await mkdir(at('mixed'));
    await writePng(at('mixed/a.png'), picture(1));
    await writePng(at('mixed/b.png'), picture(2, 13));
    await writeFile(at('broken.gif'), tensorOf(encoded, 'animated.gif').bytes.subarray(0, 70));
    await expect(readVideoFrames(at('empty'))).rejects.toThrow(/the folder has no pictures \(png, jpeg/);
    await expect(readVideoFrames(at('mixed'))).rejects.toThrow(/picture 2 has 13 x 8 pixels, the first has 12 x 8/);
    await expect(readVideoFrames(at('none.gif'))).rejects.toThrow(/none\.gif: no such file/);
    await expect(readVideoFrames(at('frames/notes.txt'))).rejects.toThrow(/notes\.txt: not a known image format/);
    await expect(readVideoFrames(at('broken.gif'))).rejects.toThrow(/^broken\.gif: the image is corrupt or truncated/);
    await expect(readVideoFrames(at('animated.gif'), { maxPixels: 400 })).rejects.toThrow(/14 x 36 pixels are above/);
    await expect(readVideoFrames(at('empty'))).rejects.toThrow(ImageError);
  });
});
