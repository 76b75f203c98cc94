/**
 * The size an image is resized to before it is cut into patches.
 *
 * Both sides become multiples of `factor` (patch size times merge size, 28 px), the area falls within the pixel budget,
 * and the shape is kept as nearly as those two allow. With R rounding halves to even, h and w the source sides:
 *   h' = R(h / f) f, w' = R(w / f) f
 *   if h' w' > max:       b = sqrt(h w / max),  h' = max(f, floor(h / b / f) f), likewise w'
 *   else if h' w' < min:  b = sqrt(min / (h w)), h' = ceil(h b / f) f, likewise w'
 *
 * Source: `smart_resize` in transformers `image_processing_qwen2_vl.py`.
 */
import { ImageError } from '../errors.js';

export interface Size {
  readonly height: number;
  readonly width: number;
}

export interface SmartResizeOptions {
  /** Patch size times merge size: what both sides must be a multiple of. */
  readonly factor: number;
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** Longest side over shortest; beyond it a picture is a line and the model has never seen one. */
export const MAX_ASPECT_RATIO = 200;

/** Rounds to the nearest whole number, halves to the even one, as Python's `round` does (2.5 -> 2, 3.5 -> 4). */
export function roundHalfToEven(value: number): number {
  const lower = Math.floor(value);
  const rest = value - lower;
  if (rest !== 0.5) return rest < 0.5 ? lower : lower + 1;
  return lower % 2 === 0 ? lower : lower + 1;
}

/**
 * @param height source height in pixels
 * @param width source width in pixels
 * @returns the target size in pixels, both sides a multiple of `factor`
 * @throws ImageError if the aspect ratio is above 200, or a number is not a positive whole one
 */
export function smartResize(height: number, width: number, options: SmartResizeOptions): Size {
  const { factor, minPixels, maxPixels } = options;
  for (const [name, value] of Object.entries({ height, width, factor, minPixels, maxPixels })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ImageError(`smartResize: ${name} must be a positive whole number, got ${value}`);
    }
  }
  if (minPixels > maxPixels) {
    throw new ImageError(`smartResize: minPixels ${minPixels} must not exceed maxPixels ${maxPixels}`);
  }
  const ratio = Math.max(height, width) / Math.min(height, width);
  if (ratio > MAX_ASPECT_RATIO) {
    throw new ImageError(
      `an image of ${width} x ${height} pixels has an aspect ratio of ${ratio.toFixed(1)}, above ${MAX_ASPECT_RATIO}; ` +
        'crop it first',
    );
  }
  const roundedHeight = roundHalfToEven(height / factor) * factor;
  const roundedWidth = roundHalfToEven(width / factor) * factor;
  const area = roundedHeight * roundedWidth;
  if (area > maxPixels) {
    const beta = Math.sqrt((height * width) / maxPixels);
    return {
      height: Math.max(factor, Math.floor(height / beta / factor) * factor),
      width: Math.max(factor, Math.floor(width / beta / factor) * factor),
    };
  }
  if (area < minPixels) {
    const beta = Math.sqrt(minPixels / (height * width));
    return {
      height: Math.ceil((height * beta) / factor) * factor,
      width: Math.ceil((width * beta) / factor) * factor,
    };
  }
  return { height: roundedHeight, width: roundedWidth };
}
