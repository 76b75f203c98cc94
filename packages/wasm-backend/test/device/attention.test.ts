/** Attention as a step of plans: masks computed inside them, grouped queries, rows that see nothing. */
import * as t from '@mindseye/tensor-core';
import {
  arbitraryMask,
  assertClose,
  readBack,
  runReference,
  seededValue,
  toTensor,
} from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { TIERS } from '../kernels/support.js';
import { distance } from './support.js';

const reference = t.createReferenceDevice();
const [forward, backward] = [t.opTable.get('attention')!, t.opTable.get('attentionBackward')!];
/** Gradients of narrow keys and values may be rounded to the one or the other neighbour. */
const tolerances = {
  f32: { absolute: 1e-5, relative: 1e-5, norm: 1e-5 },
  f16: { absolute: 1e-5, relative: 2 ** -10 },
  bf16: { absolute: 1e-5, relative: 2 ** -7 },
};

const operands = (
  batch: number,
  queryHeads: number,
  keyHeads: number,
  queries: number,
  keys: number,
  width: number,
  stored: t.DType = 'f32',
): t.HostTensor[] => [
  seededValue([batch, queryHeads, queries, width], 'f32', 'ordinary', 1),
  seededValue([batch, keyHeads, keys, width], stored, 'ordinary', 2),
  seededValue([batch, keyHeads, keys, width], stored, 'ordinary', 3),
];
const square = (batch: number, length: number): readonly [t.Tensor, t.Tensor, t.Tensor] =>
  operands(batch, 4, 2, length, length, 8).map(toTensor) as [t.Tensor, t.Tensor, t.Tensor];
const i32 = (values: readonly number[], shape: readonly number[]): t.Tensor => t.tensor(Int32Array.from(values), shape);

