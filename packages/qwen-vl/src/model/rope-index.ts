/**
 * Position ids of multimodal RoPE: one (time, height, width) triple per token (transformers `get_rope_index`).
 *
 * Text advances all three axes together. The merged grid (t, H, W) of an image or video that starts at position s gives the
 * token in frame k, row r, column c the triple (s + τ(k), s + r, s + c); text resumes above what came before. An image has
 * one frame and τ = 0. Frames of a video lie τ(k) = ⌊k · (secondsPerGrid · tokensPerSecond)⌋ apart, in f32 steps as in
 * PyTorch. Decoding continues with all axes at `next` and counts up from there.
 */
import { InvalidInputError } from '../errors.js';
import type { MultimodalTokenIds } from '../config/types.js';
import type { GridThw } from '../processor/patchify.js';

export type { GridThw };

export interface RopeIndex {
  /** [3, length] row-major: all time positions, then height, then width. */
  readonly positions: Int32Array;
  /** Largest position + 1 − length. */
  readonly delta: number;
  /**
   * Where text goes on after the last token, on all axes. It is length + delta, except where a rule resumes text below the last
   * position of a video: transformers' `generate` then counts on from the last token, its `rope_deltas` from the largest.
   */
  readonly next: number;
}

/** Whose positions videos get; see `ropeRules`. */
export type RopeCompat = 'qwen' | 'transformers-4' | 'transformers-5-truncated' | 'transformers-5';

interface RopeRule {
  /** What is left of the seconds before they are multiplied. */
  readonly seconds: (seconds: number) => number;
  /** How far text resumes above the start of a grid: after the last position of any axis, or of the spatial ones. */
  readonly resume: 'after-all' | 'after-space';
}

/**
 * How implementations place videos; they agree on images.
 *
 * `qwen`: the code the checkpoints were trained with, transformers up to 4.48, vLLM. `transformers-4`: 4.5x to 5.2.
 * `transformers-5-truncated`: 5.x from the repair of the axis order (pull request 45400) to that of the fractions (48669).
 * `transformers-5`: from there on, 5.18 included. The versions before 45400 that mix up the axes are left out.
 */
const ropeRules: Readonly<Record<RopeCompat, RopeRule>> = {
  qwen: { seconds: Math.fround, resume: 'after-all' },
  'transformers-4': { seconds: Math.trunc, resume: 'after-all' },
  'transformers-5-truncated': { seconds: Math.trunc, resume: 'after-space' },
  'transformers-5': { seconds: Math.fround, resume: 'after-space' },
};

/** The values `ropeCompat` may take. */
export const ropeCompats: readonly RopeCompat[] = Object.keys(ropeRules) as RopeCompat[];

export interface VideoTiming {
  /** `tokensPerSecond` of the vision configuration. */
  readonly tokensPerSecond: number;
  /** Seconds from one temporal patch to the next of the video at the same place in `grids`; 1 where left out. */
  readonly secondsPerGrid?: readonly (number | undefined)[] | undefined;
  /** Whose positions; `qwen` when left out. */
  readonly compat?: RopeCompat | undefined;
}

/** Above this, f32 no longer tells neighbouring positions apart. */
const largestPosition = 2 ** 24;

/** Checks that a grid is whole, positive and made of merged blocks; gives the merged grid. */
export function mergedGrid([frames, rows, columns]: GridThw, spatialMergeSize: number): GridThw {
  const merged: GridThw = [frames, rows / spatialMergeSize, columns / spatialMergeSize];
  if (!merged.every((side) => Number.isInteger(side) && side >= 1))
    throw new InvalidInputError(
      `a grid of ${frames} x ${rows} x ${columns} patches cannot be merged by ${spatialMergeSize}: take the grid from the processor`,
    );
  return merged;
}

/**
 * @param grids patch grid [t, h, w] of each image and video in the order of the prompt; the token ids say which is which
 * @param video needed where the prompt holds a video
 * @throws InvalidInputError if visual tokens and grids do not fit each other
 */
