/**
 * Frames in, patches out: every frame resized to one size, T neighbours in a patch, the last frame repeated to fill the last.
 *
 * Pixel limits are per frame. With `sharePixels` (the rule of `qwen_vl_utils`, and of transformers with
 * `cap_pixels_per_frame`) a frame gets at most an even share of what a whole video may cost, with f = patch size times merge
 * size and T the temporal patch size:
 *   largest area = max(min(maxPixels, floor(floor(0.9 * 128000 f^2) T / frames)), trunc(1.05 minPixels))
 * Without, every frame may have `maxPixels`, which is what transformers does unless told otherwise.
 *
 * Sources: `fetch_video` of qwen_vl_utils `vision_process.py`; transformers `video_processing_qwen2_vl.py`, whose results it equals
 * to the last bit (`second_per_grid_ts` in `processing_qwen2_5_vl.py`).
 */
import type { Device } from '@mindseye/tensor-core';
import type { PreprocessorConfig } from '../config/types.js';
import { ImageError } from '../errors.js';
import { describeImage, type VideoGeometry } from './coordinates.js';
import { packVisuals, type PackedVisuals, type PreparedVisual, type VisualPatches } from './pack-patches.js';
import { packVisualsOn } from './pack-patches-on-device.js';
import type { GridThw } from './patchify.js';
import { checkBudget, pixelLimits, sizeWithin, type PixelBudget, type PixelLimits } from './pixel-budget.js';
import { checkVideo, DEFAULT_FRAMES_PER_SECOND, framesPerSecondOf, type VideoFrames } from './video.js';

export interface VideoSettings {
  /** Smallest area of a frame. Default 128 visual tokens' worth, 128 f^2. */
  readonly minPixels?: number;
  /** Largest area of a frame. Default 768 visual tokens' worth, 768 f^2. */
  readonly maxPixels?: number;
  /** Default true. */
  readonly sharePixels?: boolean;
}

export interface ProcessedVideos extends VisualPatches {
  /** `grids` by the name transformers gives them. */
  readonly videoGridThw: readonly GridThw[];
  /** Per video, in seconds: transformers' `second_per_grid_ts`. */
  readonly secondsPerGrid: readonly number[];
  readonly videos: readonly VideoGeometry[];
}

const MIN_FRAME_TOKENS = 128;
const MAX_FRAME_TOKENS = 768;
/** The context a whole video is to leave room in, and how much of it the video may take. */
const CONTEXT_TOKENS = 128_000;
const CONTEXT_SHARE = 0.9;

const processed = ({ geometries, grids, ...patches }: PackedVisuals<VideoGeometry>): ProcessedVideos => ({
  ...patches,
  grids,
  videoGridThw: grids,
  secondsPerGrid: geometries.map((geometry) => geometry.secondsPerGrid),
  videos: geometries,
});

export class VideoProcessor {
  readonly config: PreprocessorConfig;
  readonly settings: Required<VideoSettings>;

  /** @param config its pixel limits are those of images and are not read */
  constructor(config: PreprocessorConfig, settings: VideoSettings = {}) {
    this.config = config;
    const area = (config.patchSize * config.mergeSize) ** 2;
    const limits = pixelLimits({ minPixels: MIN_FRAME_TOKENS * area, maxPixels: MAX_FRAME_TOKENS * area }, settings);
    this.settings = { ...limits, sharePixels: settings.sharePixels ?? true };
  }

  /**
   * The geometry so many frames of this size will get, without touching pixels.
   * @throws ImageError if the aspect ratio is above 200 or the budget contradicts itself
   */
  geometry(
    frames: number,
    height: number,
    width: number,
    budget: PixelBudget = {},
    framesPerSecond: number = DEFAULT_FRAMES_PER_SECOND,
  ): VideoGeometry {
    checkBudget(budget);
    const { maxVisualTokens = Infinity, totalVisualTokens = Infinity } = budget;
    const most = Math.min(maxVisualTokens, totalVisualTokens);
    return this.#geometry({ frames, height, width, framesPerSecond }, budget, most);
  }

  /**
   * Checks a video.
   * @param name what errors call it
   * @throws ImageError as `checkVideo`
   */
  prepare(video: VideoFrames, name: string, budget: PixelBudget): PreparedVisual<VideoGeometry> {
    checkVideo(video, name);
    const { height, width } = video.frames[0]!;
    const film = { frames: video.frames.length, height, width, framesPerSecond: framesPerSecondOf(video) };
    return {
      name,
      frames: video.frames,
      arithmetic: 'torchvision',
      leastTokens: this.#temporalPatches(film.frames),
      geometry: (maxTokens) => this.#geometry(film, budget, maxTokens),
    };
  }

  /**
   * Turns videos into patches.
   * @param videos in the order their tokens appear in the prompt; they are not changed
   * @throws ImageError naming the video (1-based) and what is wrong with it
   */
  process(videos: readonly VideoFrames[], budget: PixelBudget = {}): ProcessedVideos {
    return processed(packVisuals(this.#prepareAll(videos, budget), this.config, budget));
  }

  /**
   * As `process`, with resizing, normalising and cutting on a device; the patches have the same bits.
   * @throws as `process`, and what the device throws when it has too little memory
   */
  async processOn(device: Device, videos: readonly VideoFrames[], budget: PixelBudget = {}): Promise<ProcessedVideos> {
    return processed(await packVisualsOn(device, this.#prepareAll(videos, budget), this.config, budget));
  }

  #prepareAll(videos: readonly VideoFrames[], budget: PixelBudget): readonly PreparedVisual<VideoGeometry>[] {
    return videos.map((video, index) => this.prepare(video, `video ${index + 1}`, budget));
  }

  #temporalPatches(frames: number): number {
    return Math.ceil(frames / this.config.temporalPatchSize);
  }

  #frameLimits(frames: number, budget: PixelBudget): PixelLimits {
    const { minPixels, maxPixels } = pixelLimits(this.settings, budget);
    if (!this.settings.sharePixels) return { minPixels, maxPixels };
    const { patchSize, mergeSize, temporalPatchSize } = this.config;
    const whole = Math.floor(CONTEXT_TOKENS * (patchSize * mergeSize) ** 2 * CONTEXT_SHARE);
    const share = Math.floor((whole * temporalPatchSize) / frames);
    return { minPixels, maxPixels: Math.max(Math.min(maxPixels, share), Math.trunc(minPixels * 1.05)) };
  }

  #geometry(
    film: {
      readonly frames: number;
      readonly height: number;
      readonly width: number;
      readonly framesPerSecond: number;
    },
    budget: PixelBudget,
    maxTokens: number,
  ): VideoGeometry {
    const { patchSize, mergeSize, temporalPatchSize } = this.config;
    const { frames, height, width, framesPerSecond } = film;
    const temporalPatches = this.#temporalPatches(frames);
    if (maxTokens < temporalPatches) throw new ImageError(tooManyFrames(frames, temporalPatches, maxTokens));
    const original = { height, width };
    const resized = sizeWithin(
      original,
      patchSize * mergeSize,
      this.#frameLimits(frames, budget),
      Math.floor(maxTokens / temporalPatches),
      budget.minPixels !== undefined,
    );
    return {
      ...describeImage(original, resized, patchSize, mergeSize, temporalPatches),
      frames,
      secondsPerGrid: temporalPatchSize / framesPerSecond,
    };
  }
}

const tooManyFrames = (frames: number, temporalPatches: number, maxTokens: number): string =>
  `budget: ${frames} frames need at least ${temporalPatches} visual tokens, more than the ${maxTokens} allowed; ` +
  'sample fewer frames or raise the token limit';
