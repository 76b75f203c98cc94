/**
 * Weights to colours, from a map's own least weight to its own greatest: a scale of rising lightness, so that it reads without
 * colour too, and more opaque where there is more.
 */
import type { AttentionMap } from '@mindseye/latent-reasoning';

type Rgb = readonly [red: number, green: number, blue: number];

/** Evenly spaced from 0 to 1. */
const STOPS: readonly Rgb[] = [
  [32, 18, 77],
  [110, 32, 120],
  [190, 54, 96],
  [240, 122, 54],
  [255, 226, 120],
];

/** Opacity, of 255, at 0 and at 1. */
const ALPHA = [110, 235] as const;

/** The colour at `value` from 0 to 1. */
export function heatColor(value: number): Rgb {
  const at = Math.min(1, Math.max(0, value)) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(at));
  const mix = (channel: 0 | 1 | 2): number => {
    const [from, to] = [STOPS[low]![channel], STOPS[low + 1]![channel]];
    return Math.round(from + (at - low) * (to - from));
  };
  return [mix(0), mix(1), mix(2)];
}

export interface WeightRange {
  readonly least: number;
  readonly most: number;
}

/** What the two ends of the scale stand for. */
export const rangeOf = ({ weights }: AttentionMap): WeightRange => ({
  least: weights.reduce((a, b) => Math.min(a, b), Infinity),
  most: weights.reduce((a, b) => Math.max(a, b), -Infinity),
});

/** RGBA bytes [rows, columns, 4]. */
export function heatPixels(map: AttentionMap): Uint8ClampedArray<ArrayBuffer> {
  const { least, most } = rangeOf(map);
  const pixels = new Uint8ClampedArray(4 * map.weights.length);
  map.weights.forEach((weight, at) => {
    const value = most > least ? (weight - least) / (most - least) : 0;
    pixels.set([...heatColor(value), ALPHA[0] + value * (ALPHA[1] - ALPHA[0])], 4 * at);
  });
  return pixels;
}

/** The scale as a CSS gradient. */
export const heatGradient: string = `linear-gradient(to right, ${STOPS.map((color) => `rgb(${color.join(' ')})`).join(', ')})`;
