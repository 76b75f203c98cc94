/**
 * Draws a scene graph: 112 × 112 × 3 bytes, row by row, red green blue.
 *
 *   pixel = brightness · (background · (1 − c) + colour · c) + noise
 *
 * where c, the part of the pixel that the object covers, is estimated on a 4 × 4 grid of points in the pixel (supersampling),
 * background is a grey level with a linear gradient, and noise is uniform and independent per channel. The result is the same
 * to the last bit on every machine: see random/item-stream.ts for why there is no sine and no logarithm here.
 */
import { fillRandomBits } from '@mindseye/tensor-core';
import type { Seed } from '@mindseye/tensor-core';
import { SCENE_PIXELS } from '../scene/scene.js';
import type { PlacedObject, SceneGraph, Surroundings } from '../scene/scene.js';
import { SHAPE_GEOMETRY } from './shapes.js';

/** An image in memory: interleaved RGB bytes, row by row from the top left. */
export interface RgbImage {
  /** width × height × 3 bytes. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3;
}

/** Points per pixel along one axis. */
const SUPERSAMPLING = 4;

function paintBackground(canvas: Float64Array, { level, gradient }: Surroundings): void {
  const [horizontal, vertical] = gradient;
  for (let y = 0, at = 0; y < SCENE_PIXELS; y++) {
    for (let x = 0; x < SCENE_PIXELS; x++, at += 3) {
      const grey = level + horizontal * ((x + 0.5) / SCENE_PIXELS - 0.5) + vertical * ((y + 0.5) / SCENE_PIXELS - 0.5);
      canvas[at] = grey;
      canvas[at + 1] = grey;
      canvas[at + 2] = grey;
    }
  }
}

/** Part of the pixel (px, py) that the object covers, in sixteenths from 0 to 1. */
function coverage(object: PlacedObject, px: number, py: number): number {
  const { tilt, size } = object;
  const scale = 1 / (size * (1 + tilt * tilt));
  const cosine = (1 - tilt * tilt) * scale;
  const sine = 2 * tilt * scale;
  const { inside } = SHAPE_GEOMETRY[object.shape];
  let hits = 0;
  for (let j = 0; j < SUPERSAMPLING; j++) {
    const dy = py + (j + 0.5) / SUPERSAMPLING - object.y;
    for (let i = 0; i < SUPERSAMPLING; i++) {
      const dx = px + (i + 0.5) / SUPERSAMPLING - object.x;
      if (inside(cosine * dx + sine * dy, cosine * dy - sine * dx)) hits++;
    }
  }
  return hits / (SUPERSAMPLING * SUPERSAMPLING);
}

function paintObject(canvas: Float64Array, object: PlacedObject): void {
  const { halfWidth, halfHeight } = SHAPE_GEOMETRY[object.shape];
  // A square around the shape that holds it at any rotation.
  const reach = Math.sqrt(halfWidth * halfWidth + halfHeight * halfHeight) * object.size;
  const left = Math.max(0, Math.floor(object.x - reach));
  const right = Math.min(SCENE_PIXELS - 1, Math.floor(object.x + reach));
  const top = Math.max(0, Math.floor(object.y - reach));
  const bottom = Math.min(SCENE_PIXELS - 1, Math.floor(object.y + reach));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const covered = coverage(object, x, y);
      if (covered === 0) continue;
      const at = (y * SCENE_PIXELS + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const under = canvas[at + channel] ?? 0;
        canvas[at + channel] = under + covered * ((object.rgb[channel] ?? 0) - under);
      }
    }
  }
}

/** Renders `scene`; each 32-bit word of the noise stream `noiseSeed` serves four channel values, lowest byte first. */
export function renderScene(scene: SceneGraph, noiseSeed: Seed): RgbImage {
  const canvas = new Float64Array(SCENE_PIXELS * SCENE_PIXELS * 3);
  paintBackground(canvas, scene.surroundings);
  for (const object of scene.objects) paintObject(canvas, object);

  const data = new Uint8Array(canvas.length);
  const { brightness, noise: amplitude } = scene.surroundings;
  const words = fillRandomBits(new Uint32Array(Math.ceil(canvas.length / 4)), noiseSeed);
  for (let at = 0; at < canvas.length; at++) {
    const byte = ((words[at >>> 2] ?? 0) >>> (8 * (at & 3))) & 255;
    const deviation = (byte - 127.5) * (amplitude / 127.5);
    data[at] = Math.min(255, Math.max(0, Math.round((canvas[at] ?? 0) * brightness + deviation)));
  }
  return { data, width: SCENE_PIXELS, height: SCENE_PIXELS, channels: 3 };
}

/** An image of the same size in one grey: what a model sees when it is shown nothing. */
export function greyImage(width: number = SCENE_PIXELS, height: number = SCENE_PIXELS, level = 128): RgbImage {
  return { data: new Uint8Array(width * height * 3).fill(level), width, height, channels: 3 };
}
