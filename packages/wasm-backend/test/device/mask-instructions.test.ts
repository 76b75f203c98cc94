/** What the kernels make of any mask, pair by pair, against the predicate that the reference loops use. */
import * as t from '@mindseye/tensor-core';
import { type HostMask, arbitraryMask, readBack, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { maskProgramSizes } from '../../src/device/mask-instructions.js';
import { TILE_KEYS, TILE_QUERIES } from '../../src/kernels/index.js';
import { TIERS } from '../kernels/support.js';

interface Example {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly mask: HostMask;
}

const length = (tile: number): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 20 }) },
    { weight: 1, arbitrary: fc.integer({ min: tile - 1, max: 2 * tile + 3 }) },
  );

const examples: fc.Arbitrary<Example> = fc
  .record({ batch: fc.integer({ min: 1, max: 3 }), queries: length(TILE_QUERIES), keys: length(TILE_KEYS) })
  .chain((sizes) => arbitraryMask(sizes).map((mask) => ({ ...sizes, mask })));

const i32 = (numbers: readonly number[], shape: readonly number[]): t.HostTensor => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from(numbers),
});

/** All scores are 0 and values the rows of the identity: a weight that is not 0 is a key that is seen. */
async function pairsSeen({ batch, queries, keys, mask }: Example, device: t.Device): Promise<boolean[]> {
  const zeros = (rows: number): t.HostTensor => {
    return { shape: [batch, 1, rows, keys], dtype: 'f32', data: new Float32Array(batch * rows * keys) };
  };
  const identity = Float32Array.from({ length: batch * keys * keys }, (_, i) =>
    Number(Math.floor(i / keys) % keys === i % keys),
  );
  const v: t.HostTensor = { shape: [batch, 1, keys, keys], dtype: 'f32', data: identity };
  const inputs = [zeros(queries), zeros(keys), v, ...mask.operands].map(toTensor);
  const attributes = { scale: 1, mask: mask.expression };
  const [y] = t.apply(t.opTable.get('attention')!, inputs, attributes);
  await t.evaluate([y!], { device });
  return Array.from((await readBack(y!)).data, (weight: number) => weight > 0);
}

describe.each(TIERS)('%s', (tier) => {
  const device = createWasmDevice({ tier });
  const check = async (example: Example): Promise<void> => {
    const { batch, queries, keys, mask } = example;
    const allow = t.maskPredicate(mask.expression, mask.operands);
    const expected = Array.from({ length: batch * queries * keys }, (_, i) =>
      allow(Math.floor(i / keys / queries), Math.floor(i / keys) % queries, i % keys),
    );
    expect(await pairsSeen(example, device)).toEqual(expected);
  };

  test('every pair of any expression', () => fc.assert(fc.asyncProperty(examples, check), { numRuns: 60 }));

  test('tables wider than a word, and numbers that wrap around', async () => {
    const [queries, keys] = [70, 90];
    const table = Array.from({ length: 3 }, (_, row) => Array.from({ length: 70 }, (_cell, i) => i % (row + 2) === 0));
    const roles = (count: number, step: number): t.HostTensor =>
      i32(
        Array.from({ length: count }, (_, i) => ((i * step) % 73) - 1),
        [1, count],
      );
    const operands = [roles(queries, 5), roles(keys, 7), i32([2 ** 31 - 40], [1])];
    const expression: t.MaskExpression = {
      kind: 'or',
      parts: [
        { kind: 'roles', query: 0, key: 1, table },
        { kind: 'causal', offset: 2 },
      ],
    };
    await check({ batch: 1, queries, keys, mask: { expression, operands } });
  });
});

test('the stack is as deep as the expression asks for, whatever its length', () => {
  const position: t.MaskNumber = { op: 'position' };
  const leaf: t.MaskProgram = { op: 'compare', relation: 'equal', query: position, key: position };
  const flat: t.MaskProgram = { op: 'and', parts: [leaf, leaf, leaf, leaf] };
  expect(maskProgramSizes(flat)).toEqual({ instructions: 7, words: 0, depth: 2 });
  const nested: t.MaskProgram = { op: 'or', parts: [leaf, { op: 'and', parts: [leaf, { op: 'not', part: flat }] }] };
  expect(maskProgramSizes(nested)).toMatchObject({ depth: 4 });
  expect(maskProgramSizes({ op: 'and', parts: [] })).toEqual({ instructions: 1, words: 0, depth: 1 });
});
