/** What a run trains, as one tree of tensors, and the model that this tree makes of the frozen weights. */
import { type ModelContext, type Qwen2_5_VLConfig, type Weights, parameterShapes } from '@mindseye/qwen-vl';
import {
  type Device,
  type Tensor,
  evaluate,
  fillNormal,
  masterWeights,
  precisionPolicy,
  seedFromString,
  tensor,
  weightShape,
} from '@mindseye/tensor-core';
import type { LoraConfig } from '../lora/config.js';
import { type LoraParameters, initializeLora, loraHook } from '../lora/lora.js';
import { rootMeanSquare } from './root-mean-square.js';

export interface Trainables {
  /** Every weight of the model as f32 in full training, else none. */
  readonly weights: Readonly<Record<string, Tensor>>;
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

/**
 * Starting values. Latent rows are normal with the deviation of the embedding table's own entries.
 *
 * The base model may be in any storage for LoRA, which leaves it as it is. Full training makes f32 copies of 16-bit weights;
 * f32 weights are taken over, and the first step gives them up.
 *
 * @param device where weights are; may be left out only while they are f32 arrays of the host
 * @throws ShapeError for full training of a quantised weight
 */
export async function initializeTrainables(
  { config, weights, trains, lora, latentIds }: TrainableSetup,
  seed: number,
  device?: Device,
): Promise<Trainables> {
  const table = weights['model.language_model.embed_tokens.weight']!;
  return {
    weights: trains === 'full' ? await masters(weights, device) : {},
    lora: trains === 'lora' ? initializeLora(parameterShapes(config), lora, seed) : {},
    rows:
      latentIds.length === 0
        ? null
        : latentRows(latentIds.length, weightShape(table)[1], await rootMeanSquare(table, device), seed),
  };
}

/** One weight at a time, so that no more than one is held twice beside those that are kept. */
async function masters(weights: Weights, device: Device | undefined): Promise<Record<string, Tensor>> {
  const all = masterWeights(weights, precisionPolicy({ weights: 'f32' })) as Record<string, Tensor>;
  for (const [name, master] of Object.entries(all))
    if (master !== weights[name]) await evaluate(master, device ? { device } : {});
  return all;
}

function latentRows(count: number, width: number, scale: number, seed: number): Tensor {
  const rows = fillNormal(new Float32Array(count * width), seedFromString(`latents/${seed}`));
  return tensor(
    rows.map((value) => value * scale),
    [count, width],
  );
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
