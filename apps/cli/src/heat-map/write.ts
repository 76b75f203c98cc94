/** Writes heat maps of where a model's latents looked, one PNG per image. */
import path from 'node:path';
import type { LatentModel, Question } from '@mindseye/latent-reasoning';
import type { RgbImage } from '@mindseye/qwen-vl';
import { writePng } from '@mindseye/qwen-vl/node';
import { overlay } from './overlay.js';

/** @returns the files written: `file` itself for one image, else `file` with -1, -2, … before its ending */
export async function writeHeatMaps(
  model: LatentModel,
  question: Question & { readonly images: readonly RgbImage[] },
  file: string,
): Promise<string[]> {
  const maps = await model.attentionMaps(question);
  const { images } = question;
  const { dir, name, ext } = path.parse(file);
  const files = images.length === 1 ? [file] : images.map((_, i) => path.join(dir, `${name}-${i + 1}${ext}`));
  for (const [i, target] of files.entries()) await writePng(target, overlay(images[i]!, maps[i]!));
  return files;
}
