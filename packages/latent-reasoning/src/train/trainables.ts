/** What a run trains, as one tree of tensors, and the model that this tree makes of the frozen weights. */
import { type ModelContext, type Qwen2_5_VLConfig, type Weights, parameterShapes } from '@mindseye/qwen-vl';
import { type Tensor, fillNormal, seedFromString, tensor } from '@mindseye/tensor-core';
import { type LoraConfig, type LoraParameters, initializeLora, loraHook } from '../lora/lora.js';

export interface Trainables {
  /** Every weight of the model in full training, else none. */
  readonly weights: Weights;
  /** Adapters in LoRA training, else none. */
  readonly lora: LoraParameters;
  /** Embeddings [K, hidden] of the latent tokens, if there are any. */
  readonly rows: Tensor | null;
}

export interface TrainableSetup {
  readonly config: Qwen2_5_VLConfig;
  /** The base model. */
  readonly weights: Weights;
  readonly trains: 'lora' | 'full';
  readonly lora: LoraConfig;
  /** Consecutive ids; empty for methods without latents. */
  readonly latentIds: readonly number[];
  /** Whether a tied output head reads the latent rows too; 'tied' is what PEFT does. */
  readonly head?: 'tied' | 'frozen';
  /** Compute decoder layers again in the backward pass instead of keeping what they computed: less memory, more work. */
  readonly gradientCheckpointing?: boolean;
}

/** Starting values. Latent rows are normal with the deviation of the embedding table's own entries. */
export async function initializeTrainables(
  { config, weights, trains, lora, latentIds }: TrainableSetup,
  seed: number,
): Promise<Trainables> {
  const table = weights['model.language_model.embed_tokens.weight']!;
  return {
    weights: trains === 'full' ? weights : {},
    lora: trains === 'lora' ? initializeLora(parameterShapes(config), lora, seed) : {},
    rows:
      latentIds.length === 0
        ? null
        : latentRows(latentIds.length, table.shape[1]!, deviation(await table.data()), seed),
  };
}

function latentRows(count: number, width: number, scale: number, seed: number): Tensor {
  const rows = fillNormal(new Float32Array(count * width), seedFromString(`latents/${seed}`));
  return tensor(
    rows.map((value) => value * scale),
    [count, width],
  );
}

function deviation(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! * values[i]!;
  return Math.sqrt(squares / Math.max(1, values.length));
}

/** The model that some trainables make. With `dropoutSeed` u32 [2] it is the training model. */
export function modelOf(
  { config, weights, lora, latentIds, head = 'tied', gradientCheckpointing = false }: TrainableSetup,
  trained: Trainables,
  dropoutSeed?: Tensor,
): ModelContext {
  const adapted = Object.keys(trained.lora).length > 0;
  return {
    config,
    weights: Object.keys(trained.weights).length > 0 ? trained.weights : weights,
    ...(gradientCheckpointing && { gradientCheckpointing }),
    ...(adapted && { linearHook: loraHook(trained.lora, lora, dropoutSeed) }),
    ...(trained.rows && { tokenRows: { firstId: latentIds[0]!, rows: trained.rows, head } }),
  };
}
