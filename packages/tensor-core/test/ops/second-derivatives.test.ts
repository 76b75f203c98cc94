/** Gradients of gradients against finite differences in f64: every `vjp` returns graph that can be differentiated again. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Tensor, apply, opTable, vectorJacobianProduct } from '../../src/index.js';
import { type OpInvocation, checkGradients, opCases, seededValue, toTensor, widen } from '../../src/testing/index.js';

/** Why an op is not looked at here. */
const excepted: Readonly<Record<string, string>> = Object.fromEntries([
  ...['full', 'iota', 'randomBits', 'argmax', 'floor', 'equal', 'less', 'lessEqual', 'shiftRight', 'bitcast'].map(
    (name) => [name, 'has no gradient by definition'],
  ),
  ...['logicalAnd', 'logicalOr', 'logicalNot', 'multiHot', 'massThreshold', 'stopGradient', 'updateSlice'].map(
    (name) => [name, 'has no gradient by definition'],
  ),
]);

/** A backward op is differentiated through its forward: its saved outputs are functions of its inputs. */
const names = [...opTable.keys()].filter((name) => !(name in excepted) && !name.endsWith('Backward'));

/** The gradients of an op in its inputs, for fixed cotangents, as a function of those inputs. */
function gradientsOf(name: string, given: OpInvocation): (...inputs: Tensor[]) => readonly Tensor[] {
  const { differentiable, differentiableOutputs } = opCases[name]!;
  return (...inputs) => {
    const outputs = apply(opTable.get(name)!, inputs, given.attributes);
    const chosen = differentiableOutputs ? differentiableOutputs.map((place) => outputs[place]!) : outputs;
    const cotangents = chosen.map(({ shape }, i) => toTensor(widen(seededValue(shape, 'f32', 'ordinary', i + 1))));
    const variables = differentiable(given).map((place) => inputs[place]!);
    return vectorJacobianProduct(chosen, variables, cotangents);
  };
}

describe('second derivatives', () => {
  it('are looked at for every op that has a first one', () => {
    for (const name of Object.keys(excepted)) expect([...opTable.keys()], name).toContain(name);
  });

  it.each(names)('%s', async (name) => {
    const property = fc.asyncProperty(opCases[name]!.invocations({ values: 'smooth', maxLength: 3 }), async (given) => {
      await checkGradients(gradientsOf(name, given), given.inputs, {
        differentiable: opCases[name]!.differentiable(given),
        samples: 4,
        absolute: 1e-6,
      });
    });
    await fc.assert(property, { numRuns: 10 });
  });
});
