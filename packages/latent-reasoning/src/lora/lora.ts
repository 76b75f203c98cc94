/**
 * Low-rank adaptation (Hu et al. 2021) of linear layers, in the form of PEFT.
 *
 *   y = W·x + b + scale · B·(A·dropout(x)),   A [r, in], B [out, r]
 *
 * A starts uniform in ±1/√in (PEFT's Kaiming-uniform with a = √5), B starts at 0, so that training starts from the base
 * model. W stays as it is stored, in 16 bits or quantised too; adapters and all arithmetic are f32. Parameters are named by
 * the module path of their layer.
 */
import type { LinearHook, ParameterShapes } from '@mindseye/qwen-vl';
import {
  type Tensor,
  type TensorLike,
  add,
  dropout,
  fillUniform,
  full,
  linear,
  mul,
  seedFromString,
  tensor,
} from '@mindseye/tensor-core';
import { type LoraConfig, layerSettings } from './config.js';
import { loraTargets } from './targets.js';

export interface LoraPair {
  /** [rank, in] */
  readonly a: Tensor;
  /** [out, rank] */
  readonly b: Tensor;
}

/** Adapters by module path, such as `model.language_model.layers.0.self_attn.q_proj`. */
export type LoraParameters = Readonly<Record<string, LoraPair>>;

export function initializeLora(shapes: ParameterShapes, config: LoraConfig, seed: number): LoraParameters {
  const parameters: Record<string, LoraPair> = {};
  const settings = layerSettings(config);
  for (const [path, [outputs, inputs]] of loraTargets(shapes, config)) {
    const rank = settings.rank(path);
    const a = fillUniform(new Float32Array(rank * inputs), seedFromString(`lora/${seed}/${path}`));
    const bound = 1 / Math.sqrt(inputs);
    for (let i = 0; i < a.length; i++) a[i] = (2 * a[i]! - 1) * bound;
    parameters[path] = { a: tensor(a, [rank, inputs]), b: full([outputs, rank], 0) };
  }
  return parameters;
}

/** What an adapter adds to the output of its layer: scale · B·(A·x), x [..., in] → [..., out]. */
export const loraDelta = (x: Tensor, { a, b }: LoraPair, scale: TensorLike): Tensor =>
  mul(linear(linear(x, a), b), scale);

/**
 * Applies adapters in place of plain linear layers.
 *
 * @param seed u32 [2] for dropout; without it nothing is dropped (inference).
 */
export function loraHook(parameters: LoraParameters, config: LoraConfig, seed?: Tensor): LinearHook {
  const settings = layerSettings(config);
  // Each layer drops other elements: its place in the list is its random stream.
  const stream = new Map(Object.keys(parameters).map((path, i) => [path, i]));
  return (path, x, base) => {
    const pair = parameters[path];
    if (!pair) return base(x);
    const dropped = seed ? dropout(x, config.dropout, seed, stream.get(path)!) : x;
    return add(base(x), loraDelta(dropped, pair, settings.scale(path)));
  };
}
