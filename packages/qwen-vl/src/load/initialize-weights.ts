/**
 * Random weights for training from nothing, as transformers initialises the class: every matrix and embedding normal with
 * the configured deviation, biases 0, norm weights 1. One seed gives one set of weights, whatever the order of names.
 */
import { type Tensor, fillNormal, seedFromString, sizeOf, tensor } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { parameterShapes } from '../model/parameters.js';

export function initializeWeights(config: Qwen2_5_VLConfig, seed: number): Readonly<Record<string, Tensor>> {
  const weights: Record<string, Tensor> = {};
  for (const [name, shape] of parameterShapes(config))
    weights[name] = tensor(initialValues(name, shape, config, seed), shape);
  return weights;
}

function initialValues(name: string, shape: readonly number[], config: Qwen2_5_VLConfig, seed: number): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  if (name.endsWith('.bias')) return values;
  if (shape.length === 1) return values.fill(1);
  fillNormal(values, seedFromString(`initialize/${seed}/${name}`));
  for (let i = 0; i < values.length; i++) values[i]! *= config.textConfig.initializerRange;
  return values;
}
