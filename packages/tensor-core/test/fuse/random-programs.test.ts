/** The fusion pass on random graphs, forward and gradient: the same bits in fewer steps and no more memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FusedExpression } from '../../src/fuse/expression.js';
import { type Tensor, full, vectorJacobianProduct } from '../../src/index.js';
import type { Program } from '../../src/plan/program.js';
import { byteLengthOf } from '../../src/plan/storage.js';
import { arbitraryGraph, buildGraph, graphLoss } from '../../src/testing/index.js';
import { type Supports, everything, expectSameBits, expectWellFormed, lower, onlyPrimitives } from './support.js';

const leafBytesOf = ({ steps, values }: Program): number =>
  steps
    .filter(({ op }) => op.name === 'full' || op.name === 'broadcastTo')
    .reduce((sum, { outputs: [value] }) => sum + byteLengthOf(values[value!]!), 0);

describe('random graphs', () => {
  const graphs = arbitraryGraph({ maxSteps: 14 });
  const withGradients = (recipe: Parameters<typeof buildGraph>[0], inputs: readonly Tensor[]): Tensor[] => {
    const values = buildGraph(recipe, inputs);
    const loss = graphLoss(values);
    return [values.at(-1)!, loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
  };

  it.each([
    ['in primitives', onlyPrimitives, true],
    ['in primitives, not simplified', onlyPrimitives, false],
    ['with fused ops', everything, true],
  ] as const)(
    '%s give the same bits in no more steps and bytes, forward and gradient',
    (_name, supports, simplifies) => {
      let [before, after] = [0, 0];
      fc.assert(
        fc.property(graphs, (recipe) => {
          const lowered = lower(
            (...inputs) => withGradients(recipe, inputs),
            recipe.inputs.map(({ shape }) => shape),
            supports,
            simplifies,
          );
          expectWellFormed(lowered);
          expectSameBits(lowered, [...recipe.inputs]);
          before += lowered.program.steps.length;
          after += lowered.fused.steps.length;
        }),
        { numRuns: 300 },
      );
      expect(after).toBeLessThan(before * 0.75);
    },
  );

  it('give the same bits on devices that refuse some expressions', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 2, max: 5 }), fc.nat(4), (recipe, modulus, rest) => {
        const picky: Supports = (op, inputs, attributes) =>
          onlyPrimitives(op, inputs, attributes) &&
          (op.name !== 'fusedExpression' || (attributes as FusedExpression).map.length % modulus !== rest % modulus);
        const lowered = lower(
          (...inputs) => withGradients(recipe, inputs),
          recipe.inputs.map(({ shape }) => shape),
          picky,
        );
        expectWellFormed(lowered, leafBytesOf(lowered.program));
        expectSameBits(lowered, [...recipe.inputs]);
        for (const { op, inputs, attributes } of lowered.fused.steps)
          expect(
            picky(
              op,
              inputs.map((value) => lowered.fused.values[value]!),
              attributes,
            ),
          ).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
