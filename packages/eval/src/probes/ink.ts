/**
 * Ink: how much of the image is coloured, measured in its pixels. If more objects of the asked kind meant more ink, a model could
 * answer without telling objects apart.
 */
import type { RgbImage } from '../raster/render.js';

/** Noise moves a grey pixel's channels apart by at most 20 levels. */
const LEAST_CHROMA = 40;

/** Number of pixels that `counts` accepts among the coloured ones: those whose channels are at least 40 levels apart. */
export function inkOf(image: RgbImage, counts: (rgb: readonly [number, number, number]) => boolean = () => true): number {
  const { data } = image;
  let ink = 0;
  for (let at = 0; at + 2 < data.length; at += 3) {
    const rgb = [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0] as const;
    if (Math.max(...rgb) - Math.min(...rgb) >= LEAST_CHROMA && counts(rgb)) ink++;
  }
  return ink;
}
