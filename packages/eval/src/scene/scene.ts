/**
 * A scene: 4 × 4 cells of 28 pixels, each empty or holding one object.
 *
 * 28 pixels are one merged visual token of Qwen2.5-VL (patch 14, spatial merge 2), so at 112 × 112 each token sees exactly one
 * cell and counting needs the tokens to be put together. A scene graph says everything the renderer draws but the noise.
 */
import { COLORS, SHAPES } from './vocabulary.js';
import type { ObjectKind, Rgb } from './vocabulary.js';
import { sha256Hex } from '../random/hash.js';

/** Cells along one side. */
export const GRID = 4;
/** Cells in all. */
export const CELL_COUNT: number = GRID * GRID;
/** Pixels along one side of a cell. */
export const CELL_PIXELS = 28;
/** Pixels along one side of the image. */
export const SCENE_PIXELS: number = GRID * CELL_PIXELS;

/** What each cell holds, row by row from the top left; null is an empty cell. */
export type Cells = readonly (ObjectKind | null)[];

/** An object as it is drawn. Lengths are in pixels of the 112 × 112 image. */
export interface PlacedObject extends ObjectKind {
  /** Index of the cell, row by row from the top left, 0 to 15. */
  readonly cell: number;
  /** Centre of the shape's bounding box. */
  readonly x: number;
  readonly y: number;
  /** Square root of the area, so that a circle and a cross of one size have equally many pixels. */
  readonly size: number;
  /** Tangent of half the angle of rotation. */
  readonly tilt: number;
  readonly rgb: Rgb;
}

/** What surrounds the objects. */
export interface Surroundings {
  /** Grey level of the background in the middle of the image, 0 to 255. */
  readonly level: number;
  /** Change of that level from the left edge to the right, and from the top to the bottom. */
  readonly gradient: readonly [horizontal: number, vertical: number];
  /** Brightness: every pixel is multiplied by it before noise is added. */
  readonly brightness: number;
  /** Greatest deviation of the uniform noise per channel, in levels. */
  readonly noise: number;
}

/** All of a scene but its noise; plain JSON. */
export interface SceneGraph {
  readonly objects: readonly PlacedObject[];
  readonly surroundings: Surroundings;
}

/** The splits of every task. */
export const SPLITS = ['train', 'validation', 'test'] as const;

/** One of {@link SPLITS}. */
export type Split = (typeof SPLITS)[number];

/**
 * The canonical form of a scene: which kind stands in which cell, and nothing of position in the cell, size, tint or light.
 * Two digits per cell, shape then colour; ".." is an empty cell.
 */
export function canonicalScene(cells: Cells): string {
  return cells
    .map((kind) => (kind === null ? '..' : `${SHAPES.indexOf(kind.shape)}${COLORS.indexOf(kind.color)}`))
    .join('');
}

/** SHA-256 of the canonical form. Two samples with one hash show the same scene. */
export function sceneHash(cells: Cells): string {
  return sha256Hex(canonicalScene(cells));
}

/**
 * The one split in which a scene may appear: half of all scenes are for training, a quarter each for validation and test.
 *
 * The split is a function of the scene, so no scene can be in two splits, nor in the training split of one task and the test
 * split of another. Generators draw again until the scene falls into the split that was asked for.
 */
export function splitOfScene(hash: string): Split {
  const quarter = Number.parseInt(hash.slice(0, 2), 16) % 4;
  return quarter === 3 ? 'test' : quarter === 2 ? 'validation' : 'train';
}

/** The cells of a scene graph. */
export function cellsOf(scene: SceneGraph): Cells {
  const cells: (ObjectKind | null)[] = Array.from({ length: CELL_COUNT }, () => null);
  for (const { cell, shape, color } of scene.objects) cells[cell] = { shape, color };
  return cells;
}
