/**
 * How large a picture may become: limits in pixels and in visual tokens, and one limit shared by many pictures.
 *
 * One visual token covers f x f pixels of the resized picture, f = patch size times merge size (28). `smartResize` keeps the
 * pixel limits as transformers does, which a very long picture can exceed because no side gets below f. Token limits are
 * hard: a picture that would break one is squeezed on its long side.
 *
 * A shared limit is split by water filling: every picture gets what it would take on its own, up to one level that is the same
 * for all and as high as the sum allows. Small pictures are left as they are, large ones become equally large.
 */
import { ImageError, quoteValue } from '../errors.js';
import { smartResize, type Size } from './smart-resize.js';

/** Budget of a call; what it names replaces what the preprocessor configuration says. */
export interface PixelBudget {
  /** Smallest area of one resized image (of one frame of a video), in pixels. */
  readonly minPixels?: number;
  /** Largest area of one resized image (of one frame of a video), in pixels. */
  readonly maxPixels?: number;
  /** Most visual tokens one image or video may take. */
  readonly maxVisualTokens?: number;
  /** Most visual tokens all images and videos of the call may take together. */
  readonly totalVisualTokens?: number;
}

export interface PixelLimits {
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** @throws ImageError if a limit is not a positive whole number, or the limits contradict each other */
export function checkBudget(budget: PixelBudget): void {
  for (const name of ['minPixels', 'maxPixels', 'maxVisualTokens', 'totalVisualTokens'] as const) {
    const value = budget[name];
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1)) {
      throw new ImageError(`budget: ${name} must be a positive whole number, got ${quoteValue(value)}`);
    }
  }
  const { minPixels = 1, maxPixels = Infinity } = budget;
  if (minPixels > maxPixels) {
    throw new ImageError(
      `budget: minPixels ${minPixels} must not exceed maxPixels ${maxPixels}; lower the one or raise the other`,
    );
  }
}

/** The pixel limits of a picture: those of the budget, where it names none those of the defaults. */
export function pixelLimits(defaults: PixelLimits, budget: PixelBudget): PixelLimits {
  const minPixels = budget.minPixels ?? Math.min(defaults.minPixels, budget.maxPixels ?? Infinity);
  const maxPixels = budget.maxPixels ?? Math.max(defaults.maxPixels, minPixels);
  return { minPixels, maxPixels };
}

/**
 * The size a picture is resized to under pixel limits and a hard limit of tokens.
 * @param maxTokens tokens of f x f pixels, at least 1; a token limit lowers the smallest area, unless `fixedMinimum`
 * @param fixedMinimum whether `minPixels` was asked for, so that a smaller token limit is a contradiction
 * @throws ImageError if the aspect ratio is above 200 or the limits contradict each other
 */
export function sizeWithin(
  original: Size,
  factor: number,
  limits: PixelLimits,
  maxTokens: number = Infinity,
  fixedMinimum: boolean = false,
): Size {
  const { height, width } = original;
  if (maxTokens === Infinity) return smartResize(height, width, { factor, ...limits });
  const area = maxTokens * factor * factor;
  if (fixedMinimum && limits.minPixels > area) {
    throw new ImageError(
      `budget: minPixels ${limits.minPixels} needs more than ${maxTokens} visual tokens of ${factor} x ${factor} pixels; ` +
        'lower minPixels or raise the token limit',
    );
  }
  const maxPixels = Math.min(limits.maxPixels, area);
  const size = smartResize(height, width, { factor, minPixels: Math.min(limits.minPixels, maxPixels), maxPixels });
  if (size.height * size.width <= area) return size;
  // Either the smallest area was rounded up beyond the limit, or one side is at its least and the other too long.
  const smaller = smartResize(height, width, { factor, minPixels: 1, maxPixels });
  return smaller.height > smaller.width
    ? { height: Math.min(smaller.height, maxTokens * factor), width: smaller.width }
    : { height: smaller.height, width: Math.min(smaller.width, maxTokens * factor) };
}

/**
 * Splits a number of tokens over pictures.
 * @param wanted tokens each picture would take on its own
 * @param least tokens below which it cannot go, as many as `wanted`: 1 for an image, one per temporal patch for a video
 * @returns the most each may take; their sum is at most `total`, or all of `wanted` if that fits
 * @throws ImageError if even the least do not fit
 */
export function splitTokens(wanted: readonly number[], least: readonly number[], total: number): readonly number[] {
  const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
  if (sum(wanted) <= total) return wanted;
  if (sum(least) > total) {
    throw new ImageError(
      `budget: ${wanted.length} images and videos need at least ${sum(least)} visual tokens, above totalVisualTokens ` +
        `${total}; raise it, or pass fewer images or frames`,
    );
  }
  const at = (level: number): readonly number[] =>
    wanted.map((want, index) => Math.max(least[index]!, Math.min(want, level)));
  let low = 0;
  let high = Math.max(...wanted);
  while (high - low > 1) {
    const level = Math.floor((low + high) / 2);
    if (sum(at(level)) <= total) low = level;
    else high = level;
  }
  // What is left over is too little for everybody: one more token each, in order, while it lasts.
  let rest = total - sum(at(low));
  return at(low).map((share, index) => {
    const more = rest > 0 && share === low && share < wanted[index]! ? 1 : 0;
    rest -= more;
    return share + more;
  });
}
