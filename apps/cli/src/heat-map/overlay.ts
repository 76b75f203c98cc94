/**
 * An attention map drawn over its image: the token grid enlarged smoothly to the image's size, coloured by the ramp, and laid
 * over the picture, the more opaque the more attention. The map is scaled from its own least to its own greatest weight.
 */
import type { AttentionMap } from '@mindseye/latent-reasoning';
import type { RgbImage } from '@mindseye/qwen-vl';
import { type Rgb, rampColor } from './color-ramp.js';

const OPACITY = { least: 0.25, most: 0.75 };
const RAMP_STEPS = 256;
const RAMP: readonly Rgb[] = Array.from({ length: RAMP_STEPS }, (_, i) => rampColor(i / (RAMP_STEPS - 1)));

export function overlay(image: RgbImage, map: AttentionMap): RgbImage {
  const { width, height, data } = image;
  const weights = scaled(map.weights);
  const columns = samplePoints(width, map.columns);
  const rows = samplePoints(height, map.rows);
  const drawn = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = bilinear(weights, map.columns, columns[x]!, rows[y]!);
      const color = RAMP[Math.round(value * (RAMP_STEPS - 1))]!;
      const opacity = OPACITY.least + (OPACITY.most - OPACITY.least) * value;
      const at = 3 * (y * width + x);
      for (let channel = 0; channel < 3; channel++) {
        drawn[at + channel] = Math.round((1 - opacity) * data[at + channel]! + opacity * color[channel]!);
      }
    }
  }
  return { data: drawn, width, height, channels: 3 };
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
  const along = (row: number): number => (1 - x.share) * weights[row * columns + x.first]! + x.share * weights[row * columns + x.second]!;
  return (1 - y.share) * along(y.first) + y.share * along(y.second);
}
