/** Videos, frame sampling and conversations with videos against transformers: equal to the last bit. */
import { describe, expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import { Processor } from '../../src/processor/processor.js';
import { sampleFrames } from '../../src/processor/sample-frames.js';
import type { VideoFrames } from '../../src/processor/video.js';
import { VideoProcessor } from '../../src/processor/video-processor.js';
import { ChatTemplate, type Message } from '../../src/tokenizer/chat-template.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { formulaImage, sha256, type FormulaKind } from '../support/formula-image.js';
import { readGoldenJson } from '../support/golden.js';

interface Digest {
  readonly sha256: string;
  readonly first: readonly number[];
}
interface Settings {
  readonly patch_size: number;
  readonly size: { readonly shortest_edge: number; readonly longest_edge: number };
}
interface Picture {
  readonly seed: number;
  readonly height: number;
  readonly width: number;
}
interface Film extends Picture {
  readonly frames: number;
  readonly fps: number;
}
interface VideoEntry extends Film, Settings, Digest {
  readonly name: string;
  readonly cap_pixels_per_frame?: boolean;
  readonly video_grid_thw: readonly number[][];
  readonly second_per_grid_ts: number;
}
interface ConversationEntry extends Settings {
  readonly name: string;
  readonly messages: readonly Message[];
  readonly add_vision_id: boolean;
  readonly images: readonly Picture[];
  readonly videos: readonly Film[];
  readonly input_ids: readonly number[];
  readonly mm_token_type_ids: readonly number[];
  readonly image_grid_thw: readonly number[][];
  readonly video_grid_thw: readonly number[][];
  readonly second_per_grid_ts: readonly number[];
  readonly images_digest: Digest | null;
  readonly videos_digest: Digest;
}
interface VideosGolden {
  readonly videos: readonly VideoEntry[];
  readonly pictures: readonly (Picture & Settings & Digest & { readonly image_grid_thw: readonly number[][] })[];
  readonly conversations: readonly ConversationEntry[];
}

const KINDS: readonly FormulaKind[] = ['noise', 'gradient', 'blocks', 'extremes'];
const golden = readGoldenJson<VideosGolden>('images/videos.json');

const videoOf = ({ seed, frames, height, width, fps }: Film): VideoFrames => ({
  frames: Array.from({ length: frames }, (_value, index) =>
    formulaImage({ kind: KINDS[(seed + index) % 4]!, seed: seed + index, height, width }),
  ),
  framesPerSecond: fps,
});
const limitsOf = ({ size }: Settings) => ({ minPixels: size.shortest_edge, maxPixels: size.longest_edge });

function expectDigest(values: Float32Array, expected: Digest): void {
  expect([...values.subarray(0, 4)]).toEqual(expected.first);
  expect(sha256(values)).toBe(expected.sha256);
}

test.each(golden.videos.filter((entry) => entry.cap_pixels_per_frame !== true))('video: $name', (entry) => {
  const config = resolvePreprocessorConfig({ patch_size: entry.patch_size });
  const processor = new VideoProcessor(config, { ...limitsOf(entry), sharePixels: false });
  const { pixelValues, videoGridThw, secondsPerGrid } = processor.process([videoOf(entry)]);
  expect(videoGridThw).toEqual(entry.video_grid_thw);
  expect(secondsPerGrid).toEqual([entry.second_per_grid_ts]);
  expectDigest(pixelValues, entry);
});

test('video: an even share per frame of what the whole may cost', () => {
  const entry = golden.videos.find((video) => video.cap_pixels_per_frame === true)!;
  // The reference was given a context of 400 tokens; here the context is that of the model, so its share is given as a budget.
  const share = Math.floor((Math.floor(400 * 784 * 0.9) * 2) / entry.frames);
  const config = resolvePreprocessorConfig({ patch_size: entry.patch_size });
  const processor = new VideoProcessor(config, { minPixels: entry.size.shortest_edge, maxPixels: share });
  const { pixelValues, videoGridThw } = processor.process([videoOf(entry)]);
  expect(videoGridThw).toEqual(entry.video_grid_thw);
  expectDigest(pixelValues, entry);
});

test.each(golden.pictures)('image on tensors: $width x $height', (entry) => {
  const config = resolvePreprocessorConfig(entry);
  const image = formulaImage({ ...entry, kind: KINDS[entry.seed % 4]! });
  const { pixelValues, imageGridThw } = new ImageProcessor(config, { arithmetic: 'torchvision' }).process([image]);
  expect(imageGridThw).toEqual(entry.image_grid_thw);
  expectDigest(pixelValues, entry);
});

describe('frame sampling', () => {
  interface Sampling {
    readonly total: number;
    readonly source_fps: number;
    readonly fps: number;
    readonly min_frames: number;
    readonly max_frames: number;
    readonly 'qwen-vl-utils': readonly number[];
    readonly transformers: readonly number[];
    readonly transformers_fps: number;
    readonly 'qwen-vl-utils_fps': number;
  }
  const { entries } = readGoldenJson<{ entries: Sampling[] }>('images/frame-sampling.json');
  const cases = entries.flatMap((entry) =>
    (['qwen-vl-utils', 'transformers'] as const).map((rule) => ({ rule, ...entry })),
  );

  test.each(cases)('$total frames at $source_fps to $fps per second, $rule', ({ rule, ...entry }) => {
    const sampled = sampleFrames(entry.total, {
      sourceFramesPerSecond: entry.source_fps,
      framesPerSecond: entry.fps,
      minFrames: entry.min_frames,
      maxFrames: entry.max_frames,
      rule,
    });
    expect(sampled.indices).toEqual(entry[rule]);
    expect(sampled.framesPerSecond).toBe(entry[`${rule}_fps`]);
    expect(sampled.timestamps).toEqual(entry[rule].map((index) => index / entry.source_fps));
  });
});

describe('conversations', () => {
  const tokenizer = Tokenizer.fromJson(readGoldenJson('models/tiny-tied/tokenizer.json'));
  const preprocessor = resolvePreprocessorConfig(readGoldenJson('models/tiny-tied/preprocessor_config.json'));

  test.each(golden.conversations)('$name, numbered $add_vision_id', (entry) => {
    const processor = new Processor(tokenizer, new ChatTemplate(), preprocessor, {
      video: { ...limitsOf(entry), sharePixels: false },
    });
    const images = entry.images.map((image) => formulaImage({ ...image, kind: 'noise' }));
    const videos = entry.videos.map(videoOf);
    const made = processor.process(entry.messages, { images, videos }, { addVisionId: entry.add_vision_id });
    expect([...made.inputIds]).toEqual(entry.input_ids);
    expect([...made.mmTokenTypeIds]).toEqual(entry.mm_token_type_ids);

    // transformers keeps images and videos apart; here they are in the order of the prompt.
    const { pixelValues, patchDimension, secondsPerGrid, grids } = made.vision!;
    const kinds = made.visualSpans.map((span) => span.kind);
    const of = <T>(kind: string, values: readonly T[]): T[] => values.filter((_value, index) => kinds[index] === kind);
    expect(of('image', made.grids)).toEqual(entry.image_grid_thw);
    expect(of('video', made.grids)).toEqual(entry.video_grid_thw);
    expect(of('image', made.secondsPerGrid)).toEqual(entry.image_grid_thw.map(() => undefined));
    // A float32 tensor on the other side.
    expect(of('video', made.secondsPerGrid).map((value) => Math.fround(value!))).toEqual(entry.second_per_grid_ts);
    expect([grids, secondsPerGrid]).toEqual([made.grids, made.secondsPerGrid]);
    let start = 0;
    const parts = grids.map(([t, h, w]) => pixelValues.subarray(start, (start += t * h * w * patchDimension)));
    const joined = (kind: string): Float32Array => Float32Array.from(of(kind, parts).flatMap((part) => [...part]));
    expectDigest(joined('video'), entry.videos_digest);
    if (entry.images_digest !== null) expectDigest(joined('image'), entry.images_digest);
    expect(start).toBe(pixelValues.length);

    const pads = { image: tokenizer.requireId('<|image_pad|>'), video: tokenizer.requireId('<|video_pad|>') };
    for (const [at, span] of made.visualSpans.entries()) {
      expect(span.length).toBe((grids[at]![0] * grids[at]![1] * grids[at]![2]) / 4);
      expect(made.inputIds.subarray(span.start, span.start + span.length)).toEqual(
        new Int32Array(span.length).fill(pads[span.kind]),
      );
    }
  });
});
