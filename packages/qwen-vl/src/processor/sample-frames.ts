/**
 * Which frames of a film a model sees.
 *
 * `qwen-vl-utils`, the rule Qwen2.5-VL was trained with, from N frames at v frames per second for f wanted per second:
 *   n = floor_even(min(max(N / v f, 4), min(768, floor_even(N)), N)),  indices = round_half_even(linspace(0, N - 1, n))
 * `transformers`, its video processor with `do_sample_frames` and `fps`:
 *   n the same but for the order of the bounds,                      indices = trunc(arange(0, N, N / n))
 * The first looks at both ends of the film, the second never at the last frame.
 *
 * Both references compute the indices in float32, and so does this. How torch groups the sums depends on the processor it runs
 * on, so in films of ten thousand frames and more an index of the second rule may differ by one.
 * Sources: `smart_nframes` of qwen_vl_utils `vision_process.py`; `sample_frames` in transformers `video_processing_qwen2_vl.py`.
 */
import { ImageError, quoteValue } from '../errors.js';
import { roundHalfToEven } from './smart-resize.js';

export type SamplingRule = 'qwen-vl-utils' | 'transformers';

export interface SampleFramesOptions {
  /** Of the film itself. */
  readonly sourceFramesPerSecond: number;
  /** Wanted. Default 2. */
  readonly framesPerSecond?: number;
  /** Wanted number of frames, in place of a rate; rounded to a multiple of `temporalPatchSize`. */
  readonly frames?: number;
  /** Default 4. */
  readonly minFrames?: number;
  /** Default 768. */
  readonly maxFrames?: number;
  /** The number of frames becomes a multiple of this. Default 2. */
  readonly temporalPatchSize?: number;
  /** Default `qwen-vl-utils`. */
  readonly rule?: SamplingRule;
}

export interface SampledFrames {
  /** Frames to take, from 0; never falling, each below the total. */
  readonly indices: readonly number[];
  /** Of the frames taken: what `VideoFrames.framesPerSecond` wants. */
  readonly framesPerSecond: number;
  /** When each frame is shown in the film, in seconds. */
  readonly timestamps: readonly number[];
}

const f32 = Math.fround;

/** `torch.linspace(0, last, count).round()`: from both ends towards the middle. */
function evenlySpaced(total: number, count: number): number[] {
  const last = total - 1;
  const step = count > 1 ? f32(f32(last) / (count - 1)) : 0;
  return Array.from({ length: count }, (_value, index) =>
    roundHalfToEven(
      index < Math.floor(count / 2) || count === 1 ? f32(step * index) : f32(last - f32(step * (count - 1 - index))),
    ),
  );
}

/** `torch.arange(0, total, total / count).int()`, without the index past the end that its rounding adds now and then. */
function steppedFromStart(total: number, count: number): number[] {
  const step = total / count;
  return Array.from({ length: count }, (_value, index) => Math.min(Math.trunc(f32(index * step)), total - 1));
}

interface Bounds {
  readonly total: number;
  readonly wanted: number;
  readonly minFrames: number;
  readonly maxFrames: number;
  readonly multiple: number;
}

const floorTo = (value: number, multiple: number): number => Math.floor(value / multiple) * multiple;
const ceilTo = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

const RULES: Readonly<
  Record<SamplingRule, { count(bounds: Bounds): number; indices(total: number, count: number): number[] }>
> = {
  'qwen-vl-utils': {
    count: ({ total, wanted, minFrames, maxFrames, multiple }) => {
      const most = floorTo(Math.min(maxFrames, total), multiple);
      return floorTo(Math.min(Math.max(wanted, ceilTo(minFrames, multiple)), most, total), multiple);
    },
    indices: evenlySpaced,
  },
  transformers: {
    count: ({ total, wanted, minFrames, maxFrames, multiple }) => {
      const most = floorTo(Math.min(maxFrames, total), multiple);
      return floorTo(Math.min(Math.max(wanted, minFrames), most, total), multiple);
    },
    indices: steppedFromStart,
  },
};

/**
 * @param total frames of the film
 * @throws ImageError if the film has fewer frames than one temporal patch or fewer than asked for, or a number makes no sense
 */
export function sampleFrames(total: number, options: SampleFramesOptions): SampledFrames {
  const { sourceFramesPerSecond, framesPerSecond = 2, frames, minFrames = 4, maxFrames = 768 } = options;
  const { temporalPatchSize: multiple = 2, rule = 'qwen-vl-utils' } = options;
  for (const [name, value] of Object.entries({
    total,
    minFrames,
    maxFrames,
    temporalPatchSize: multiple,
    frames: frames ?? 1,
  })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ImageError(`sampleFrames: ${name} must be a positive whole number, got ${quoteValue(value)}`);
    }
  }
  for (const [name, value] of Object.entries({ sourceFramesPerSecond, framesPerSecond })) {
    if (!(value > 0 && value < Infinity)) {
      throw new ImageError(`sampleFrames: ${name} must be a positive number, got ${quoteValue(value)}`);
    }
  }
  if (minFrames > maxFrames) {
    throw new ImageError(`sampleFrames: minFrames ${minFrames} must not exceed maxFrames ${maxFrames}`);
  }
  const { count: countOf, indices: indicesOf } = RULES[rule];
  const count =
    frames === undefined
      ? countOf({ total, wanted: (total / sourceFramesPerSecond) * framesPerSecond, minFrames, maxFrames, multiple })
      : roundHalfToEven(frames / multiple) * multiple;
  if (count < multiple || count > total) {
    throw new ImageError(
      `sampleFrames: ${count} frames cannot be taken out of ${total} in multiples of ${multiple}; ` +
        'ask for fewer, or pass all frames of so short a film',
    );
  }
  const indices = indicesOf(total, count);
  return {
    indices,
    framesPerSecond: (indices.length / total) * sourceFramesPerSecond,
    timestamps: indices.map((index) => index / sourceFramesPerSecond),
  };
}
