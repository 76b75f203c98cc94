/** Whole graphs on each tier: against the reference engine, and against a second device of the same kind. */
import * as t from '@mindseye/tensor-core';
import { type GraphRecipe, arbitraryGraph, buildGraph, graphLoss, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { SEED, TIERS } from '../kernels/support.js';
import { distance, expectSameBits } from './support.js';
import { train } from './training.js';

const reference = t.createReferenceDevice();

/** The values of a random graph and the gradients of all its inputs. */
function run(recipe: GraphRecipe, device: t.Device): Promise<readonly t.Tensor[]> {
  const f = (inputs: readonly t.Tensor[]): readonly t.Tensor[] => {
    const gradients = t.grad((given: readonly t.Tensor[]) => graphLoss(buildGraph(recipe, given)))(inputs);
    return [...buildGraph(recipe, inputs), ...gradients];
  };
  return t.compile(f, { device })(recipe.inputs.map(toTensor));
}

describe.each(TIERS)('%s', (tier) => {
  test('random graphs with the gradients of all inputs', async () => {
    const device = createWasmDevice({ tier });
    const property = fc.asyncProperty(arbitraryGraph({ maxSteps: 16 }), async (recipe) => {
      const [actual, expected] = [await run(recipe, device), await run(recipe, reference)];
      for (const [i, value] of expected.entries())
        expect(await distance(actual[i]!, value), `value ${i}`).toBeLessThan(1e-4);
    });
    await fc.assert(property, { seed: SEED, numRuns: 60 });
  });

  test('a fresh device gives the same bits, on random graphs and over 20 training steps', async () => {
    const property = fc.asyncProperty(arbitraryGraph(), async (recipe) => {
      await expectSameBits(
        await run(recipe, createWasmDevice({ tier })),
        await run(recipe, createWasmDevice({ tier })),
      );
    });
    await fc.assert(property, { seed: SEED, numRuns: 15 });
    await expectSameBits(await train(createWasmDevice({ tier }), 20), await train(createWasmDevice({ tier }), 20));
  });

  test('training follows the reference engine', async () => {
    const [actual, expected] = [
      await train(createWasmDevice({ tier }), 10),
      await train(t.createReferenceDevice(), 10),
    ];
    for (const [i, value] of expected.entries())
      expect(await distance(actual[i]!, value), `value ${i}`).toBeLessThan(1e-4);
  });
});
