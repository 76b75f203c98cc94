/** Every fused op's loops against its decomposition, forward and backward. */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  type Op,
  type Tensor,
  apply,
  compile,
  createReferenceDevice,
  opTable,
  vectorJacobianProduct,
} from '../../src/index.js';
import {
  type HostTensor,
  type OpInvocation,
  type Tolerance,
  assertClose,
  opCases,
  readBack,
  runReference,
  seededValue,
  toTensor,
  widen,
} from '../../src/testing/index.js';

const fused = [...opTable.values()].filter((op) => op.decompose);
const engine = (decomposeFused: boolean) => createReferenceDevice({ precision: 'f64', decomposeFused });

/** In 64 bits both ways round the same; gradients of steep rows lose a few digits. */
const close: Tolerance = { absolute: 1e-9, relative: 1e-7, norm: 1e-9 };

/** The saved outputs among a backward op's operands, in 64 bits. */
function refine(op: Op, { inputs, attributes }: OpInvocation): OpInvocation {
  if (!op.name.endsWith('Backward')) return { inputs, attributes };
  const { forward, inputCount } = attributes as { readonly forward: object; readonly inputCount: number };
  const own = inputs.slice(0, inputCount).map(widen);
  return {
    inputs: [
      ...own,
      ...runReference(opTable.get(op.name.replace('Backward', ''))!, own, forward, 'f64'),
      inputs.at(-1)!,
    ],
    attributes,
  };
}

async function outputsOn(decomposeFused: boolean, op: Op, { inputs, attributes }: OpInvocation): Promise<HostTensor[]> {
  const run = compile((given: readonly Tensor[]) => apply(op, given, attributes), { device: engine(decomposeFused) });
  return Promise.all((await run(inputs.map(toTensor))).map((output) => readBack(output)));
}

async function gradientsOn(
  decomposeFused: boolean,
  op: Op,
  { inputs, attributes }: OpInvocation,
): Promise<HostTensor[]> {
  const given = { inputs, attributes };
  const { differentiable, differentiableOutputs } = opCases[op.name]!;
  const run = compile(
    (operands: readonly Tensor[]) => {
      const outputs = apply(op, operands, attributes);
      const chosen = differentiableOutputs ? differentiableOutputs.map((place) => outputs[place]!) : outputs;
      const cotangents = chosen.map(({ shape }, i) => toTensor(seededValue(shape, 'f32', 'ordinary', i)));
      return vectorJacobianProduct(
        chosen,
        differentiable(given).map((place) => operands[place]!),
        cotangents,
      );
    },
    { device: engine(decomposeFused) },
  );
  return Promise.all((await run(inputs.map(toTensor))).map((gradient) => readBack(gradient)));
}

function compareAll(name: string, actual: readonly HostTensor[], expected: readonly HostTensor[]): void {
  expected.forEach((value, i) => assertClose(actual[i]!, value, `${name} ${i}`, close));
}

describe('fused loops equal their decomposition', () => {
  it.each(fused.map((op) => op.name))('%s', async (name) => {
    const op = opTable.get(name)!;
    for (const values of ['ordinary', 'extreme'] as const) {
      await fc.assert(
        fc.asyncProperty(opCases[name]!.invocations({ values, maxLength: 5 }), async (given) => {
          const refined = refine(op, given);
          compareAll(`${name} output`, await outputsOn(false, op, refined), await outputsOn(true, op, refined));
        }),
        { numRuns: 40 },
      );
    }
  });
});

describe('gradients through fused loops equal those through the decomposition', () => {
  it.each(fused.map((op) => op.name).filter((name) => !name.endsWith('Backward')))('%s', async (name) => {
    const op = opTable.get(name)!;
    for (const values of ['smooth', 'ordinary'] as const) {
      await fc.assert(
        fc.asyncProperty(opCases[name]!.invocations({ values, maxLength: 5 }), async (given) => {
          compareAll(`${name} gradient`, await gradientsOn(false, op, given), await gradientsOn(true, op, given));
        }),
        { numRuns: 40 },
      );
    }
  });
});
