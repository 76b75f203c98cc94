/**
 * Memory for keys and values, planned before the first token and never grown while one prompt is answered.
 *
 * One pair [B, key heads, capacity, headDim] per layer. B prompts with G samples, prompts padded on the left to P tokens:
 *
 *   rows 0 … P − 1             the prompt, shared by all samples
 *   rows P + n·G + g           token n of sample g
 *
 * so that each step writes G rows next to each other, and prompts are stored once whatever G is. Token n of sample g sees its
 * prompt behind the padding and the rows of its own sample up to its own.
 */
import { type Device, type Mask, type Tensor, evaluate, full, mask, tensor, updateSlice } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import type { KeyValueCache } from '../model/language.js';

export type CacheDType = 'f32' | 'f16' | 'bf16';

/** Lengths of prompts and capacities are rounded up to these, so that prompts of similar length share compiled steps. */
export const promptStep = 16;
export const capacityStep = 64;

export const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** Rows that B prompts of P tokens with G samples of N new tokens take. */
export const cacheCapacity = (promptLength: number, samples: number, newTokens: number): number =>
  roundUp(promptLength + samples * newTokens, capacityStep);

/** Bytes of keys and values. */
export function keyValueCacheBytes(
  { textConfig }: Pick<Qwen2_5_VLConfig, 'textConfig'>,
  { prompts = 1, capacity, dtype = 'f32' }: { prompts?: number; capacity: number; dtype?: CacheDType },
): number {
  const { numHiddenLayers, numKeyValueHeads, headDim } = textConfig;
  return 2 * numHiddenLayers * prompts * numKeyValueHeads * capacity * headDim * (dtype === 'f32' ? 4 : 2);
}

export async function emptyCache(
  { textConfig }: Pick<Qwen2_5_VLConfig, 'textConfig'>,
  prompts: number,
  capacity: number,
  dtype: CacheDType,
  device: Device,
): Promise<KeyValueCache> {
  const { numHiddenLayers, numKeyValueHeads, headDim } = textConfig;
  const store = (): Tensor[] =>
    Array.from({ length: numHiddenLayers }, () => full([prompts, numKeyValueHeads, capacity, headDim], 0, dtype));
  return evaluate({ keys: store(), values: store() }, { device });
}

/** The same rows in a cache of more capacity. */
export async function grownCache(cache: KeyValueCache, capacity: number, device: Device): Promise<KeyValueCache> {
  const start = tensor(Int32Array.of(0));
  const grow = (rows: Tensor): Tensor => {
    const [prompts, heads, , width] = rows.shape as [number, number, number, number];
    return updateSlice(full([prompts, heads, capacity, width], 0, rows.dtype), rows, start, 2);
  };
  return evaluate({ keys: cache.keys.map(grow), values: cache.values.map(grow) }, { device });
}

/** Operands of the masks: who sees which rows. */
export interface CacheOperands {
  /** i32 [1]: rows written before this step. */
  readonly length: Tensor;
  /** i32 [B]: rows of padding at the start. */
  readonly padding: Tensor;
  /** With several samples: the rows of the prompts, i32 [1], and of which sample each row is. */
  readonly samples?: {
    readonly promptLength: Tensor;
    /** i32 [1, G]: 0 … G − 1. */
    readonly query: Tensor;
    /** i32 [1, capacity]. */
    readonly key: Tensor;
  };
}

export function sampleOperands(
  promptLength: number,
  samples: number,
  capacity: number,
): NonNullable<CacheOperands['samples']> {
  return {
    promptLength: tensor(Int32Array.of(promptLength)),
    query: tensor(
      Int32Array.from({ length: samples }, (_, g) => g),
      [1, samples],
    ),
    key: tensor(
      Int32Array.from({ length: capacity }, (_, row) => (row < promptLength ? -1 : (row - promptLength) % samples)),
      [1, capacity],
    ),
  };
}

/** The mask of prompt tokens, and of single samples. */
export const promptMask = ({ length, padding }: CacheOperands): Mask =>
  mask.and(mask.causal(length), mask.not(mask.prefix(padding)));

/** The mask of the G tokens of a step. */
export function stepMask(operands: CacheOperands, end: Tensor): Mask {
  if (!operands.samples) return promptMask(operands);
  const { promptLength, query, key } = operands.samples;
  return mask.and(
    mask.prefix(end),
    mask.not(mask.prefix(operands.padding)),
    mask.or(mask.prefix(promptLength), mask.segments(query, key)),
  );
}
