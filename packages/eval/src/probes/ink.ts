/**
 * Ink: how much of the image is coloured, measured in its pixels. If more objects of the asked kind meant more ink, a model could
 * answer without telling objects apart.
 */
import type { RgbImage } from '../raster/render.js';
import { COLORS, COLOR_RGB } from '../scene/vocabulary.js';
import type { Color, Rgb } from '../scene/vocabulary.js';
import type { Sample } from '../tasks/task.js';

/** Noise moves a grey pixel's channels apart by at most 20 levels. */
const LEAST_CHROMA = 40;

/** Differences between channels: grey and the amount of white do not touch them, brightness only scales them. */
const differences = ([red, green, blue]: Rgb): Rgb => [red - green, green - blue, blue - red];

/** Each colour's direction in the space of those differences, of length one. */
const DIRECTIONS: readonly (readonly [Color, Rgb])[] = COLORS.map((color) => {
  const [x, y, z] = differences(COLOR_RGB[color]);
  const length = Math.sqrt(x * x + y * y + z * z);
  return [color, [x / length, y / length, z / length]];
});

/** The colour whose direction is nearest to that of a coloured pixel. */
function nearestColor(rgb: Rgb): Color {
  const [x, y, z] = differences(rgb);
  const along = ([u, v, w]: Rgb): number => x * u + y * v + z * w;
  return DIRECTIONS.reduce((best, next) => (along(next[1]) > along(best[1]) ? next : best))[0];
}

/** Number of coloured pixels, whose channels are at least 40 levels apart, among those that `counts` accepts. */
export function inkOf(image: RgbImage, counts: (rgb: Rgb) => boolean = () => true): number {
  const { data } = image;
  let ink = 0;
  for (let at = 0; at + 2 < data.length; at += 3) {
    const rgb: Rgb = [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0];
    if (Math.max(...rgb) - Math.min(...rgb) >= LEAST_CHROMA && counts(rgb)) ink++;
  }
  return ink;
}

/** Number of pixels in the colour that the question asks for; all coloured pixels where it asks for none. */
export function targetColorInk({ image, metadata }: Pick<Sample, 'image' | 'metadata'>): number {
  const { target } = metadata;
  return inkOf(image, (rgb) => target === undefined || nearestColor(rgb) === target.color);
}
