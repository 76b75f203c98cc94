/** Donated inputs: outputs take over their buffers, and every output is what it is without donation. */
import * as t from '@mindseye/tensor-core';
import { seededValue, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { SEED } from '../kernels/support.js';
import { bufferOf, expectSameBits } from './support.js';

const shape = [3, 5];
const operands = (count: number): t.Tensor[] =>
  Array.from({ length: count }, (_, i) => toTensor(seededValue(shape, 'f32', 'ordinary', i)));

/** What an output can be made of: an operand itself, or something new of two. */
type Recipe = readonly [kind: 'same' | 'sum' | 'difference' | 'exchanged', a: number, b: number];
const build: Readonly<Record<Recipe[0], (a: t.Tensor, b: t.Tensor) => t.Tensor>> = {
  same: (a) => a,
  sum: (a, b) => t.add(a, b),
  difference: (a, b) => t.sub(a, b),
  // By an op without a kernel, through views of the memory.
  exchanged: (a, b) => t.concat([t.slice(a, 0, 1), t.slice(b, 0, 0, 1)], 0),
};

test('outputs are right whatever is donated, returned, repeated or exchanged, and no bytes are lost', async () => {
  const place = fc.nat(99);
  const recipe = fc.tuple(fc.constantFrom<Recipe[0]>('same', 'same', 'sum', 'difference', 'exchanged'), place, place);
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 0, max: 4 }),
    fc.array(recipe, { minLength: 1, maxLength: 8 }),
    async (donated, kept, recipes) => {
      const f = (given: readonly t.Tensor[], others: readonly t.Tensor[]): t.Tensor[] => {
        const all = [...given, ...others];
        return recipes.map(([kind, a, b]) => build[kind](all[a % all.length]!, all[b % all.length]!));
      };
      const device = createWasmDevice();
      const [given, others] = [operands(donated), operands(kept)];
      const actual = await t.compile(f, { device, donate: [0] })(given, others);
      const expected = await t.compile(f, { device: t.createReferenceDevice() })(operands(donated), operands(kept));
      await expectSameBits(actual, expected);
      expect(new Set(actual.map(bufferOf)).size).toBe(actual.length);
      expect(device.memory().rootBytes).toBe((actual.length + kept) * 4 * t.sizeOf(shape));
    },
  );
  await fc.assert(property, { seed: SEED, numRuns: 60 });
});

test('an output takes over the buffer of its donor', async () => {
  const device = createWasmDevice();
  const step = t.compile((x: t.Tensor) => t.mul(x, 2), { device, donate: [0] });
  let [x] = (await t.evaluate(operands(1), { device })) as [t.Tensor];
  x = await step(x);
  const { pointer } = bufferOf(x) as t.DeviceBuffer & { pointer: number };
  for (let i = 0; i < 3; i++) x = await step(x);
  expect(bufferOf(x)).toHaveProperty('pointer', pointer);
});

test('two values exchanged through donation', async () => {
  const device = createWasmDevice();
  const swap = t.compile((a: t.Tensor, b: t.Tensor) => [b, a], { device, donate: [0, 1] });
  const [a, b] = operands(2) as [t.Tensor, t.Tensor];
  await expectSameBits(
    (await swap(a, b)) as t.Tensor[],
    await t.evaluate(operands(2).toReversed(), { device: t.createReferenceDevice() }),
  );
});
