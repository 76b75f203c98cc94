/** Generated kernels of random fused expressions: right, inside their operands, in place, and shared between sizes. */
import {
  type FusedExpression,
  type Op,
  type TensorSpec,
  apply,
  broadcastStrides,
  byteSizeOf,
  evaluate,
  fusedExpressionOp,
  hostView,
  noPasses,
  sum,
  sizeOf,
} from '@mindseye/tensor-core';
import {
  type HostTensor,
  arbitraryExpression,
  arbitrarySeed,
  assertClose,
  opCases,
  runReference,
  seededValue,
  toTensor,
} from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canEmit } from '../../src/expressions/emit-expression.js';
import { type BoundExpression, createExpressions } from '../../src/expressions/expressions.js';
import { createWasmDevice } from '../../src/index.js';
import { bytesOf, expectSameBits } from '../device/support.js';
import { arenaFor, TIERS } from '../kernels/support.js';

const { tolerance } = opCases['fusedExpression']!;
const exactSum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const run = (kernel: BoundExpression, pointers: readonly number[]): void => kernel(pointers, [...pointers.keys()]);

/** Axes that cross vectors, unrolled rounds and blocks of sums. */
const lengths = [5, 40];

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { memory } = arena.kernels;
  const expressions = createExpressions(arena.kernels);
  const device = createWasmDevice({ tier });

  const put = ({ data }: HostTensor): number => {
    const at = arena.bytes(data.byteLength);
    new Uint8Array(memory.buffer, at, data.byteLength).set(bytesOf({ data }));
    return at;
  };
  const read = (spec: TensorSpec, at: number): HostTensor => {
    const bytes = new Uint8Array(memory.buffer, at, sizeOf(spec.shape) * byteSizeOf(spec.dtype)).slice();
    return { ...spec, data: hostView(bytes.buffer, 0, spec) };
  };

  test.each(['ordinary', 'extreme'] as const)('%s numbers, against the interpreter', (values) => {
    for (const maxLength of lengths) {
      const property = fc.property(arbitraryExpression({ values, maxLength }), ({ inputs, attributes }) => {
        const expression = attributes as FusedExpression;
        const expected = runReference(fusedExpressionOp as Op, inputs, expression);
        arena.reset();
        const operands = inputs.map(put);
        const outputs = expected.map(({ data }) => arena.bytes(data.byteLength));
        for (const [i, { data }] of expected.entries())
          new Uint8Array(memory.buffer, outputs[i], data.byteLength).fill(255);
        run(expressions.bind(expression, inputs), [...outputs, ...operands]);
        arena.checkGuards();
        inputs.forEach((input, i) => expect(bytesOf(read(input, operands[i]!))).toEqual(bytesOf(input)));
        expected.forEach((value, i) => assertClose(read(value, outputs[i]!), value, `output ${i}`, tolerance));
      });
      fc.assert(property, { numRuns: 150 });
    }
  });

  test('outputs over operands, where the op allows it, have the bits of outputs of their own', () => {
    const property = fc.property(
      arbitraryExpression({ values: 'anything', maxLength: 20, reduction: false }),
      ({ inputs, attributes }) => {
        const expression = attributes as FusedExpression;
        const specs = fusedExpressionOp.infer(inputs, expression);
        arena.reset();
        const kernel = expressions.bind(expression, inputs);
        const runOver = (overwritten: ReadonlyMap<number, number>): Uint8Array[] => {
          const operands = inputs.map(put);
          const outputs = specs.map((spec, i) => {
            const over = overwritten.get(i);
            return over === undefined
              ? put({ ...spec, data: new Uint8Array(4 * sizeOf(spec.shape)) })
              : operands[over]!;
          });
          run(kernel, [...outputs, ...operands]);
          return specs.map((spec, i) => bytesOf(read(spec, outputs[i]!)));
        };
        const chosen = new Map<number, number>();
        for (const { output, input } of fusedExpressionOp.overwrites!(inputs, expression))
          if (!chosen.has(output) && ![...chosen.values()].includes(input)) chosen.set(output, input);
        expect(runOver(chosen)).toEqual(runOver(new Map()));
      },
    );
    fc.assert(property, { numRuns: 200 });
  });

  test('sums of thousands of numbers are those of double precision, rounded once, over any axes', async () => {
    const shapes = fc.tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 1, max: 5 }),
    );
    const property = fc.asyncProperty(
      shapes,
      fc.subarray([0, 1, 2], { minLength: 1 }),
      arbitrarySeed(),
      async (shape, axes, seed) => {
        const x = seededValue(shape, 'f32', 'positive', seed);
        const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
        const parts = Array.from({ length: sizeOf(kept) }, (): number[] => []);
        const strides = broadcastStrides(kept, shape);
        const [, rows, columns] = shape;
        x.data.forEach((value: number, i: number) => {
          const index = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns];
          parts[exactSum(index.map((at, axis) => at * strides[axis]!))]!.push(value);
        });
        const actual = await sum(toTensor(x), axes).data(device);
        parts.forEach((part, i) => expect(Math.abs(actual[i]! / exactSum(part) - 1)).toBeLessThan(6.1e-8));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  test('an expression without a reduction has the bits of its steps run one by one', async () => {
    const property = fc.asyncProperty(
      arbitraryExpression({ values: 'anything', maxLength: 20, reduction: false }),
      async ({ inputs, attributes }) => {
        const fused = apply(fusedExpressionOp, inputs.map(toTensor), attributes as FusedExpression);
        const steps = fusedExpressionOp.decompose!(inputs.map(toTensor), attributes as FusedExpression);
        await expectSameBits(await evaluate(fused, { device }), await evaluate(steps, { device, passes: noPasses }));
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });
});

test('sizes and constants are parameters: they make no new module', () => {
  const expressions = createExpressions(arenaFor(TIERS[0]!).kernels);
  const scaled = (shape: readonly number[], factor: number): FusedExpression => ({
    shape,
    constants: [factor],
    map: [
      { kind: 'operand', operand: 0, dtype: 'f32' },
      { kind: 'constant', constant: 0, dtype: 'f32' },
      { kind: 'apply', op: 'mul', attributes: {}, inputs: [0, 1], dtype: 'f32' },
    ],
    results: [2],
  });
  for (const length of [2, 3, 700])
    for (const factor of [0, -1.5, Infinity])
      expressions.bind(scaled([length, 4], factor), [{ shape: [length, 4], dtype: 'f32' }]);
  expect(expressions.kernels()).toBe(1);
  expressions.bind(scaled([3, 4], 1), [{ shape: [4], dtype: 'f32' }]);
  expect(expressions.kernels()).toBe(2);
});

test('what has no code is refused, and planned step by step', () => {
  const unknown: FusedExpression = {
    shape: [2],
    constants: [],
    map: [
      { kind: 'operand', operand: 0, dtype: 'f32' },
      { kind: 'apply', op: 'zeta', attributes: {}, inputs: [0], dtype: 'f32' },
    ],
    results: [1],
  };
  expect(canEmit(unknown)).toBe(false);
  expect(createWasmDevice().supports(fusedExpressionOp as Op, [{ shape: [2], dtype: 'f32' }], unknown)).toBe(false);
});
