/**
 * A video as the processor takes it: frames of one size, already sampled, and when they were.
 *
 * Decoding films is left to others (WebCodecs, ffmpeg); `sampleFrames` says which frames to take out of one.
 */
import { ImageError, quoteValue } from '../errors.js';
import { checkRaster, type RasterImage } from './raster.js';

export interface VideoFrames {
  /** In order of time, all of one size. Nobody changes them. */
  readonly frames: readonly RasterImage[];
  /** Of these frames, that is after sampling. `DEFAULT_FRAMES_PER_SECOND` if neither this nor `timestamps` is given. */
  readonly framesPerSecond?: number;
  /** When each frame is shown, in seconds; rising. Counts only where `framesPerSecond` is not given. */
  readonly timestamps?: readonly number[];
}

/** The rate Qwen2.5-VL was trained at, and what `qwen_vl_utils` takes a list of frames for. */
export const DEFAULT_FRAMES_PER_SECOND = 2;

/** More frames than any pixel budget is made for: `qwen_vl_utils` stops at 768. */
export const MAX_FRAMES = 4096;

/** The tensor's time axis knows one rate: the one given, or the mean rate of the timestamps. */
export function framesPerSecondOf({ frames, framesPerSecond, timestamps }: VideoFrames): number {
  if (framesPerSecond !== undefined) return framesPerSecond;
  if (timestamps === undefined || frames.length < 2) return DEFAULT_FRAMES_PER_SECOND;
  return (frames.length - 1) / (timestamps.at(-1)! - timestamps[0]!);
}

/** When each frame is shown, in seconds: the timestamps given, or those of an even rate from 0 on. */
export function timestampsOf(video: VideoFrames): readonly number[] {
  return video.timestamps ?? video.frames.map((_frame, index) => index / framesPerSecondOf(video));
}

/**
 * @param name what to call the video in the error
 * @throws ImageError if there is no frame or too many, sizes differ, or times make no sense
 */
export function checkVideo(video: VideoFrames, name: string = 'video'): void {
  const { frames, framesPerSecond, timestamps } = video;
  if (!Array.isArray(frames) || frames.length < 1 || frames.length > MAX_FRAMES) {
    const count = Array.isArray(frames) ? frames.length : quoteValue(frames);
    throw new ImageError(`${name}: a video needs 1 to ${MAX_FRAMES} frames, got ${count}; sample fewer (sampleFrames)`);
  }
  const { width, height } = frames[0]!;
  for (const [index, frame] of frames.entries()) {
    checkRaster(frame, `${name}, frame ${index + 1}`);
    if (frame.width !== width || frame.height !== height) {
      throw new ImageError(
        `${name}, frame ${index + 1}: ${frame.width} x ${frame.height} pixels, but the first frame has ${width} x ${height}; ` +
          'all frames must have one size',
      );
    }
  }
  if (framesPerSecond !== undefined && !(framesPerSecond > 0 && framesPerSecond < Infinity)) {
    throw new ImageError(`${name}: framesPerSecond must be a positive number, got ${quoteValue(framesPerSecond)}`);
  }
  if (timestamps === undefined) return;
  if (timestamps.length !== frames.length) {
    throw new ImageError(`${name}: ${timestamps.length} timestamps for ${frames.length} frames; give one per frame`);
  }
  for (const [index, time] of timestamps.entries()) {
    if (!Number.isFinite(time) || (index > 0 && time <= timestamps[index - 1]!)) {
      throw new ImageError(
        `${name}: timestamp ${index + 1}, ${quoteValue(time)} s, must be later than the one before it`,
      );
    }
  }
}