describe.each(TIERS)('%s', (tier) => {
  const device = createWasmDevice({ tier });

  /** Builds twice, since a tensor belongs to the first device that uses it. */
  const expectAgreement = async (build: () => readonly t.Tensor[]): Promise<void> => {
    const [actual, expected] = [build(), build()];
    await t.evaluate(actual, { device });
    await t.evaluate(expected, { device: reference });
    for (const [i, value] of expected.entries())
      expect(await distance(actual[i]!, value), `output ${i}`).toBeLessThan(1e-5);
  };

  test('any mask, grouped queries, both directions, more than one block of queries', async () => {
    const sizes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      keyHeads: fc.integer({ min: 1, max: 2 }),
      group: fc.integer({ min: 1, max: 3 }),
      queries: fc.oneof(fc.nat(9), fc.constantFrom(119, 121)),
      keys: fc.oneof(fc.nat(20), fc.constantFrom(130, 300)),
      width: fc.constantFrom(1, 3, 8, 16),
      stored: fc.constantFrom<keyof typeof tolerances>('f32', 'f16', 'bf16'),
    });
    const property = fc.asyncProperty(
      sizes.chain((given) => fc.option(arbitraryMask(given)).map((mask) => ({ ...given, mask }))),
      async ({ batch, keyHeads, group, queries, keys, width, stored, mask }) => {
        const inputs = [
          ...operands(batch, keyHeads * group, keyHeads, queries, keys, width, stored),
          ...(mask?.operands ?? []),
        ];
        const attributes = { scale: 0.3, mask: mask?.expression ?? null };
        const outputs = runReference(forward, inputs, attributes);
        const cotangent = seededValue(outputs[0]!.shape, 'f32', 'ordinary', 4);
        const backwardInputs = [...inputs, ...outputs, cotangent];
        const backwardAttributes = { forward: attributes, inputCount: inputs.length };
        const runs = [
          { op: forward, given: inputs, chosen: attributes, expected: outputs },
          {
            op: backward,
            given: backwardInputs,
            chosen: backwardAttributes,
            expected: runReference(backward, backwardInputs, backwardAttributes),
          },
        ];
        for (const { op, given, chosen, expected } of runs) {
          const actual = await t.evaluate(t.apply(op, given.map(toTensor), chosen), { device });
          for (const [i, value] of actual.entries())
            assertClose(
              await readBack(value),
              expected[i]!,
              `${op.name} output ${i}`,
              tolerances[expected[i]!.dtype as keyof typeof tolerances],
            );
        }
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  test('masks made inside one plan that follow each other at one address stay apart', () =>
    expectAgreement(() => {
      const [q, k, v] = square(1, 6);
      const raw = i32([0, 0, 1, 1, 2, 2], [1, 6]);
      let y = q;
      // Each round's ids are computed by a step, read by one attention, and dead afterwards.
      for (const shift of [0, 1, 2, 3]) {
        const ids = t.select(t.less(t.sub(raw, i32([shift % 3], [1])), 0), i32([7], [1]), i32([shift], [1]));
        y = t.attention(y, k, v, { mask: t.mask.segments(ids, raw) });
      }
      return [y];
    }));

  test('a prefix of its own for each batch entry', () =>
    expectAgreement(() => {
      const [q, k, v] = square(3, 5);
      return [t.attention(q, k, v, { mask: t.mask.prefix(i32([1, 3, 5], [3])) })];
    }));

  test('a query that sees no key gives 0 and gradients of 0', async () => {
    const nothing = t.mask.or();
    const loss = ([q, k, v]: readonly t.Tensor[]): t.Tensor => t.sum(t.attention(q!, k!, v!, { mask: nothing }));
    const [y, gradients] = t.valueAndGrad(loss)(square(2, 7));
    const values = [y, ...gradients];
    await t.evaluate(values, { device });
    for (const value of values) expect((await value.data()).every((element: number) => element === 0)).toBe(true);
  });

  test('a role outside the table sees nothing and is seen by nothing', () =>
    expectAgreement(() => {
      const [q, k, v] = square(1, 4);
      const mask = t.mask.roles(i32([0, 3, -1, 0], [1, 4]), [[true]], i32([0, 0, 1, -7], [1, 4]));
      return [t.attention(q, k, v, { mask })];
    }));

  // Several blocks of queries and several tiles of keys, so that tiles are skipped, taken whole and masked.
  const length = 300;
  const blocks = (size: number): t.Tensor =>
    i32(
      Array.from({ length }, (_, at) => Math.floor(at / size)),
      [1, length],
    );
  const holed = (): t.Tensor =>
    i32(
      Array.from({ length }, (_, at) => (at < 70 ? 0 : at < 210 ? 1 : 2)),
      [1, length],
    );
  const structured: Readonly<Record<string, () => t.Mask>> = {
    causal: () => t.mask.causal(),
    'causal after cached keys': () => t.mask.causal(i32([-150], [1])),
    'a sliding window': () => t.mask.and(t.mask.causal(), t.mask.window(40)),
    'a sliding window of each entry': () => {
      const offset = i32([-10, 130], [2]);
      return t.mask.and(t.mask.causal(offset), t.mask.window(70, offset));
    },
    'packed samples': () => t.mask.and(t.mask.causal(), t.mask.segments(blocks(90))),
    'whole blocks and nothing else': () => t.mask.segments(blocks(120)),
    'prefixes of each entry': () => t.mask.prefix(i32([64, 200], [2])),
    'a hole that late queries do not see': () =>
      t.mask.and(
        t.mask.causal(),
        t.mask.roles(holed(), [
          [true, true, true],
          [true, true, true],
          [true, false, true],
        ]),
      ),
    'queries that see nothing for blocks on end': () => t.mask.not(t.mask.prefix(i32([300, 250], [2]))),
  };
  test.each(Object.keys(structured))('over many tiles: %s', (name) =>
    expectAgreement(() => {
      const gradients = t.grad((given: readonly t.Tensor[]) => {
        const [q, k, v] = given as [t.Tensor, t.Tensor, t.Tensor];
        return t.sum(t.mul(t.attention(q, k, v, { mask: structured[name]!() }), q));
      });
      const [q, k, v] = square(2, length);
      return [t.attention(q, k, v, { mask: structured[name]!() }), ...gradients(square(2, length))];
    }),
  );
});
