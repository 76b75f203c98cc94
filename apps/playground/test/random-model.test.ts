import { expect, test } from 'vitest';
import { randomModel } from '../src/worker/random-model.js';

test('a random model is that of its seed', async () => {
  const [first, again, other] = await Promise.all([randomModel(3), randomModel(3), randomModel(4)]);
  const table = 'model.language_model.embed_tokens.weight';
  expect(await again.weights[table]!.data()).toEqual(await first.weights[table]!.data());
  expect(await other.weights[table]!.data()).not.toEqual(await first.weights[table]!.data());
  expect(again.processor.tokenizer.toJson()).toEqual(first.processor.tokenizer.toJson());
});
