/**
 * An attention map drawn over its image: the token grid enlarged smoothly to the image's size, coloured by the ramp, and laid
 * half transparent over the picture. The map is scaled from its own least to its own greatest weight. A strip below the
 * picture shows the ramp, from least on the left to most on the right.
 */
import type { AttentionMap } from '@mindseye/latent-reasoning';
import type { RgbImage } from '@mindseye/qwen-vl';
import { type Rgb, rampColor } from './color-ramp.js';

const OPACITY = 0.5;
/** Height of the strip, as a part of the picture's; one pixel at least. */
const STRIP = 1 / 32;
const RAMP_STEPS = 256;
const RAMP: readonly Rgb[] = Array.from({ length: RAMP_STEPS }, (_, i) => rampColor(i / (RAMP_STEPS - 1)));

export function overlay(image: RgbImage, map: AttentionMap): RgbImage {
  const { width, height, data } = image;
  const weights = scaled(map.weights);
  const columns = samplePoints(width, map.columns);
  const rows = samplePoints(height, map.rows);
  const strip = Math.max(1, Math.round(height * STRIP));
  const drawn = new Uint8Array(3 * width * (height + strip));
  for (let y = 0; y < height + strip; y++) {
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      const isPicture = y < height;
      const value = isPicture ? bilinear(weights, map.columns, columns[x]!, rows[y]!) : x / Math.max(1, width - 1);
      const color = RAMP[Math.round(value * (RAMP_STEPS - 1))]!;
      for (let channel = 0; channel < 3; channel++) {
        drawn[at + channel] = isPicture
          ? Math.round((1 - OPACITY) * data[at + channel]! + OPACITY * color[channel]!)
          : color[channel]!;
      }
    }
  }
  return { data: drawn, width, height: height + strip, channels: 3 };
}

/** From 0 at the least to 1 at the greatest weight; all 0 where they are equal. */
function scaled(weights: Float32Array): Float32Array {
  const least = weights.reduce((a, b) => Math.min(a, b), Infinity);
  const range = weights.reduce((a, b) => Math.max(a, b), -Infinity) - least;
  return weights.map((weight) => (range > 0 ? (weight - least) / range : 0));
}

/** Between which two cells a pixel's centre lies, and how far from the first to the second. */
interface SamplePoint {
  readonly first: number;
  readonly second: number;
  readonly share: number;
}

/** Cells have their weight at their centre; beyond the outermost centres it stays the same. */
function samplePoints(pixels: number, cells: number): SamplePoint[] {
  return Array.from({ length: pixels }, (_, pixel) => {
    const position = Math.min(cells - 1, Math.max(0, ((pixel + 0.5) * cells) / pixels - 0.5));
    const first = Math.floor(position);
    return { first, second: Math.min(cells - 1, first + 1), share: position - first };
  });
}

function bilinear(weights: Float32Array, columns: number, x: SamplePoint, y: SamplePoint): number {
  const along = (row: number): number =>
    (1 - x.share) * weights[row * columns + x.first]! + x.share * weights[row * columns + x.second]!;
  return (1 - y.share) * along(y.first) + y.share * along(y.second);
}