export function ropeIndex(
  inputIds: ArrayLike<number>,
  grids: readonly GridThw[],
  tokens: Pick<MultimodalTokenIds, 'imageTokenId' | 'videoTokenId'>,
  spatialMergeSize: number,
  video?: VideoTiming,
): RopeIndex {
  const length = inputIds.length;
  const positions = new Int32Array(3 * length);
  const set = (at: number, time: number, height: number, width: number): void => {
    positions[at] = time;
    positions[length + at] = height;
    positions[2 * length + at] = width;
  };
  const rule = ropeRuleOf(video?.compat ?? 'qwen');
  let next = 0;
  let largest = -1;
  let item = 0;
  for (let at = 0; at < length;) {
    const id = inputIds[at]!;
    if (id !== tokens.imageTokenId && id !== tokens.videoTokenId) {
      largest = Math.max(largest, next);
      set(at++, next, next, next);
      next++;
      continue;
    }
    const kind = id === tokens.videoTokenId ? 'video' : 'image';
    const grid = grids[item];
    if (!grid)
      throw new InvalidInputError(
        `the prompt holds visual tokens for more than the ${grids.length} image(s) and video(s) given: pass one per placeholder`,
      );
    const [frames, rows, columns] = mergedGrid(grid, spatialMergeSize);
    const count = frames * rows * columns;
    if (at + count > length || !isRun(inputIds, at, count, id)) {
      const own = runLength(inputIds, at, id);
      throw new InvalidInputError(
        `${kind} ${item + 1} needs ${count} visual tokens, the prompt has ${own} in a row: expand the ${kind} placeholder with the processor`,
      );
    }
    const time = kind === 'video' ? frameTimes(frames, item, video, rule) : [...Array(frames).keys()];
    for (let unit = 0; unit < count; unit++, at++) {
      const frame = Math.floor(unit / (rows * columns));
      set(at, next + time[frame]!, next + (Math.floor(unit / columns) % rows), next + (unit % columns));
    }
    const space = Math.max(rows, columns);
    const all = Math.max(space, time.at(-1)! + 1);
    largest = Math.max(largest, next + all - 1);
    next += rule.resume === 'after-all' ? all : space;
    item++;
  }
  if (item !== grids.length)
    throw new InvalidInputError(
      `${grids.length} image(s) and video(s) were given, the prompt has visual tokens for ${item}: put one placeholder into the prompt for each`,
    );
  return { positions, delta: largest + 1 - length, next };
}

function ropeRuleOf(compat: RopeCompat): RopeRule {
  const rule: RopeRule | undefined = ropeRules[compat];
  if (!rule)
    throw new InvalidInputError(`ropeCompat ${JSON.stringify(compat)} is unknown; known: ${ropeCompats.join(', ')}`);
  return rule;
}

/** τ(k) of each frame of the video at place `item`. */
function frameTimes(frames: number, item: number, timing: VideoTiming | undefined, rule: RopeRule): readonly number[] {
  if (!timing)
    throw new InvalidInputError(
      `video ${item + 1} has no timing: pass tokensPerSecond of the vision configuration along with the grids`,
    );
  const seconds = timing.secondsPerGrid?.[item] ?? 1;
  const interval = Math.fround(rule.seconds(seconds) * timing.tokensPerSecond);
  if (!(seconds >= 0 && interval * frames <= largestPosition))
    throw new InvalidInputError(
      `video ${item + 1} has ${seconds} seconds per temporal patch; it must be from 0 up and keep positions below ${largestPosition}`,
    );
  return Array.from({ length: frames }, (_, frame) => Math.trunc(Math.fround(frame * interval)));
}

/** How many tokens from `at` on are `id`. */
function runLength(ids: ArrayLike<number>, at: number, id: number): number {
  let end = at;
  while (ids[end] === id) end++;
  return end - at;
}

function isRun(ids: ArrayLike<number>, at: number, count: number, id: number): boolean {
  for (let i = at; i < at + count; i++) if (ids[i] !== id) return false;
  return true;
}
