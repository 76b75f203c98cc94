/**
 * Where things are: original pixels, resized pixels, visual tokens.
 *
 * Qwen2.5-VL speaks of positions in pixels of the *resized* image, which no user ever sees. These functions lead from there
 * to the original and back. Coordinates are continuous: (0, 0) is the top left corner of the top left pixel and
 * (width, height) the bottom right corner of the last, so the two systems differ only by a factor per axis.
 */
import type { GridThw } from './patchify.js';
import type { Size } from './smart-resize.js';

/** What became of one image, or of the frames of one video. */
export interface ImageGeometry {
  readonly original: Size;
  readonly resized: Size;
  readonly gridThw: GridThw;
  /** Rows and columns of visual tokens (merged patches) of one temporal patch; an image is one. */
  readonly tokenGrid: Size;
  /** Visual tokens: temporal patches times rows times columns. */
  readonly visualTokens: number;
}

/** What became of one video. */
export interface VideoGeometry extends ImageGeometry {
  /** Frames it had, before the last was repeated to fill a temporal patch. */
  readonly frames: number;
  /** Seconds from one temporal patch to the next: transformers' `second_per_grid_ts`. */
  readonly secondsPerGrid: number;
}

/** The two sizes of a picture, all that a conversion of coordinates needs. */
export type Resizing = Pick<ImageGeometry, 'original' | 'resized'>;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point, Size {}

export function describeImage(
  original: Size,
  resized: Size,
  patchSize: number,
  mergeSize: number,
  temporalPatches: number = 1,
): ImageGeometry {
  const gridHeight = resized.height / patchSize;
  const gridWidth = resized.width / patchSize;
  const tokenGrid = { height: gridHeight / mergeSize, width: gridWidth / mergeSize };
  return {
    original,
    resized,
    gridThw: [temporalPatches, gridHeight, gridWidth],
    tokenGrid,
    visualTokens: temporalPatches * tokenGrid.height * tokenGrid.width,
  };
}

export interface ConversionOptions {
  /** Move what lies outside the target picture to its border. Default false. */
  readonly clamp?: boolean;
}

function convert(point: Point, from: Size, to: Size, { clamp = false }: ConversionOptions): Point {
  const within = (value: number, limit: number): number => (clamp ? Math.min(Math.max(value, 0), limit) : value);
  return {
    x: within((point.x * to.width) / from.width, to.width),
    y: within((point.y * to.height) / from.height, to.height),
  };
}

/** A box by its corners; width and height are not negative, whichever corner came first. */
export function boxBetween(first: Point, second: Point): Box {
  const x = Math.min(first.x, second.x);
  const y = Math.min(first.y, second.y);
  return { x, y, width: Math.max(first.x, second.x) - x, height: Math.max(first.y, second.y) - y };
}

function convertBox(box: Box, from: Size, to: Size, options: ConversionOptions): Box {
  const opposite = { x: box.x + box.width, y: box.y + box.height };
  return boxBetween(convert(box, from, to, options), convert(opposite, from, to, options));
}

/** From the model's coordinates (resized pixels) to the user's (original pixels). */
export function toOriginalPoint({ original, resized }: Resizing, point: Point, options: ConversionOptions = {}): Point {
  return convert(point, resized, original, options);
}

/** From the user's coordinates (original pixels) to the model's (resized pixels). */
export function toResizedPoint({ original, resized }: Resizing, point: Point, options: ConversionOptions = {}): Point {
  return convert(point, original, resized, options);
}

/** From the model's coordinates (resized pixels) to the user's (original pixels). */
export function toOriginalBox({ original, resized }: Resizing, box: Box, options: ConversionOptions = {}): Box {
  return convertBox(box, resized, original, options);
}

/** From the user's coordinates (original pixels) to the model's (resized pixels). */
export function toResizedBox({ original, resized }: Resizing, box: Box, options: ConversionOptions = {}): Box {
  return convertBox(box, original, resized, options);
}

/**
 * The part of the original image that a visual token covers, in original pixels (fractions at the borders).
 * @param index position among the visual tokens, row by row, in a video one temporal patch after the other
 */
export function visualTokenBox(image: ImageGeometry, index: number): Box {
  const { tokenGrid, original } = image;
  if (!Number.isInteger(index) || index < 0 || index >= image.visualTokens) {
    throw new RangeError(`visualTokenBox: index ${index} must be a whole number from 0 to ${image.visualTokens - 1}`);
  }
  const width = original.width / tokenGrid.width;
  const height = original.height / tokenGrid.height;
  const row = Math.floor(index / tokenGrid.width) % tokenGrid.height;
  return { x: (index % tokenGrid.width) * width, y: row * height, width, height };
}
