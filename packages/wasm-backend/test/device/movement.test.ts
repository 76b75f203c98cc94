/** Ops that move elements: equal to the reference loops bit for bit, for sizes around the length that is copied at once. */
import { type DType, type HostTensor, apply, evaluate, opTable, sizeOf } from '@mindseye/tensor-core';
import { arbitraryValue, readBack, runReference, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { SEED } from '../kernels/support.js';
import { bytesOf } from './support.js';

const device = createWasmDevice();

const axis = fc.oneof(fc.constantFrom(0, 1, 1, 2, 3, 31, 32, 33, 65), fc.integer({ min: 1, max: 40 }));
const shapeOf = (maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(axis, { maxLength }).map((shape) => {
    const kept: number[] = [];
    for (const size of shape) kept.push(sizeOf(kept) * size > 20_000 ? 1 : size);
    return kept;
  });

const dtype = fc.constantFrom<DType>('f32', 'f32', 'i32', 'u32', 'bool', 'f16', 'bf16');
const value = (shape: readonly number[], of: DType): fc.Arbitrary<HostTensor> =>
  arbitraryValue(shape, of, of === 'f32' ? 'special' : 'words');

type Case = readonly [inputs: readonly HostTensor[], attributes: object];
const ofOne = (maxRank: number, attributes: (shape: readonly number[]) => fc.Arbitrary<object>): fc.Arbitrary<Case> =>
  fc.tuple(shapeOf(maxRank), dtype).chain(([shape, of]) => fc.tuple(fc.tuple(value(shape, of)), attributes(shape)));

const widths = (shape: readonly number[], most: number): fc.Arbitrary<number[]> =>
  fc.tuple(...shape.map(() => fc.nat(most))).map((list) => [...list]);
const stretched = (shape: readonly number[]): fc.Arbitrary<number[]> =>
  fc.tuple(shapeOf(1), ...shape.map((size) => (size === 1 ? axis : fc.constant(size)))).map(([lead, ...rest]) => {
    const wide = [...lead, ...rest];
    return sizeOf(wide) > 40_000 ? [...shape] : wide;
  });

/** A condition on leading axes, or of any other shape that broadcasts; branches whole or single. */
const choice: fc.Arbitrary<Case> = fc
  .tuple(shapeOf(3), fc.constantFrom<DType>('f32', 'i32', 'bool'))
  .chain(([shape, of]) => {
    const condition = fc.oneof(
      fc.nat(shape.length).map((lead) => shape.map((size, at) => (at < lead ? size : 1))),
      fc.tuple(...shape.map((size) => fc.boolean().map((kept) => (kept ? size : 1)))).map((list) => [...list]),
      fc.nat(shape.length).map((from) => shape.slice(from)),
    );
    const branch = fc.constantFrom(
      [...shape],
      [],
      shape.map(() => 1),
    );
    return fc
      .tuple(condition, branch, branch)
      .chain(([c, a, b]) => fc.tuple(fc.tuple(arbitraryValue(c, 'bool'), value(a, of), value(b, of)), fc.constant({})));
  });

const cases: Readonly<Record<string, fc.Arbitrary<Case>>> = {
  permute: ofOne(4, (shape) =>
    fc
      .shuffledSubarray(
        shape.map((_, at) => at),
        { minLength: shape.length },
      )
      .map((axes) => ({ axes })),
  ),
  slice: ofOne(4, (shape) =>
    fc.tuple(...shape.map((size) => fc.tuple(fc.nat(size), fc.nat(size)))).map((bounds) => ({
      start: bounds.map((pair) => Math.min(...pair)),
      end: bounds.map((pair) => Math.max(...pair)),
    })),
  ),
  pad: ofOne(3, (shape) => fc.record({ before: widths(shape, 3), after: widths(shape, 3) })),
  broadcastTo: ofOne(3, (shape) => stretched(shape).map((wide) => ({ shape: wide }))),
  reshape: ofOne(3, (shape) => fc.constant({ shape: [1, sizeOf(shape)] })),
  barrier: ofOne(3, () => fc.constant({})),
  select: choice,
};

test.each(Object.keys(cases))('%s', async (name) => {
  const op = opTable.get(name)!;
  const property = fc.asyncProperty(cases[name]!, async ([inputs, attributes]) => {
    const [expected] = runReference(op, inputs, attributes);
    const [actual] = await evaluate(apply(op, inputs.map(toTensor), attributes), { device });
    expect(actual!.shape).toEqual(expected!.shape);
    expect(bytesOf(await readBack(actual!))).toEqual(bytesOf(expected!));
  });
  await fc.assert(property, { seed: SEED, numRuns: 120 });
});
