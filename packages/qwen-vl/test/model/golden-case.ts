/**
 * The model cases of oracle/model_cases.py and oracle/generation_cases.py: ids, positions, pictures, and hidden states.
 *
 * Pictures go through the image processor; the frames of a video are joined two by two from their patches as stills.
 */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { expect } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import type { GridThw } from '../../src/model/rope-index.js';
import type { SequenceRow } from '../../src/model/sequence.js';
import type { VisionItem } from '../../src/model/vision-batches.js';
import { readImage } from '../../src/node/decode-image.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';
import type { RasterImage } from '../../src/processor/raster.js';
import {
  type GoldenTensor,
  float32,
  goldenPath,
  readGoldenJson,
  readGoldenTensors,
  tensorOf,
} from '../support/golden.js';
import { largestDifference } from './golden-model.js';

export interface GoldenItem {
  readonly kind: 'image' | 'video';
  readonly grid: GridThw;
  readonly seconds?: number;
  /** Of `images.<number>`; frames of a video. */
  readonly pictures?: readonly number[];
  readonly file?: string;
  readonly pixel_values_sha256: string;
}

type RowGroup = 'patches' | 'units' | 'tokens' | 'logits';

export interface GoldenManifest {
  readonly model: string;
  readonly case: string;
  /** [row][position], padded on the left with 0. */
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask?: readonly (readonly number[])[];
  /** Images and videos of each row, in the order of the prompt. */
  readonly rows: readonly (readonly GoldenItem[])[];
  /** [axis][row][position] */
  readonly position_ids: readonly (readonly (readonly number[])[])[];
  /** Which rows the tensors of a group have; all where a group is not named. */
  readonly kept_rows: { readonly [group in RowGroup]?: readonly number[] };
}

export interface SingleManifest extends GoldenManifest {
  readonly rope_delta: number;
  readonly window_index?: readonly number[];
  readonly cu_window_seqlens?: readonly number[];
  readonly generated_ids: readonly number[];
  readonly repetition_penalty: number;
  readonly penalised_ids: readonly number[];
}

export interface Golden<Manifest extends GoldenManifest> {
  readonly manifest: Manifest;
  readonly tensors: ReadonlyMap<string, GoldenTensor>;
}

/** Cases that are no single prompt with greedy answers; generation.golden.test.ts has them by name. */
const others = /^(batch-|two-turns|chunked-prefill)/;

/** [model, case] of every case of one prompt. */
export const singleCases: readonly (readonly [string, string])[] = readdirSync(goldenPath('cases'))
  .map((file) => /^([^.]+)\.([^.]+)\.json$/.exec(file))
  .flatMap((match) => (match && !others.test(match[2]!) ? [[match[1]!, match[2]!] as const] : []));

export const readGolden = <Manifest extends GoldenManifest>(stem: string): Golden<Manifest> => ({
  manifest: readGoldenJson<Manifest>(`cases/${stem}.json`),
  tensors: readGoldenTensors(`cases/${stem}.safetensors`),
});

function raster(tensor: GoldenTensor): RasterImage {
  const [height = 0, width = 0, channels = 3] = tensor.shape;
  return { data: tensor.bytes, width, height, channels: channels as 1 | 3 | 4 };
}

/** Patches of a video from those of its frames as stills [patches, C, T = 2, P·P]: slice 0 of the first of each pair, slice 1 of the second. */
function videoPatches(stills: readonly Float32Array[], sliceLength: number): Float32Array {
  const pairs = Math.ceil(stills.length / 2);
  const all = new Float32Array(pairs * stills[0]!.length);
  for (let pair = 0; pair < pairs; pair++) {
    const frames = [stills[2 * pair]!, stills[2 * pair + 1] ?? stills.at(-1)!];
    for (let at = 0; at < frames[0]!.length; at += sliceLength) {
      const frame = frames[(at / sliceLength) % 2]!;
      all.set(frame.subarray(at, at + sliceLength), pair * frame.length + at);
    }
  }
  return all;
}

/** The items as the vision tower reads them, each checked against the digest of transformers' patches. */
export async function visionItems(
  { manifest, tensors }: Golden<GoldenManifest>,
  items: readonly GoldenItem[] = manifest.rows.flat(),
): Promise<VisionItem[]> {
  const config = resolvePreprocessorConfig(readGoldenJson(`models/${manifest.model}/preprocessor_config.json`));
  const processor = new ImageProcessor(config);
  const made: VisionItem[] = [];
  for (const { kind, grid, pictures = [], file, pixel_values_sha256 } of items) {
    const images = file
      ? [await readImage(goldenPath(`images/files/${file}`), { orientation: 'ignore' })]
      : pictures.map((number) => raster(tensorOf(tensors, `images.${number}`)));
    const stills = images.map((image) => processor.process([image]).pixelValues);
    const pixelValues = kind === 'video' ? videoPatches(stills, config.patchSize ** 2) : stills[0]!;
    const bytes = new Uint8Array(pixelValues.buffer, pixelValues.byteOffset, pixelValues.byteLength);
    expect(createHash('sha256').update(bytes).digest('hex'), 'pixel values').toBe(pixel_values_sha256);
    made.push({ pixelValues, grid });
  }
  return made;
}

/** A row without its padding, with positions as this version of transformers makes them. */
export function sequenceRow({ input_ids, attention_mask, rows }: GoldenManifest, row: number = 0): SequenceRow {
  return {
    inputIds: input_ids[row]!.filter((_, at) => attention_mask?.[row]![at] !== 0),
    grids: rows[row]!.map(({ grid }) => grid),
    secondsPerGrid: rows[row]!.map(({ seconds }) => seconds),
    ropeCompat: 'transformers-5',
  };
}

/** Position triples [3, length] of a row without its padding. */
export const goldenPositions = ({ position_ids, attention_mask }: GoldenManifest, row: number = 0): number[] =>
  position_ids.flatMap((axis) => axis[row]!.filter((_, at) => attention_mask?.[row]![at] !== 0));

const groupOf = (name: string): RowGroup =>
  name === 'logits'
    ? 'logits'
    : name.startsWith('language.')
      ? 'tokens'
      : name === 'vision.merger'
        ? 'units'
        : 'patches';

/** Largest difference between a whole tensor and the golden of that name, over the rows that the golden keeps. */
export function differenceFrom(
  { manifest, tensors }: Golden<GoldenManifest>,
  name: string,
  actual: ArrayLike<number>,
): number {
  const golden = tensorOf(tensors, name);
  const width = golden.shape.at(-1)!;
  const values = Array.from(actual);
  const kept = manifest.kept_rows[groupOf(name)];
  return largestDifference(
    kept ? kept.flatMap((row) => values.slice(row * width, (row + 1) * width)) : values,
    float32(golden),
  );
}
