import type { Tensor } from '@mindseye/tensor-core';
import { expect, test } from 'vitest';
import type { ModelParts } from '../src/worker/model-parts.js';
import { randomModel } from '../src/worker/random-model.js';

test('a random model is that of its seed', async () => {
  const [first, again, other] = await Promise.all([randomModel(3), randomModel(3), randomModel(4)]);
  const table = 'model.language_model.embed_tokens.weight';
  const numbers = ({ weights }: ModelParts) => (weights[table] as Tensor).data();
  expect(await numbers(again)).toEqual(await numbers(first));
  expect(await numbers(other)).not.toEqual(await numbers(first));
  expect(again.processor.tokenizer.toJson()).toEqual(first.processor.tokenizer.toJson());
});
