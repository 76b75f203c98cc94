/**
 * The language model of Qwen2.5-VL: embeddings of text and visual tokens → hidden states and logits.
 *
 *   h = x + o(attn(rope(q n), rope(k n), v n)), n = rmsNorm x;   y = h + down(silu(gate m)∘up m), m = rmsNorm h
 *
 * Shapes, with batch B and S tokens: inputs [B, S, hidden], rotary tables [B, S, headDim / 2], caches
 * [B, key heads, capacity, headDim]. Keys are cached after rotation. Source: transformers, Qwen2_5_VLTextModel.
 */
import {
  type Mask,
  type Tensor,
  add,
  attention,
  attentionWeights,
  cast,
  checkpoint,
  concat,
  embedding,
  gather,
  lessEqual,
  linear,
  logicalAnd,
  maximum,
  minimum,
  permute,
  reshape,
  rmsNorm,
  rope,
  select,
  slice,
  sub,
  swiglu,
  updateSlice,
} from '@mindseye/tensor-core';
import { type ModelContext, type RowRun, type TokenRows, applyLinear, matrix, weight } from './context.js';

/** Keys and values of the tokens so far, one pair per layer, of fixed capacity, in f32, f16 or bf16. */
export interface KeyValueCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

export interface LanguageInputs {
  /** [B, S, hidden] */
  readonly inputsEmbeds: Tensor;
  /** [B, S, headDim / 2] */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** Over queries S and keys S, or the capacity of the cache when there is one. */
  readonly mask: Mask;
  readonly cache?: KeyValueCache;
  /** i32 [1]: tokens already in the cache. */
  readonly cacheLength?: Tensor;
  /** Also return each layer's attention weights [B, heads, S, keys]. */
  readonly outputAttentions?: boolean;
}

export interface LanguageOutputs {
  /** [B, S, hidden] after the final norm: what the head reads, and what latent methods feed back. */
  readonly hidden: Tensor;
  /** [B, S, hidden] after each layer, before the final norm. */
  readonly layers: readonly Tensor[];
  readonly cache?: KeyValueCache;
  readonly attentions?: readonly Tensor[];
}

export interface LayerOutputs {
  readonly x: Tensor;
  /** The layer's cache with the new tokens in it, where there is one. */
  readonly cached?: { readonly key: Tensor; readonly value: Tensor };
  readonly attention?: Tensor;
}

export function languageForward(context: ModelContext, inputs: LanguageInputs): LanguageOutputs {
  const { numHiddenLayers, rmsNormEps } = context.config.textConfig;
  const outputs: LayerOutputs[] = [];
  let x = inputs.inputsEmbeds;
  const layer = layerRunner(context, inputs);
  for (let index = 0; index < numHiddenLayers; index++) {
    outputs.push(layer(x, index));
    x = outputs.at(-1)!.x;
  }
  return {
    hidden: rmsNorm(x, weight(context, 'model.language_model.norm.weight'), rmsNormEps),
    layers: outputs.map((output) => output.x),
    ...(inputs.cache && {
      cache: {
        keys: outputs.map(({ cached }) => cached!.key),
        values: outputs.map(({ cached }) => cached!.value),
      },
    }),
    ...(inputs.outputAttentions && { attentions: outputs.map((output) => output.attention!) }),
  };
}

/** How one layer is applied: as it is, or computed again in the backward pass where only its result is wanted. */
function layerRunner(context: ModelContext, inputs: LanguageInputs): (x: Tensor, index: number) => LayerOutputs {
  if (!context.gradientCheckpointing || inputs.cache || inputs.outputAttentions)
    return (x, index) => decoderLayer(context, x, inputs, index);
  return (x, index) => ({ x: checkpoint((inside) => decoderLayer(context, inside, inputs, index).x)(x) });
}

