/** A small decoder with a key-value cache, for sequences of any length. */
import * as t from '@mindseye/tensor-core';
import { values } from './support.js';

export interface DecoderSizes {
  readonly vocabulary: number;
  readonly width: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headWidth: number;
  readonly hidden: number;
  readonly capacity: number;
  readonly layers: number;
}

export const tinyDecoder: DecoderSizes = {
  vocabulary: 19,
  width: 16,
  heads: 4,
  keyHeads: 2,
  headWidth: 4,
  hidden: 24,
  capacity: 32,
  layers: 2,
};

export interface DecoderLayer {
  readonly attentionNorm: t.Tensor;
  readonly query: t.Tensor;
  readonly queryBias: t.Tensor;
  readonly key: t.Tensor;
  readonly value: t.Tensor;
  readonly output: t.Tensor;
  readonly mlpNorm: t.Tensor;
  readonly gate: t.Tensor;
  readonly up: t.Tensor;
  readonly down: t.Tensor;
}

export interface DecoderWeights {
  readonly embedding: t.Tensor;
  readonly layers: readonly DecoderLayer[];
  readonly norm: t.Tensor;
}

/** Keys and values of each layer, [1, keyHeads, capacity, headWidth]. */
export type Cache = readonly { readonly keys: t.Tensor; readonly values: t.Tensor }[];

export function decoderWeights(sizes: DecoderSizes): DecoderWeights {
  const { vocabulary, width, heads, keyHeads, headWidth, hidden, layers } = sizes;
  let seed = 1;
  const random = (...shape: readonly number[]): t.Tensor => values(shape, seed++);
  const layer = (): DecoderLayer => ({
    attentionNorm: random(width),
    query: random(heads * headWidth, width),
    queryBias: random(heads * headWidth),
    key: random(keyHeads * headWidth, width),
    value: random(keyHeads * headWidth, width),
    output: random(width, heads * headWidth),
    mlpNorm: random(width),
    gate: random(hidden, width),
    up: random(hidden, width),
    down: random(width, hidden),
  });
  return {
    embedding: random(vocabulary, width),
    layers: Array.from({ length: layers }, layer),
    norm: random(width),
  };
}

export function emptyCache({ keyHeads, capacity, headWidth, layers }: DecoderSizes): Cache {
  const zeros = (): t.Tensor =>
    t.tensor(new Float32Array(keyHeads * capacity * headWidth), [1, keyHeads, capacity, headWidth]);
  return Array.from({ length: layers }, () => ({ keys: zeros(), values: zeros() }));
}

/**
 * i32 [1, length] at places from `start` on → logits [length, vocabulary] and the cache with the new rows. Without a cache the
 * sequence only sees itself.
 */
export function decode(
  sizes: DecoderSizes,
  { embedding, layers, norm }: DecoderWeights,
  cache: Cache | undefined,
  tokens: t.Tensor,
  start: t.Tensor,
): { readonly logits: t.Tensor; readonly cache: Cache } {
  const { heads, keyHeads, headWidth, width } = sizes;
  const length = tokens.shape[1]!;
  const place = t.add(t.cast(t.arange(length), 'f32'), t.cast(start, 'f32'));
  const rates = t.exp(t.mul(t.arange(headWidth / 2, 'f32'), -4 / headWidth));
  const angles = t.mul(t.reshape(place, [1, length, 1]), t.reshape(rates, [1, 1, headWidth / 2]));
  const [cosines, sines] = [t.cos(angles), t.sin(angles)];
  const split = (x: t.Tensor, count: number): t.Tensor =>
    t.permute(t.reshape(x, [1, length, count, headWidth]), [0, 2, 1, 3]);
  let x = t.gather(embedding, tokens);
  const grown = layers.map((layer, i) => {
    const normed = t.rmsNorm(x, layer.attentionNorm);
    const q = t.rope(split(t.linear(normed, layer.query, layer.queryBias), heads), cosines, sines);
    const k = t.rope(split(t.linear(normed, layer.key), keyHeads), cosines, sines);
    const v = split(t.linear(normed, layer.value), keyHeads);
    const keys = cache ? t.updateSlice(cache[i]!.keys, k, start, 2) : k;
    const held = cache ? t.updateSlice(cache[i]!.values, v, start, 2) : v;
    const attended = t.attention(q, keys, held, { mask: cache ? t.mask.causal(start) : t.mask.causal() });
    const merged = t.reshape(t.permute(attended, [0, 2, 1, 3]), [1, length, width]);
    const after = t.add(x, t.linear(merged, layer.output));
    const again = t.rmsNorm(after, layer.mlpNorm);
    x = t.add(after, t.linear(t.swiglu(t.linear(again, layer.gate), t.linear(again, layer.up)), layer.down));
    return { keys, values: held };
  });
  return { logits: t.linear(t.reshape(t.rmsNorm(x, norm), [length, width]), embedding), cache: grown };
}
