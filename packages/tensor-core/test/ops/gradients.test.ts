import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apply, createReferenceDevice, opTable } from '../../src/index.js';
import type { Op, Tensor } from '../../src/index.js';
import { type OpInvocation, checkGradients, opCases } from '../../src/testing/index.js';

const numRuns = 30;
const isFused = (op: Op): boolean => op.decompose !== undefined;
const isBackward = (op: Op): boolean => op.name.endsWith('Backward');

/** Runs `check` on smooth applications of an op. */
const forEachSmooth = (name: string, check: (given: OpInvocation) => Promise<void>): Promise<void> =>
  fc.assert(fc.asyncProperty(opCases[name]!.invocations({ values: 'smooth', maxLength: 4 }), check), { numRuns });

function differentiableOutputs(name: string, outputs: readonly Tensor[]): readonly Tensor[] {
  const places = opCases[name]!.differentiableOutputs;
  return places ? places.map((place) => outputs[place]!) : outputs;
}

const differentiable = [...opTable.values()].filter((op) => {
  const [sample] = fc.sample(opCases[op.name]!.invocations({ values: 'smooth', maxLength: 3 }), {
    numRuns: 1,
    seed: 1,
  });
  return opCases[op.name]!.differentiable(sample!).length > 0;
});

describe('gradients against finite differences in f64', () => {
  it('covers every op but those without a gradient', () => {
    const others = [...opTable.keys()].filter((name) => !differentiable.some((op) => op.name === name));
    expect(others.sort()).toEqual(
      [
        'argmax',
        'bitcast',
        'equal',
        'floor',
        'full',
        'iota',
        'less',
        'lessEqual',
        'logicalAnd',
        'logicalNot',
        'logicalOr',
        'massThreshold',
        'multiHot',
        'randomBits',
        'resamplePixels',
        'shiftRight',
        'stopGradient',
        'updateSlice',
      ].sort(),
    );
  });

  // A backward op reads saved outputs that are functions of its inputs: only its decomposition depends on the inputs alone.
  it.each(differentiable.filter((op) => !isBackward(op)).map((op) => op.name))('%s', async (name) => {
    await forEachSmooth(name, async (given) => {
      await checkGradients(
        (...inputs) => differentiableOutputs(name, apply(opTable.get(name)!, inputs, given.attributes)),
        given.inputs,
        {
          differentiable: opCases[name]!.differentiable(given),
        },
      );
    });
  });

  it.each(differentiable.filter(isFused).map((op) => op.name))(
    '%s on an engine that only has primitives',
    async (name) => {
      const device = createReferenceDevice({ precision: 'f64', decomposeFused: true });
      await forEachSmooth(name, async (given) => {
        await checkGradients(
          (...inputs) => differentiableOutputs(name, apply(opTable.get(name)!, inputs, given.attributes)),
          given.inputs,
          {
            device,
            differentiable: opCases[name]!.differentiable(given),
          },
        );
      });
    },
  );

  it.each(differentiable.filter(isFused).map((op) => op.name))('the decomposition of %s', async (name) => {
    await forEachSmooth(name, async (given) => {
      await checkGradients(
        (...inputs) => differentiableOutputs(name, opTable.get(name)!.decompose!(inputs, given.attributes)),
        given.inputs,
        {
          differentiable: opCases[name]!.differentiable(given),
        },
      );
    });
  });
});
