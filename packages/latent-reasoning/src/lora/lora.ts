/**
 * Low-rank adaptation (Hu et al. 2021) of linear layers, in the form of PEFT.
 *
 *   y = W·x + b + (α / r) · B·(A·dropout(x)),   A [r, in], B [out, r]
 *
 * A starts uniform in ±1/√in (PEFT's Kaiming-uniform with a = √5), B starts at 0, so that training starts from the base
 * model. Parameters are named by the module path of their layer.
 */
import { type LinearHook, type ParameterShapes, languageLinearNames } from '@mindseye/qwen-vl';
import {
  type Tensor,
  add,
  dropout,
  fillUniform,
  full,
  linear,
  mul,
  seedFromString,
  tensor,
} from '@mindseye/tensor-core';

export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Probability of zeroing an input of A while training. */
  readonly dropout: number;
  /** Last parts of the names of the adapted layers of the language model. */
  readonly targetModules: readonly string[];
}

/** The setting of LIVR (arXiv 2512.21218, appendix B): attention and MLP of the language model. */
export const livrLora: LoraConfig = { rank: 16, alpha: 32, dropout: 0.05, targetModules: languageLinearNames };

export interface LoraPair {
  /** [rank, in] */
  readonly a: Tensor;
  /** [out, rank] */
  readonly b: Tensor;
}

/** Adapters by module path, such as `model.language_model.layers.0.self_attn.q_proj`. */
export type LoraParameters = Readonly<Record<string, LoraPair>>;

/** The layers that a configuration adapts, with their weight shapes [out, in]. */
export function loraTargets(
  shapes: ParameterShapes,
  { targetModules }: LoraConfig,
): Map<string, readonly [number, number]> {
  const targets = new Map<string, readonly [number, number]>();
  for (const [name, shape] of shapes) {
    const path = name.replace(/\.weight$/, '');
    if (path === name || !path.startsWith('model.language_model.layers.')) continue;
    if (targetModules.includes(path.slice(path.lastIndexOf('.') + 1))) targets.set(path, [shape[0]!, shape[1]!]);
  }
  return targets;
}

export function initializeLora(shapes: ParameterShapes, config: LoraConfig, seed: number): LoraParameters {
  const parameters: Record<string, LoraPair> = {};
  for (const [path, [outputs, inputs]] of loraTargets(shapes, config)) {
    const a = fillUniform(new Float32Array(config.rank * inputs), seedFromString(`lora/${seed}/${path}`));
    const bound = 1 / Math.sqrt(inputs);
    for (let i = 0; i < a.length; i++) a[i] = (2 * a[i]! - 1) * bound;
    parameters[path] = { a: tensor(a, [config.rank, inputs]), b: full([outputs, config.rank], 0) };
  }
  return parameters;
}

/**
 * Applies adapters in place of plain linear layers.
 *
 * @param seed u32 [2] for dropout; without it nothing is dropped (inference).
 */
export function loraHook(
  parameters: LoraParameters,
  { alpha, rank, dropout: probability }: LoraConfig,
  seed?: Tensor,
): LinearHook {
  // Each layer drops other elements: its place in the list is its random stream.
  const stream = new Map(Object.keys(parameters).map((path, i) => [path, i]));
  return (path, x, base) => {
    const pair = parameters[path];
    if (!pair) return base(x);
    const dropped = seed ? dropout(x, probability, seed, stream.get(path)!) : x;
    return add(base(x), mul(linear(linear(dropped, pair.a), pair.b), alpha / rank));
  };
}
