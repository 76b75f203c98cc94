/**
 * From "which kind in which cell" to a scene graph: sizes, positions, tilt, tint and light.
 *
 * Ink is equalised. Every shape is drawn by its area, and the areas of a scene add up to a total that is drawn without looking
 * at how many objects there are, let alone at the answer; objects in a fuller scene are smaller instead:
 *
 *   total ~ U[2240, 2400] pixels,   area_i = total · w_i / Σ w,   w_i ~ U[0.9, 1.1]
 *
 * so neither the number of coloured pixels nor a shape's habit of being large tells the count. With 10 to 16 objects the square
 * root of an area lies between 11.3 and 16.4 pixels, and the shapes are 11 to 23 pixels wide. Scenes with fewer objects keep
 * the area of a scene of 10.
 */
import type { RandomStream } from '@mindseye/tensor-core';
import { coin } from '../random/item-stream.js';
import { SHAPE_GEOMETRY } from '../raster/shapes.js';
import { CELL_PIXELS, GRID } from './scene.js';
import type { Cells, PlacedObject, SceneGraph, Surroundings } from './scene.js';
import { COLOR_RGB } from './vocabulary.js';
import type { Rgb } from './vocabulary.js';

const TOTAL_INK = { low: 2240, high: 2400 };
const AREA_WEIGHT = { low: 0.9, high: 1.1 };
/** A scene with fewer objects than this has less ink, or its objects would outgrow their cells. */
const FEWEST_OBJECTS_FOR_TOTAL = 10;
const TILT = 0.06;
const TINT = 14;
const LARGEST_SHIFT = 3;
/** Pixels kept free between a shape and the border of its cell. */
const MARGIN = 0.5;

/** Rounded to 1/64, which is exact in binary and short in JSON. */
function quantised(value: number): number {
  return Math.round(value * 64) / 64;
}

function tinted(random: RandomStream, [red, green, blue]: Rgb): Rgb {
  const channel = (level: number): number =>
    Math.min(255, Math.max(0, Math.round(level + random.uniform(-TINT, TINT))));
  return [channel(red), channel(green), channel(blue)];
}

function surroundings(random: RandomStream): Surroundings {
  return {
    level: quantised(random.uniform(205, 235)),
    gradient: [quantised(random.uniform(-24, 24)), quantised(random.uniform(-24, 24))],
    brightness: quantised(random.uniform(0.85, 1)),
    noise: quantised(random.uniform(3, 10)),
  };
}

/** Places each object of `cells` and draws the light. The same stream gives the same scene. */
export function layOut(random: RandomStream, cells: Cells): SceneGraph {
  const occupied = cells.flatMap((kind, cell) => (kind === null ? [] : [{ kind, cell }]));
  const light = surroundings(random);
  const total = random.uniform(TOTAL_INK.low, TOTAL_INK.high);
  const weights = occupied.map(() => random.uniform(AREA_WEIGHT.low, AREA_WEIGHT.high));
  const sum = weights.reduce((a, b) => a + b, 0);
  const inkPerWeight = (total * Math.min(1, occupied.length / FEWEST_OBJECTS_FOR_TOTAL)) / sum;

  const objects = occupied.map(({ kind, cell }, index): PlacedObject => {
    const size = quantised(Math.sqrt(inkPerWeight * (weights[index] ?? 1)));
    const tilt = random.uniform(0, TILT) * (coin(random) ? 1 : -1);
    const { halfWidth, halfHeight } = SHAPE_GEOMETRY[kind.shape];
    // Rotation by the angle whose half has tangent t: cos = (1 − t²)/(1 + t²), sin = 2t/(1 + t²).
    const cosine = (1 - tilt * tilt) / (1 + tilt * tilt);
    const sine = Math.abs((2 * tilt) / (1 + tilt * tilt));
    const slack = (extent: number): number =>
      Math.min(LARGEST_SHIFT, Math.max(0, CELL_PIXELS / 2 - MARGIN - extent * size));
    const slackX = slack(halfWidth * cosine + halfHeight * sine);
    const slackY = slack(halfHeight * cosine + halfWidth * sine);
    const column = cell % GRID;
    const row = (cell - column) / GRID;
    return {
      cell,
      shape: kind.shape,
      color: kind.color,
      x: quantised((column + 0.5) * CELL_PIXELS + random.uniform(-slackX, slackX)),
      y: quantised((row + 0.5) * CELL_PIXELS + random.uniform(-slackY, slackY)),
      size,
      tilt,
      rgb: tinted(random, COLOR_RGB[kind.color]),
    };
  });
  return { objects, surroundings: light };
}
