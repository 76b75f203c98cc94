/**
 * A solver without learning that reads scenes from their pixels: the evidence that a sample's image holds its answer at 112 × 112.
 *
 * In each cell the pixels that are at least half as colourful as the most colourful ones are the object. Their number is its area and
 * the middle of their extent its place; the colour is the nearest of the five by the direction of the differences between channels,
 * and the shape is the one whose outline at that area and place, at one of a few tilts, agrees with most pixels.
 */
import type { Cells, ObjectKind, RgbImage, Shape, Solver } from '../../src/index.js';
import {
  CELL_COUNT,
  CELL_PIXELS,
  COLORS,
  COLOR_RGB,
  GRID,
  KINDS,
  SHAPES,
  kindNamePlural,
  sameKind,
} from '../../src/index.js';
import { SHAPE_GEOMETRY } from '../../src/raster/shapes.js';

const LEAST_CHROMA = 60;
const LEAST_PIXELS = 40;
/** Tangents of the angles tried. */
const TILTS = [-0.1, -0.05, 0, 0.05, 0.1];

function maximumBy<T>(items: readonly T[], score: (item: T) => number): T {
  return items.reduce((best, item) => (score(item) > score(best) ? item : best));
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, v, i) => sum + v * (y[i] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Differences between channels, which brightness scales and grey does not touch. */
const differences = ([r = 0, g = 0, b = 0]: readonly number[]): number[] => [r - g, g - b, b - r];

/** Pixels of a cell, as its local coordinates and colour. */
function pixelsOf(image: RgbImage, cell: number): { x: number; y: number; rgb: number[]; chroma: number }[] {
  const left = (cell % GRID) * CELL_PIXELS;
  const top = Math.floor(cell / GRID) * CELL_PIXELS;
  return Array.from({ length: CELL_PIXELS * CELL_PIXELS }, (_, place) => {
    const x = place % CELL_PIXELS;
    const y = Math.floor(place / CELL_PIXELS);
    const at = ((top + y) * image.width + left + x) * 3;
    const rgb = [image.data[at] ?? 0, image.data[at + 1] ?? 0, image.data[at + 2] ?? 0];
    return { x, y, rgb, chroma: Math.max(...rgb) - Math.min(...rgb) };
  });
}

function readCell(image: RgbImage, cell: number): ObjectKind | null {
  const pixels = pixelsOf(image, cell);
  const colourful = pixels.filter(({ chroma }) => chroma >= LEAST_CHROMA);
  if (colourful.length < LEAST_PIXELS) return null;
  const strongest = colourful.map(({ chroma }) => chroma).sort((a, b) => b - a)[LEAST_PIXELS - 1] ?? 0;
  const object = pixels.filter((pixel) => pixel.chroma >= strongest / 2);
  const sum = [0, 1, 2].map((channel) => object.reduce((total, { rgb }) => total + (rgb[channel] ?? 0), 0));
  const color = maximumBy(COLORS, (name) => cosine(differences(sum), differences(COLOR_RGB[name])));

  const size = Math.sqrt(object.length);
  const middle = (values: readonly number[]): number => (Math.min(...values) + Math.max(...values)) / 2;
  const [centreX, centreY] = [middle(object.map(({ x }) => x)), middle(object.map(({ y }) => y))];
  const agreement = (shape: Shape, tilt: number): number =>
    pixels.filter(({ x, y, chroma }) => {
      const [dx, dy] = [(x - centreX) / size, (y - centreY) / size];
      const inside = SHAPE_GEOMETRY[shape].inside(dx + tilt * dy, dy - tilt * dx);
      return inside === chroma >= strongest / 2;
    }).length;
  return { color, shape: maximumBy(SHAPES, (shape) => Math.max(...TILTS.map((tilt) => agreement(shape, tilt)))) };
}

/** What the pixels show in each cell. */
export function readCells(image: RgbImage): Cells {
  return Array.from({ length: CELL_COUNT }, (_, cell) => readCell(image, cell));
}

/** Counts what the question asks for in the pixels; where it sees none, it says 6 rather than nothing. */
export const cellReader: Solver = {
  name: 'cell reader',
  answer: async ({ image, question }) => {
    const target = KINDS.find((kind) => question.includes(` ${kindNamePlural(kind)} `));
    const count = readCells(image).filter(
      (kind) => kind !== null && target !== undefined && sameKind(kind, target),
    ).length;
    return { text: String(count === 0 ? 6 : count) };
  },
};
