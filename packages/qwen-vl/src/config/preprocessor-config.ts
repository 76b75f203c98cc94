/**
 * preprocessor_config.json -> `PreprocessorConfig`.
 *
 * Read dialects: `min_pixels` / `max_pixels` at the root; `size {shortest_edge, longest_edge}`, which for this family mean
 * pixel counts and not edges; and transformers 5's processor_config.json, where the same object sits under
 * `image_processor`. When both kinds of budget are present the explicit pixel names win, as in transformers.
 *
 * Source: transformers `image_processing_pil_qwen2_vl.py`.
 */
import { z } from 'zod';
import type { PreprocessorConfig, Qwen2_5_VLConfig } from './types.js';
import { ensure, integer, LIMITS, positive, validate } from './validation.js';

const pixels = integer(1, LIMITS.pixels);
const perChannel = z.union([z.number(), z.array(z.number()).min(1).max(16)]);

const schema = z.looseObject({
  min_pixels: pixels.nullish(),
  max_pixels: pixels.nullish(),
  size: z
    .looseObject({
      shortest_edge: pixels.nullish(),
      longest_edge: pixels.nullish(),
      min_pixels: pixels.nullish(),
      max_pixels: pixels.nullish(),
    })
    .nullish(),
  patch_size: integer(1, LIMITS.patch).default(14),
  temporal_patch_size: integer(1, 16).default(2),
  merge_size: integer(1, 16).default(2),
  image_mean: perChannel.default([0.48145466, 0.4578275, 0.40821073]),
  image_std: perChannel.default([0.26862954, 0.26130258, 0.27577711]),
  rescale_factor: positive(1e6).default(1 / 255),
  resample: z.literal(3, '3 (bicubic) is the only supported resampling').nullish(),
  do_convert_rgb: z.boolean().nullish(),
  do_resize: z.literal(true).nullish(),
  do_rescale: z.literal(true).nullish(),
  do_normalize: z.literal(true).nullish(),
});

/** Means and deviations beyond this, or deviations below its inverse, would make pixels infinite in f32 before long. */
const LARGEST_CHANNEL_NUMBER = 1e6;

const replicate = (value: number | number[]): number[] => (typeof value === 'number' ? [value, value, value] : value);

/**
 * Resolves the parsed content of a preprocessor_config.json or processor_config.json.
 * @param json any parsed JSON; it is not trusted
 * @param source the file's name, the first word of every error
 * @throws ConfigError in one line
 */
export function resolvePreprocessorConfig(
  json: unknown,
  source: string = 'preprocessor_config.json',
): PreprocessorConfig {
  ensure(typeof json === 'object' && json !== null && !Array.isArray(json), source, 'the file must hold a JSON object');
  const raw = validate(schema, 'image_processor' in json ? json.image_processor : json, source);
  const size = raw.size ?? {};
  const minPixels = raw.min_pixels ?? size.min_pixels ?? size.shortest_edge ?? 56 * 56;
  const maxPixels = raw.max_pixels ?? size.max_pixels ?? size.longest_edge ?? 28 * 28 * 1280;
  ensure(minPixels <= maxPixels, source, `min_pixels ${minPixels} must not exceed max_pixels ${maxPixels}`);
  const imageMean = replicate(raw.image_mean);
  const imageStd = replicate(raw.image_std);
  ensure(
    imageMean.length === 3 && imageStd.length === 3,
    source,
    `image_mean and image_std need 3 numbers, one per RGB channel (got ${imageMean.length} and ${imageStd.length})`,
  );
  ensure(
    imageMean.every((value) => Math.abs(value) <= LARGEST_CHANNEL_NUMBER),
    source,
    `image_mean [${imageMean.join(', ')}] must lie within ±${LARGEST_CHANNEL_NUMBER}`,
  );
  ensure(
    imageStd.every((value) => value >= 1 / LARGEST_CHANNEL_NUMBER && value <= LARGEST_CHANNEL_NUMBER),
    source,
    `image_std [${imageStd.join(', ')}] must lie within ${1 / LARGEST_CHANNEL_NUMBER} and ${LARGEST_CHANNEL_NUMBER}`,
  );
  return {
    minPixels,
    maxPixels,
    patchSize: raw.patch_size,
    temporalPatchSize: raw.temporal_patch_size,
    mergeSize: raw.merge_size,
    imageMean,
    imageStd,
    rescaleFactor: raw.rescale_factor,
  };
}

/**
 * Pixel limits of video frames from the parsed content of a video_preprocessor_config.json; those it does not name are left out.
 * @throws ConfigError in one line
 */
export function resolveVideoSettings(
  json: unknown,
  source: string = 'video_preprocessor_config.json',
): { readonly minPixels?: number; readonly maxPixels?: number } {
  const { min_pixels, max_pixels, size } = validate(schema, json, source);
  const minPixels = min_pixels ?? size?.min_pixels ?? size?.shortest_edge ?? undefined;
  const maxPixels = max_pixels ?? size?.max_pixels ?? size?.longest_edge ?? undefined;
  ensure(
    (minPixels ?? 0) <= (maxPixels ?? Infinity),
    source,
    `min_pixels ${minPixels} must not exceed max_pixels ${maxPixels}`,
  );
  return { ...(minPixels !== undefined && { minPixels }), ...(maxPixels !== undefined && { maxPixels }) };
}

/** @throws ConfigError if the patches this processor makes are not those the vision tower was built for */
export function checkPreprocessorFitsModel(preprocessor: PreprocessorConfig, config: Qwen2_5_VLConfig): void {
  const vision = config.visionConfig;
  const pairs: readonly (readonly [string, number, string, number])[] = [
    ['patch_size', preprocessor.patchSize, 'patch_size', vision.patchSize],
    ['temporal_patch_size', preprocessor.temporalPatchSize, 'temporal_patch_size', vision.temporalPatchSize],
    ['merge_size', preprocessor.mergeSize, 'spatial_merge_size', vision.spatialMergeSize],
    ['image_mean', preprocessor.imageMean.length, 'in_channels', vision.inChannels],
  ];
  for (const [name, value, other, expected] of pairs) {
    ensure(
      value === expected,
      'preprocessor_config.json',
      `${name} ${value} does not fit config.json vision_config.${other} ${expected}; take both files from one checkpoint`,
    );
  }
}
