/**
 * The fewest bytes of activations that a training step of LoRA on all linear layers has to keep, by arithmetic. In f32, with h
 * the hidden size, I the intermediate size, q and k the widths of all query and of all key heads, r the rank:
 *
 *   per token and layer:  4·(x h + norm h + queries q + keys k + values k + attended q + x h + norm h + gate I + up I + product I)
 *                         + 4·(one log-sum-exp for each query head + 7 LoRA inputs of B, r each + 2 norms' factors)
 *   all kept:             layers · tokens · that
 *   checkpointed:         layers · tokens · 4h (the input of each layer) + tokens · that (one layer, computed again)
 *
 * Not in it: weights, adapters, moments (inputs of the plan), gradients, the head, and whatever the backward pass needs for a
 * moment. All but the inputs are in the arena of a plan, so its ratio to this minimum is above 1 and no estimate in its favour.
 */
import type { Qwen2_5_VLTextConfig } from '@mindseye/qwen-vl';

const BYTES = 4;
const ADAPTED_LAYERS = 7;

export interface TrainingSizes {
  readonly config: Qwen2_5_VLTextConfig;
  readonly tokens: number;
  readonly rank: number;
}

export interface ActivationMinimum {
  readonly perTokenAndLayer: number;
  readonly allKept: number;
  readonly checkpointed: number;
}

/** In bytes. */
export function activationMinimum({ config, tokens, rank }: TrainingSizes): ActivationMinimum {
  const { hiddenSize, intermediateSize, headDim, numAttentionHeads, numKeyValueHeads, numHiddenLayers } = config;
  const queries = numAttentionHeads * headDim;
  const keys = numKeyValueHeads * headDim;
  const vectors = 4 * hiddenSize + 2 * queries + 2 * keys + 3 * intermediateSize;
  const perTokenAndLayer = BYTES * (vectors + numAttentionHeads + ADAPTED_LAYERS * rank + 2);
  return {
    perTokenAndLayer,
    allKept: numHiddenLayers * tokens * perTokenAndLayer,
    checkpointed: numHiddenLayers * tokens * BYTES * hiddenSize + tokens * perTokenAndLayer,
  };
}
