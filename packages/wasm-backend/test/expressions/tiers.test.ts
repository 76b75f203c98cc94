/** Generated kernels of the fused tiers have the bits of `relaxed`, whatever was compiled or computed before. */
import {
  type ExpressionNode,
  type FusedExpression,
  type TensorSpec,
  byteSizeOf,
  fusedExpressionOp,
  sizeOf,
} from '@mindseye/tensor-core';
import { type HostTensor, arbitraryExpression, arbitrarySeed, seededValue } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createExpressions } from '../../src/expressions/expressions.js';
import type { Tier } from '../../src/kernels/index.js';
import { bytesOf } from '../device/support.js';
import { arenaFor, TIERS } from '../kernels/support.js';

/** Runs expressions on a tier; which NaN comes out is not said, so that of f32 is one. */
function runnerOf(tier: Tier): (expression: FusedExpression, inputs: readonly HostTensor[]) => Uint8Array[] {
  const arena = arenaFor(tier);
  const { memory } = arena.kernels;
  const expressions = createExpressions(arena.kernels);
  const put = (bytes: Uint8Array): number => {
    const at = arena.bytes(bytes.length);
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    return at;
  };
  const read = ({ dtype, shape }: TensorSpec, at: number): Uint8Array => {
    const bytes = new Uint8Array(memory.buffer, at, sizeOf(shape) * byteSizeOf(dtype)).slice();
    if (dtype !== 'f32') return bytes;
    return bytesOf({ data: new Float32Array(bytes.buffer).map((x) => (Number.isNaN(x) ? Number.NaN : x)) });
  };
  return (expression, inputs) => {
    arena.reset();
    const specs = fusedExpressionOp.infer(inputs, expression);
    const outputs = specs.map(({ dtype, shape }) => put(new Uint8Array(sizeOf(shape) * byteSizeOf(dtype)).fill(255)));
    const pointers = [...outputs, ...inputs.map((input) => put(bytesOf(input)))];
    expressions.bind(expression, inputs)(pointers, [...pointers.keys()]);
    arena.checkGuards();
    return specs.map((spec, i) => read(spec, outputs[i]!));
  };
}

const apply = (op: string, ...inputs: number[]): ExpressionNode => ({
  kind: 'apply',
  op,
  attributes: {},
  inputs,
  dtype: 'f32',
});
/** Maps of `x` [rows, columns] and `y` [rows, 1] or [rows, columns], as nodes after those two. */
const maps: readonly (readonly ExpressionNode[])[] = [
  [apply('mul', 0, 1)],
  [apply('sub', 0, 1), apply('mul', 2, 2)],
  [apply('sub', 0, 1), apply('exp', 2)],
  [apply('sub', 0, 1), apply('tanh', 2), apply('mul', 3, 0)],
  [apply('sigmoid', 0), apply('mul', 2, 1)],
];

const fusedTiers = TIERS.filter((tier) => tier !== 'simd128');

describe.each(fusedTiers)('%s', (tier) => {
  const [narrow, wide] = [runnerOf('relaxed'), runnerOf(tier)];
  const expectEqual = (expression: FusedExpression, inputs: readonly HostTensor[]): void => {
    expect(wide(expression, inputs)).toEqual(narrow(expression, inputs));
  };

  test.each([6, 40, 400])('random expressions with axes of up to %i', (maxLength) => {
    const property = fc.property(arbitraryExpression({ values: 'anything', maxLength }), ({ inputs, attributes }) => {
      expectEqual(attributes as FusedExpression, inputs);
    });
    fc.assert(property, { numRuns: 100 });
  });

  test('reductions of long rows and columns', () => {
    const property = fc.property(
      fc.record({
        nodes: fc.constantFrom(...maps),
        rows: fc.integer({ min: 1, max: 3 }),
        columns: fc.oneof(fc.nat(70), fc.nat(5000)),
        kind: fc.constantFrom('sum' as const, 'max' as const),
        axis: fc.constantFrom(0, 1),
        isStored: fc.boolean(),
        isBroadcast: fc.boolean(),
        seed: arbitrarySeed(),
      }),
      ({ nodes, rows, columns, kind, axis, isStored, isBroadcast, seed }) => {
        const shape = [rows, columns];
        const of = nodes.length + 1;
        const expression: FusedExpression = {
          shape,
          constants: [],
          map: [{ kind: 'operand', operand: 0, dtype: 'f32' }, { kind: 'operand', operand: 1, dtype: 'f32' }, ...nodes],
          results: isStored ? [of] : [],
          reduction: {
            kind,
            axes: [axis],
            keepDimensions: false,
            of,
            epilogue: [{ kind: 'reduced', dtype: 'f32' }],
            results: [0],
          },
        };
        const second = isBroadcast ? [rows, 1] : shape;
        expectEqual(expression, [
          seededValue(shape, 'f32', 'ordinary', seed),
          seededValue(second, 'f32', 'ordinary', seed + 1),
        ]);
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});
