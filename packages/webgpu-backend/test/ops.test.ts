/** Every op of the table on the GPU, by kernel or by decomposition, against the reference loops. */
import { type HostTensor, opTable } from '@mindseye/tensor-core';
import { type OpInvocation, type Tolerance, compareWithReference, opCases } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { gpu } from './support.js';

const smallestNormal = 2 ** -126;

/** WGSL lets an implementation flush subnormal numbers to zero, in operands and in results. */
function withoutSubnormals(value: HostTensor): HostTensor {
  if (value.dtype === 'f32') return { ...value, data: value.data.map((x) => (Math.abs(x) < smallestNormal ? 0 : x)) };
  if (value.dtype === 'bf16') return { ...value, data: value.data.map((code) => ((code & 0x7f80) === 0 ? 0 : code)) };
  return value;
}

/** A bitcast makes subnormals on the way, where no operand shows them. */
const makesSubnormals = (attributes: object): boolean => JSON.stringify(attributes).includes('"bitcast"');

/** Scores up to 10^4 lose four digits in f32 before their exponential; the reference sums them in 64 bits. */
const wider: Readonly<Record<string, Tolerance>> = {
  attention: { absolute: 1e-3, relative: 1e-3, norm: 1e-3 },
  attentionBackward: { absolute: 1e-3, relative: 1e-3, norm: 1e-3 },
};

describe.each([
  ['ordinary', 6],
  ['ordinary', 40],
  ['extreme', 6],
] as const)('%s values, axes up to %i', (values, maxLength) => {
  test.each([...opTable.keys()])('%s', async (name) => {
    const { tolerance, ...opCase } = opCases[name]!;
    const allowed = (values === 'extreme' ? wider[name] : undefined) ?? tolerance ?? { absolute: 1e-6, relative: 1e-5 };
    const compare = ({ inputs, attributes }: OpInvocation): Promise<void> => {
      fc.pre(name !== 'fusedExpression' || values === 'ordinary' || !makesSubnormals(attributes));
      return compareWithReference(
        gpu,
        name,
        { inputs: inputs.map(withoutSubnormals), attributes },
        { ...allowed, absolute: Math.max(allowed.absolute ?? 0, smallestNormal) },
      );
    };
    await fc.assert(fc.asyncProperty(opCase.invocations({ values, maxLength }), compare), { numRuns: 8 });
  });
});
