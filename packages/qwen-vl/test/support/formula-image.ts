/** Pictures that are a formula of position and seed, written alike in `oracle/images_formula.py`. */
import { createHash } from 'node:crypto';
import type { RasterImage } from '../../src/processor/raster.js';

export type FormulaKind = 'noise' | 'gradient' | 'blocks' | 'extremes';

export interface FormulaImage {
  readonly kind: FormulaKind;
  readonly seed: number;
  readonly height: number;
  readonly width: number;
}

const MIX = [
  [15, 0x2c1b3c6d],
  [12, 0x297a2d39],
] as const;

/** A byte for every index, as good as random. */
function hashed(index: number, seed: number): number {
  let value = (Math.imul(index, 0x9e3779b1) + Math.imul(seed, 0x85ebca6b)) >>> 0;
  for (const [shift, factor] of MIX) value = Math.imul(value ^ (value >>> shift), factor);
  return ((value ^ (value >>> 15)) >>> 24) & 255;
}

type Formula = (row: number, column: number, channel: number, seed: number, width: number, channels: number) => number;

const noise: Formula = (row, column, channel, seed, width, channels) =>
  hashed((row * width + column) * channels + channel, seed);

const FORMULAS: Readonly<Record<FormulaKind, Formula>> = {
  noise,
  gradient: (row, column, channel, seed) =>
    (row * ((seed % 7) + 1) + column * ((seed % 5) + 1) + channel * 37 + seed) % 256,
  blocks: (row, column, channel, seed, _width, channels) =>
    hashed((Math.floor(row / 7) * 4096 + Math.floor(column / 5)) * channels + channel, seed),
  extremes: (...place) => (noise(...place) < 128 ? 0 : 255),
};

export function formulaImage({ kind, seed, height, width }: FormulaImage, channels: 1 | 3 | 4 = 3): RasterImage {
  const data = new Uint8Array(height * width * channels);
  const formula = FORMULAS[kind];
  let at = 0;
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      for (let channel = 0; channel < channels; channel++)
        data[at++] = formula(row, column, channel, seed, width, channels);
  return { data, width, height, channels };
}

export const sha256 = (values: Uint8Array | Uint8ClampedArray | Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
