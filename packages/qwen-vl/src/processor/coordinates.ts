/**
 * Where things are: original pixels, resized pixels, visual tokens.
 *
 * Qwen2.5-VL speaks of positions in pixels of the *resized* image, which no user ever sees. These functions lead from there
 * to the original and back. Coordinates are continuous: (0, 0) is the top left corner of the top left pixel and
 * (width, height) the bottom right corner of the last, so the two systems differ only by a factor per axis.
 */
import type { GridThw } from './patchify.js';
import type { Size } from './smart-resize.js';

/** What became of one image. */
export interface ImageGeometry {
  readonly original: Size;
  readonly resized: Size;
  readonly gridThw: GridThw;
  /** Rows and columns of visual tokens (merged patches). */
  readonly tokenGrid: Size;
  /** Visual tokens of the image: rows times columns. */
  readonly visualTokens: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point, Size {}

export function describeImage(original: Size, resized: Size, patchSize: number, mergeSize: number): ImageGeometry {
  const gridHeight = resized.height / patchSize;
  const gridWidth = resized.width / patchSize;
  const tokenGrid = { height: gridHeight / mergeSize, width: gridWidth / mergeSize };
  return {
    original,
    resized,
    gridThw: [1, gridHeight, gridWidth],
    tokenGrid,
    visualTokens: tokenGrid.height * tokenGrid.width,
  };
}

/** From the model's coordinates (resized pixels) to the user's (original pixels). */
export function toOriginalPoint(image: Pick<ImageGeometry, 'original' | 'resized'>, point: Point): Point {
  return {
    x: (point.x * image.original.width) / image.resized.width,
    y: (point.y * image.original.height) / image.resized.height,
  };
}

/** From the user's coordinates (original pixels) to the model's (resized pixels). */
export function toResizedPoint(image: Pick<ImageGeometry, 'original' | 'resized'>, point: Point): Point {
  return {
    x: (point.x * image.resized.width) / image.original.width,
    y: (point.y * image.resized.height) / image.original.height,
  };
}

/**
 * The part of the original image that a visual token covers, in original pixels (fractions at the borders).
 * @param index position among the image's visual tokens, row by row
 */
export function visualTokenBox(image: ImageGeometry, index: number): Box {
  const { tokenGrid, original } = image;
  if (!Number.isInteger(index) || index < 0 || index >= image.visualTokens) {
    throw new RangeError(`visualTokenBox: index ${index} must be a whole number from 0 to ${image.visualTokens - 1}`);
  }
  const width = original.width / tokenGrid.width;
  const height = original.height / tokenGrid.height;
  return { x: (index % tokenGrid.width) * width, y: Math.floor(index / tokenGrid.width) * height, width, height };
}
