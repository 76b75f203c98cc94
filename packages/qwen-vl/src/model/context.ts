/** What the forward passes read: configuration, weights by name, and how a linear layer is applied. */
import { type Tensor, type Weight, isQuantized, linear } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';

/**
 * Weights by their names in the module tree of transformers. Vectors (norms, biases) and the patch kernel are f32 tensors;
 * matrices are in any storage: f32, f16, bf16 or group-quantised.
 */
export type Weights = Readonly<Record<string, Weight>>;

/**
 * Applies the linear layer `name` (the module path, without `.weight`; `lm_head` for the output head, tied or not) to x [..., in].
 * Adapters take this place: see LoRA in latent-reasoning.
 */
export type LinearHook = (name: string, x: Tensor, base: (x: Tensor) => Tensor) => Tensor;

/** Rows for a run of consecutive token ids, in place of a table's own (PEFT `trainable_token_indices`). */
export interface RowRun {
  readonly firstId: number;
  /** [count, hidden] */
  readonly rows: Tensor;
}

/** Trained rows of the embedding table. */
export interface TokenRows extends RowRun {
  /** In a model with tied embeddings: whether the output head reads these rows too (as PEFT does) or stays frozen. */
  readonly head: 'tied' | 'frozen';
}

export interface ModelContext {
  readonly config: Qwen2_5_VLConfig;
  readonly weights: Weights;
  readonly linearHook?: LinearHook;
  readonly tokenRows?: TokenRows;
  /** Trained rows of the output head, beside those that it shares with the embedding table. */
  readonly headRows?: RowRun;
  /**
   * Keep only the input of each decoder layer for the backward pass and compute the layer again there (transformers'
   * `gradient_checkpointing`): far less memory for about 45 % more work per training step.
   */
  readonly gradientCheckpointing?: boolean;
}

/** The matrix `name`, in whatever storage it has. */
export function matrix({ weights }: ModelContext, name: string): Weight {
  const found = weights[name];
  if (!found) throw new Error(`the model has no tensor "${name}": load its weights with loadWeights`);
  return found;
}

/** The tensor `name`, one that is never quantised: a norm, a bias, the patch kernel. */
export function weight(context: ModelContext, name: string): Tensor {
  const found = matrix(context, name);
  if (isQuantized(found)) throw new Error(`the tensor "${name}" is quantised: only matrices of linear layers can be`);
  return found;
}

/** Applies a linear layer through the hook, if there is one. */
export function applyLinear(context: ModelContext, name: string, x: Tensor): Tensor {
  const base = (input: Tensor): Tensor =>
    linear(
      input,
      matrix(context, `${name}.weight`),
      context.weights[`${name}.bias`] && weight(context, `${name}.bias`),
    );
  return context.linearHook ? context.linearHook(name, x, base) : base(x);
}
