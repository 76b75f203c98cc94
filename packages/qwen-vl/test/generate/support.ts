/** A tiny model, and decoding as it is defined: the whole sequence through the model for every token, no cache. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type Device,
  type Tensor,
  bytesSource,
  concat,
  fillUniform,
  mask,
  openCheckpoint,
  seedFromString,
  slice,
  tensor,
} from '@mindseye/tensor-core';
import {
  type VisionItem,
  type ModelContext,
  type Prompt,
  type Qwen2_5_VL,
  embedTokens,
  headForward,
  languageForward,
  loadWeights,
  resolveConfig,
  ropeIndex,
  sequenceOperands,
} from '../../src/index.js';

export type TinyModel = 'tiny-tied' | 'tiny-untied';

const folder = (name: string): string => path.join(import.meta.dirname, '..', 'golden', 'models', name);

export async function readContext(name: TinyModel): Promise<ModelContext> {
  const config = resolveConfig(JSON.parse(await readFile(path.join(folder(name), 'config.json'), 'utf8')));
  const checkpoint = await openCheckpoint(async (file) => {
    const bytes = await readFile(path.join(folder(name), file)).catch(() => undefined);
    return bytes && bytesSource(bytes);
  });
  const { weights } = await loadWeights(checkpoint, config);
  return { config, weights };
}

/** Noise in the form that the processor gives: a grid of patches of 2 x rows by 2 x columns. */
export function noiseImage({ config }: ModelContext, rows: number, columns: number, seed: string): VisionItem {
  const { patchSize, temporalPatchSize, inChannels } = config.visionConfig;
  const patches = 4 * rows * columns;
  const pixelValues = new Float32Array(patches * inChannels * temporalPatchSize * patchSize ** 2);
  fillUniform(pixelValues, seedFromString(seed));
  return { pixelValues: pixelValues.map((value) => 4 * value - 2), grid: [1, 2 * rows, 2 * columns] };
}

/** Ids with the visual tokens of images in their places: numbers are ids, images stand for themselves. */
export function promptOf({ config }: ModelContext, parts: readonly (number | VisionItem)[]): Prompt {
  const images = parts.filter((part) => typeof part !== 'number');
  const inputIds = parts.flatMap((part) =>
    typeof part === 'number'
      ? [part]
      : Array.from({ length: (part.grid[1] * part.grid[2]) / 4 }, () => config.imageTokenId),
  );
  return { inputIds: Int32Array.from(inputIds), images };
}

export interface NaiveStep {
  /** [vocabulary] logits of the last token. */
  readonly logits: Float32Array;
  /** [1, 1, hidden] behind them. */
  readonly hidden: Tensor;
}

/**
 * The model on a prompt and what has been generated, at once.
 * @param vectors what is fed instead of an embedding, by place
 */
export async function naiveForward(
  model: Qwen2_5_VL,
  prompt: Prompt,
  generated: readonly number[],
  device: Device,
  vectors: ReadonlyMap<number, Tensor> = new Map(),
): Promise<NaiveStep> {
  const { context } = model;
  const { images = [] } = prompt;
  const grids = images.map(({ grid }) => grid);
  const inputIds = Int32Array.from([...Array.from(prompt.inputIds), ...generated]);
  // Visual ids may be generated; they are ordinary tokens then.
  const start = prompt.inputIds.length;
  const known = ropeIndex(
    prompt.inputIds,
    grids,
    context.config,
    context.config.visionConfig.spatialMergeSize,
  ).positions;
  const beyond = Math.max(...known) + 1;
  const positions = Int32Array.from(
    [0, 1, 2].flatMap((axis) => [
      ...known.slice(axis * start, (axis + 1) * start),
      ...generated.map((_, n) => beyond + n),
    ]),
  );
  const plain = inputIds.map((id, at) => (at < start ? id : id === context.config.imageTokenId ? 0 : id));
  const operands = {
    ...sequenceOperands(context.config, [{ inputIds: plain, grids, positions }]),
    inputIds: tensor(inputIds, [1, inputIds.length]),
  };
  const visual = await model.encodeImages(images);
  let embeds = embedTokens(
    context,
    operands.inputIds,
    visual && { rows: visual, where: operands.isVisual, index: operands.visualIndex },
  );
  for (const [at, vector] of vectors) {
    const after = at + 1 < inputIds.length ? [slice(embeds, 1, at + 1)] : [];
    embeds = concat([...(at > 0 ? [slice(embeds, 1, 0, at)] : []), vector, ...after], 1);
  }
  const { hidden } = languageForward(context, {
    inputsEmbeds: embeds,
    cos: operands.cos,
    sin: operands.sin,
    mask: mask.causal(),
  });
  const last = slice(hidden, 1, -1);
  return { logits: (await headForward(context, last).data(device)) as Float32Array, hidden: last };
}

export const argmaxOf = (values: ArrayLike<number>): number => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
};

/** Greedy decoding without a cache. */
export async function naiveGreedy(
  model: Qwen2_5_VL,
  prompt: Prompt,
  tokens: number,
  device: Device,
): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < tokens) ids.push(argmaxOf((await naiveForward(model, prompt, ids, device)).logits));
  return ids;
}

/** log softmax in 64 bits. */
export function logSoftmaxOf(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const largest = values.reduce((a, b) => Math.max(a, b));
  const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest;
  return values.map((value) => value - total);
}
