/** Code made from fused expressions: against the interpreter, written over operands, and shared by all lengths. */
import * as t from '@mindseye/tensor-core';
import {
  type OpInvocation,
  arbitraryExpression,
  assertClose,
  compareWithReference,
  opCases,
  readBack,
  runReference,
  toTensor,
} from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';
import { decode, decoderWeights, emptyCache, tinyDecoder } from './decoder.js';
import { expectAgreement, gpu, openPoisoned, values } from './support.js';

const { tolerance } = opCases['fusedExpression']!;
const fast = await openPoisoned('fast');

/** Runs a property that the device has a kernel for most of the time, so that it is the kernels that are tested. */
async function checkMost(
  invocations: fc.Arbitrary<OpInvocation>,
  numRuns: number,
  check: (invocation: OpInvocation) => Promise<void>,
): Promise<void> {
  let taken = 0;
  const property = fc.asyncProperty(invocations, async (invocation) => {
    if (gpu.supports(t.fusedExpressionOp as t.Op, invocation.inputs, invocation.attributes)) taken++;
    await check(invocation);
  });
  await fc.assert(property, { numRuns });
  expect(taken).toBeGreaterThan(numRuns / 2);
}

test.each([false, true])('larger than a workgroup, with a reduction: %s', async (reduction) => {
  const invocations = arbitraryExpression({ maxLength: 90, reduction });
  await checkMost(invocations, 40, (given) => compareWithReference(gpu, 'fusedExpression', given, tolerance));
});

test('results written over operands are those of the interpreter', async () => {
  const op = t.fusedExpressionOp as t.Op;
  let written = 0;
  await checkMost(arbitraryExpression({ maxLength: 40, reduction: false }), 60, async ({ inputs, attributes }) => {
    const expected = runReference(op, inputs, attributes);
    const f = t.compile((operands: readonly t.Tensor[]) => t.apply(op, operands, attributes), {
      device: fast,
      donate: [0],
      passes: { fuse: false },
    });
    const operands = inputs.map(toTensor);
    const { donations, copies, steps } = f.plan(operands);
    if (steps.length === 1) written += donations.length - copies.length;
    const outputs = await f(operands);
    for (const [i, output] of outputs.entries())
      assertClose(await readBack(output), expected[i]!, `output ${i}`, tolerance);
  });
  expect(written).toBeGreaterThan(4);
});

test('every op that may write over an operand does so to the same values', async () => {
  const names = [...t.opTable].flatMap(([name, op]) => (op.overwrites && fast.canOverwrite!(op) ? [name] : []));
  expect(names).toEqual(expect.arrayContaining(['updateSlice', 'adamwStep', 'add', 'swiglu', 'cast']));
  for (const name of names) {
    const op = t.opTable.get(name)!;
    const { tolerance: allowed = { absolute: 1e-6, relative: 1e-5 }, ...opCase } = opCases[name]!;
    const property = fc.asyncProperty(
      opCase.invocations({ values: 'ordinary', maxLength: 6 }),
      async ({ inputs, attributes }) => {
        const expected = runReference(op, inputs, attributes);
        const f = (operands: readonly t.Tensor[]): readonly t.Tensor[] => t.apply(op, operands, attributes);
        const outputs = await t.compile(f, { device: fast, donate: [0] })(inputs.map(toTensor));
        for (const [i, output] of outputs.entries())
          assertClose(await readBack(output), expected[i]!, `output ${i} of ${name}`, allowed);
      },
    );
    await fc.assert(property, { numRuns: 6 });
  }
});

test('reductions of any length and direction share one shader', async () => {
  const device = await openDevice();
  const shapes = [
    [3, 5],
    [2, 16],
    [7, 300],
    [40, 65],
    [513, 2],
    [2, 1030],
  ] as const;
  const count = async (axis: number): Promise<number> => {
    const before = device.pipelineCount;
    for (const shape of shapes) await t.sum(t.tensor(new Float32Array(shape[0] * shape[1]), shape), axis).data(device);
    return device.pipelineCount - before;
  };
  expect(await count(1)).toBe(1);
  expect(await count(0)).toBe(1);
  await expectAgreement(() => shapes.flatMap((shape) => [t.sum(values(shape), 0), t.max(values(shape), 1)]), 2e-6);
});

test('a second length of a decoder and of its gradient compiles no shader', async () => {
  const device = await openDevice({ profile: 'fast' });
  const weights = decoderWeights(tinyDecoder);
  const run = t.compile(
    (cache: ReturnType<typeof emptyCache>, tokens: t.Tensor, start: t.Tensor) => {
      const { logits, cache: grown } = decode(tinyDecoder, weights, cache, tokens, start);
      return { chosen: t.argmax(t.softmax(t.div(logits, 0.7))), entropy: t.entropy(logits), grown };
    },
    { device, donate: [0] },
  );
  const gradient = t.compile(
    (tokens: t.Tensor, start: t.Tensor) =>
      t.grad((embedding: t.Tensor) => {
        const { logits } = decode(tinyDecoder, { ...weights, embedding }, undefined, tokens, start);
        return t.mean(t.softmaxCrossEntropy(logits, t.reshape(tokens, [tokens.size])));
      })(weights.embedding),
    { device },
  );
  const both = async (length: number): Promise<number> => {
    const tokens = (): t.Tensor =>
      t.tensor(
        Int32Array.from({ length }, (_, i) => (i * 7) % tinyDecoder.vocabulary),
        [1, length],
      );
    const start = (): t.Tensor => t.tensor(Int32Array.of(2));
    const { entropy } = await run(emptyCache(tinyDecoder), tokens(), start());
    expect((await entropy.data()).every(Number.isFinite)).toBe(true);
    await gradient(tokens(), start());
    return device.pipelineCount;
  };
  const compiled = await both(7);
  for (const length of [5, 12, 23]) expect(await both(length)).toBe(compiled);
});