/** Layer `index` on hidden states x [B, S, hidden]; of the inputs it reads tables, mask and cache. */
export function decoderLayer(
  context: ModelContext,
  x: Tensor,
  inputs: Omit<LanguageInputs, 'inputsEmbeds'>,
  index: number,
): LayerOutputs {
  const { numAttentionHeads, numKeyValueHeads, headDim, rmsNormEps } = context.config.textConfig;
  const { cos, sin, mask, cache, cacheLength } = inputs;
  const [batch, length] = x.shape as [number, number];
  const name = `model.language_model.layers.${index}`;
  const heads = (projected: Tensor, count: number): Tensor =>
    permute(reshape(projected, [batch, length, count, headDim]), [0, 2, 1, 3]);

  const n = rmsNorm(x, weight(context, `${name}.input_layernorm.weight`), rmsNormEps);
  const q = rope(heads(applyLinear(context, `${name}.self_attn.q_proj`, n), numAttentionHeads), cos, sin);
  const k = rope(heads(applyLinear(context, `${name}.self_attn.k_proj`, n), numKeyValueHeads), cos, sin);
  const v = heads(applyLinear(context, `${name}.self_attn.v_proj`, n), numKeyValueHeads);
  const written = (rows: Tensor, added: Tensor): Tensor => updateSlice(rows, cast(added, rows.dtype), cacheLength!, 2);
  const key = cache ? written(cache.keys[index]!, k) : k;
  const value = cache ? written(cache.values[index]!, v) : v;
  const attended = reshape(permute(attention(q, key, value, { mask }), [0, 2, 1, 3]), [
    batch,
    length,
    numAttentionHeads * headDim,
  ]);
  const h = add(x, applyLinear(context, `${name}.self_attn.o_proj`, attended));

  const m = rmsNorm(h, weight(context, `${name}.post_attention_layernorm.weight`), rmsNormEps);
  const gated = swiglu(
    applyLinear(context, `${name}.mlp.gate_proj`, m),
    applyLinear(context, `${name}.mlp.up_proj`, m),
  );
  return {
    x: add(h, applyLinear(context, `${name}.mlp.down_proj`, gated)),
    ...(cache && { cached: { key, value } }),
    ...(inputs.outputAttentions && { attention: attentionWeights(q, key, { mask }) }),
  };
}

/** Logits [..., vocabulary] of hidden states [..., hidden]. */
export function headForward(context: ModelContext, hidden: Tensor): Tensor {
  const { config, linearHook, tokenRows, headRows } = context;
  const table = matrix(
    context,
    config.tieWordEmbeddings ? 'model.language_model.embed_tokens.weight' : 'lm_head.weight',
  );
  const base = (x: Tensor): Tensor => linear(x, table);
  const logits = linearHook ? linearHook('lm_head', hidden, base) : base(hidden);
  const shared = config.tieWordEmbeddings && tokenRows?.head === 'tied' ? tokenRows : undefined;
  return [shared, headRows].reduce((sofar, run) => (run ? withRows(sofar, hidden, run) : sofar), logits);
}

/** Logits with those of some tokens read off rows of their own. */
function withRows(logits: Tensor, hidden: Tensor, { firstId, rows }: RowRun): Tensor {
  const end = firstId + rows.shape[0]!;
  return concat([slice(logits, -1, 0, firstId), linear(hidden, rows), slice(logits, -1, end)], -1);
}

/** Vectors that take the place of token embeddings at some positions: visual tokens. */
export interface EmbeddingOverride {
  /** [rows, hidden] */
  readonly rows: Tensor;
  /** bool [B, S, 1]: the positions overridden. */
  readonly where: Tensor;
  /** i32 [B, S]: the row for each position; any valid row where not overridden. */
  readonly index: Tensor;
}

/** Token embeddings [B, S, hidden] of ids i32 [B, S], with trained rows and visual tokens in their places. */
export function embedTokens(context: ModelContext, inputIds: Tensor, visual?: EmbeddingOverride): Tensor {
  const text = embedding(matrix(context, 'model.language_model.embed_tokens.weight'), inputIds);
  const overrides = [context.tokenRows && tokenRowOverride(context.tokenRows, inputIds), visual];
  return overrides.reduce(
    (embeds: Tensor, override) =>
      override ? select(override.where, gather(override.rows, override.index), embeds) : embeds,
    text,
  );
}

function tokenRowOverride({ firstId, rows }: TokenRows, inputIds: Tensor): EmbeddingOverride {
  const last = firstId + rows.shape[0]! - 1;
  const inside = logicalAnd(lessEqual(firstId, inputIds), lessEqual(inputIds, last));
  return {
    rows,
    where: reshape(inside, [...inputIds.shape, 1]),
    index: sub(minimum(maximum(inputIds, firstId), last), firstId),
  };
}
