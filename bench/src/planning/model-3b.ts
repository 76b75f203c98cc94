/**
 * Qwen2.5-VL-3B's language model in its true shape, on placeholders: graphs of real size without 12 GB of numbers. Plans do
 * not depend on what tensors hold, so they are those of the real model.
 */
import { type LoraParameters, livrLora, loraHook, loraTargets } from '@mindseye/latent-reasoning';
import {
  type ModelContext,
  embedTokens,
  headForward,
  languageForward,
  parameterShapes,
  presets,
} from '@mindseye/qwen-vl';
import {
  type AdamWState,
  type Hyperparameters,
  type Tensor,
  adamW,
  argmax,
  linearCrossEntropy,
  mask,
  mean,
  placeholder,
  reshape,
  valueAndGrad,
} from '@mindseye/tensor-core';

const config = presets['qwen2.5-vl-3b']();
export const { textConfig } = config;

/** Tokens that the cache of the decoding step holds. */
const CAPACITY = 2048;
/** Tokens of the one sample of a training step. */
export const TRAINED_TOKENS = 1024;
export const lora = { ...livrLora, rank: 16, alpha: 32, dropout: 0 };

const float = (...shape: readonly number[]): Tensor => placeholder({ shape, dtype: 'f32' });
const whole = (...shape: readonly number[]): Tensor => placeholder({ shape, dtype: 'i32' });

const shapes = parameterShapes(config);
const weights: Readonly<Record<string, Tensor>> = Object.fromEntries(
  [...shapes].map(([name, shape]) => [name, float(...shape)]),
);
const context: ModelContext = { config, weights };
/** What the language model reads, the head's table included. */
export const languageWeights: readonly Tensor[] = Object.entries(weights)
  .filter(([name]) => name.startsWith('model.language_model.'))
  .map(([, weight]) => weight);

const { hiddenSize, headDim, numHiddenLayers, numKeyValueHeads } = textConfig;

/** Rotary tables [1, length, headDim / 2]. */
const rotaryTable = (length: number): Tensor => float(1, length, headDim / 2);

export interface DecodeCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

export interface DecodeInputs {
  readonly id: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly cacheLength: Tensor;
}

export const decodeArguments = (): [DecodeCache, DecodeInputs] => {
  const perLayer = (): Tensor[] =>
    Array.from({ length: numHiddenLayers }, () => float(1, numKeyValueHeads, CAPACITY, headDim));
  return [
    { keys: perLayer(), values: perLayer() },
    { id: whole(1, 1), cos: rotaryTable(1), sin: rotaryTable(1), cacheLength: whole(1) },
  ];
};

/** One greedy decoding step: the next id [1, 1] and the cache with the token's keys and values. */
export function decodeStep(cache: DecodeCache, { id, cos, sin, cacheLength }: DecodeInputs): [Tensor, DecodeCache] {
  const out = languageForward(context, {
    inputsEmbeds: embedTokens(context, id),
    cos,
    sin,
    mask: mask.causal(cacheLength),
    cache,
    cacheLength,
  });
  return [argmax(headForward(context, out.hidden)), out.cache!];
}

export interface TrainingState {
  readonly adapters: LoraParameters;
  readonly moments: AdamWState<LoraParameters>;
}

export interface TrainingBatch {
  readonly inputsEmbeds: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly labels: Tensor;
  readonly hyperparameters: Hyperparameters;
}

export const trainingArguments = (): [TrainingState, TrainingBatch] => {
  const perAdapter = (): LoraParameters =>
    Object.fromEntries(
      [...loraTargets(shapes, lora)].map(([path, [outputs, inputs]]) => [
        path,
        { a: float(lora.rank, inputs), b: float(outputs, lora.rank) },
      ]),
    );
  return [
    { adapters: perAdapter(), moments: { firstMoment: perAdapter(), secondMoment: perAdapter() } },
    {
      inputsEmbeds: float(1, TRAINED_TOKENS, hiddenSize),
      cos: rotaryTable(TRAINED_TOKENS),
      sin: rotaryTable(TRAINED_TOKENS),
      labels: whole(TRAINED_TOKENS),
      hyperparameters: float(3),
    },
  ];
};

/** One AdamW step of adapters on all linear layers of the language model: the loss [] and the next state. */
export const trainingStep =
  (gradientCheckpointing: boolean) =>
  (
    { adapters, moments }: TrainingState,
    { labels, hyperparameters, ...inputs }: TrainingBatch,
  ): [Tensor, TrainingState] => {
    const lossOf = (parameters: LoraParameters): Tensor => {
      const adapted = { ...context, gradientCheckpointing, linearHook: loraHook(parameters, lora) };
      const { hidden } = languageForward(adapted, { ...inputs, mask: mask.causal() });
      const rows = reshape(hidden, [TRAINED_TOKENS, hiddenSize]);
      const table = context.weights['model.language_model.embed_tokens.weight']!;
      return mean(linearCrossEntropy(rows, table, labels).loss);
    };
    const [loss, gradients] = valueAndGrad(lossOf)(adapters);
    const next = adamW<LoraParameters>().update(adapters, gradients, moments, hyperparameters);
    return [loss, { adapters: next.parameters, moments: next.state }];
  };
