/** Attention with grouped queries and random mask expressions against attention written with a dense mask. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  apply,
  attention,
  attentionWeights,
  broadcastTo,
  compile,
  createReferenceDevice,
  div,
  equal,
  exp,
  mask,
  maskPredicate,
  matmul,
  mul,
  opTable,
  reshape,
  select,
  sum,
  tensor,
  vectorJacobianProduct,
} from '../../src/index.js';
import { decoderOf, encoderOf } from '../../src/dtype.js';
import {
  type HostMask,
  type HostTensor,
  arbitraryMask,
  arbitrarySeed,
  assertClose,
  exact,
  readBack,
  seededValue,
  toTensor,
} from '../../src/testing/index.js';

interface Example {
  readonly q: HostTensor;
  readonly k: HostTensor;
  readonly v: HostTensor;
  readonly dy: HostTensor;
  readonly masking: HostMask;
}

const size = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });

const examples: fc.Arbitrary<Example> = fc
  .tuple(size(1, 2), size(1, 2), size(1, 3), size(1, 5), size(1, 5), size(1, 4), arbitrarySeed())
  .chain(([batch, keyHeads, group, queries, keys, width, seed]) =>
    arbitraryMask({ batch, queries, keys }).map((masking) => ({
      q: seededValue([batch, keyHeads * group, queries, width], 'f32', 'ordinary', seed),
      k: seededValue([batch, keyHeads, keys, width], 'f32', 'ordinary', seed + 1),
      v: seededValue([batch, keyHeads, keys, width], 'f32', 'ordinary', seed + 2),
      dy: seededValue([batch, keyHeads * group, queries, width], 'f32', 'ordinary', seed + 3),
      masking,
    })),
  );

/** The mask written out: one byte per (batch, query, key). */
function denseOf({ q, k, masking: { expression, operands } }: Example): HostTensor {
  const [batch, queries, keys] = [q.shape[0]!, q.shape[2]!, k.shape[2]!];
  const allow = maskPredicate(expression, operands);
  const cell = (at: number): number =>
    Number(allow(Math.floor(at / (queries * keys)), Math.floor(at / keys) % queries, at % keys));
  return {
    shape: [batch, queries, keys],
    dtype: 'bool',
    data: Uint8Array.from({ length: batch * queries * keys }, (_, at) => cell(at)),
  };
}

/** The textbook formula: e^score where allowed and 0 elsewhere, over the sum of the row; rows without a key are 0. */
function denseAttention(q: Tensor, k: Tensor, v: Tensor, allow: Tensor): Tensor {
  const [batch, heads, queries, width] = q.shape as [number, number, number, number];
  const [, keyHeads, keys] = k.shape as [number, number, number, number];
  const spread = (x: Tensor): Tensor =>
    reshape(
      broadcastTo(reshape(x, [batch, keyHeads, 1, keys, width]), [batch, keyHeads, heads / keyHeads, keys, width]),
      [batch, heads, keys, width],
    );
  const scores = mul(matmul(q, spread(k), { transposeB: true }), 1 / Math.sqrt(width));
  const weights = select(reshape(allow, [batch, 1, queries, keys]), exp(scores), 0);
  const total = sum(weights, -1, true);
  return matmul(div(weights, select(equal(total, 0), 1, total)), spread(v));
}

const op = opTable.get('attention')!;

/** y, dq, dk, dv, with the mask as an expression. */
function viaExpression({ q, k, v, dy, masking }: Example, decomposeFused: boolean): Promise<HostTensor[]> {
  const scale = 1 / Math.sqrt(q.shape[3]!);
  return outputsOf(decomposeFused, [q, k, v, dy, ...masking.operands], (queries, keys, values, _dy, ...operands) => {
    return apply(op, [queries, keys, values, ...operands], { scale, mask: masking.expression })[0]!;
  });
}

async function outputsOf(
  decomposeFused: boolean,
  operands: readonly HostTensor[],
  forward: (q: Tensor, k: Tensor, v: Tensor, ...rest: Tensor[]) => Tensor,
): Promise<HostTensor[]> {
  const run = compile(
    (given: readonly Tensor[]) => {
      const [q, k, v, dy, ...rest] = given as [Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
      const y = forward(q, k, v, dy, ...rest);
      return [y, ...vectorJacobianProduct([y], [q, k, v], [dy])];
    },
    { device: createReferenceDevice({ precision: 'f64', decomposeFused }) },
  );
  return Promise.all((await run(operands.map(toTensor))).map((output) => readBack(output)));
}

const names = ['y', 'dq', 'dk', 'dv'];

describe('attention with a mask expression', () => {
  it.each([false, true])(
    'equals attention with a dense mask, forward and backward (decomposed: %s)',
    async (decomposeFused) => {
      await fc.assert(
        fc.asyncProperty(examples, async (example) => {
          const { q, k, v, dy } = example;
          const expected = await outputsOf(true, [q, k, v, dy, denseOf(example)], (queries, keys, values, _dy, allow) =>
            denseAttention(queries, keys, values, allow!),
          );
          const actual = await viaExpression(example, decomposeFused);
          expected.forEach((value, i) =>
            assertClose(actual[i]!, value, names[i]!, { absolute: 1e-12, relative: 1e-9 }),
          );
        }),
        { numRuns: 150 },
      );
    },
  );

  it.each([false, true])(
    'gives 0 and no gradient to a query that sees nothing (decomposed: %s)',
    async (decomposeFused) => {
      await fc.assert(
        fc.asyncProperty(examples, async (example) => {
          const [batch, heads, queries, width] = example.q.shape as [number, number, number, number];
          const allow = denseOf(example).data;
          const keys = example.k.shape[2]!;
          const [y, dq] = await viaExpression(example, decomposeFused);
          for (let row = 0; row < batch * queries; row++) {
            if (allow.subarray(row * keys, (row + 1) * keys).some((cell: number) => cell === 1)) continue;
            const [b, query] = [Math.floor(row / queries), row % queries];
            for (let head = 0; head < heads; head++) {
              const at = ((b * heads + head) * queries + query) * width;
              for (const value of [y!, dq!])
                expect([...value.data.subarray(at, at + width)].every((number) => number === 0)).toBe(true);
            }
          }
        }),
        { numRuns: 100 },
      );
    },
  );

  it('hides everything from everyone without a NaN, also from keys and values', async () => {
    const nothing: HostMask = { expression: { kind: 'or', parts: [] }, operands: [] };
    const [q, k] = [seededValue([1, 4, 3, 2], 'f32', 'ordinary', 1), seededValue([1, 2, 5, 2], 'f32', 'ordinary', 2)];
    for (const decomposeFused of [false, true]) {
      for (const value of await viaExpression({ q, k, v: k, dy: q, masking: nothing }, decomposeFused)) {
        expect(value.data.every((number: number) => number === 0)).toBe(true);
      }
    }
  });

  it('keeps the gradient of masked keys and values at exactly 0', async () => {
    const [q, k] = [seededValue([1, 2, 3, 2], 'f32', 'ordinary', 1), seededValue([1, 2, 5, 2], 'f32', 'ordinary', 2)];
    const masking: HostMask = {
      expression: { kind: 'prefix', length: 0 },
      operands: [{ shape: [1], dtype: 'i32', data: Int32Array.of(3) }],
    };
    const [, , dk, dv] = await viaExpression({ q, k, v: k, dy: q, masking }, false);
    for (const gradient of [dk!, dv!]) {
      const hidden = [...gradient.data].filter((_, at) => Math.floor(at / 2) % 5 >= 3);
      expect(hidden.every((number) => number === 0)).toBe(true);
    }
  });

  it('stays finite for scores far beyond the range of e^x', async () => {
    const big = { ...seededValue([1, 1, 3, 2], 'f32', 'ordinary', 1) };
    const huge: HostTensor = { ...big, data: Float32Array.from(big.data, (x) => x * 1e4) };
    for (const value of await viaExpression(
      { q: huge, k: huge, v: big, dy: big, masking: { expression: { kind: 'causal', offset: null }, operands: [] } },
      false,
    )) {
      expect(value.data.every((number: number) => Number.isFinite(number))).toBe(true);
    }
  });
});

describe('attention weights', () => {
  it('are rows of probabilities that give attention when they weigh the values', async () => {
    const device = createReferenceDevice({ precision: 'f64' });
    const value = (seed: number, heads: number) => seededValue([2, heads, 4, 3], 'f32', 'ordinary', seed);
    const bottleneck = () =>
      mask.and(mask.causal(), mask.not(mask.segments(tensor(Int32Array.of(0, 1, 0, 1), [1, 4]))));
    const [q, k, v] = [value(1, 4), value(2, 2), value(3, 2)];
    const weights = await readBack(attentionWeights(toTensor(q), toTensor(k), { mask: bottleneck() }), device);
    const spread = broadcastTo(reshape(toTensor(v), [2, 2, 1, 4, 3]), [2, 2, 2, 4, 3]);
    const weighed = await readBack(matmul(toTensor(weights), reshape(spread, [2, 4, 4, 3])), device);
    const direct = await readBack(attention(toTensor(q), toTensor(k), toTensor(v), { mask: bottleneck() }), device);
    assertClose(weighed, direct, 'weights times values', { absolute: 1e-12 });
    const totals = await sum(toTensor(weights), -1).data(device);
    totals.forEach((total: number, row: number) => expect(total).toBeCloseTo(row % 4 === 0 ? 0 : 1, 12));
  });
});

describe.each(['f16', 'bf16'] as const)('keys and values stored as %s', (dtype) => {
  /** Magnitudes up to 200 for keys, up to 6·10^4 for values: scores in the hundreds, sums near the end of f16. */
  const magnitudes = fc.constantFrom([1, 1], [1, 3e4], [100, 1]);
  const stored = (value: HostTensor, magnitude: number): HostTensor => ({
    ...value,
    dtype,
    data: Uint16Array.from(value.data, (x) => encoderOf(dtype)(x * magnitude)),
  });
  const wide = (value: HostTensor): HostTensor => ({
    ...value,
    dtype: 'f32',
    data: Float32Array.from(value.data, decoderOf(dtype)),
  });

  it.each([false, true])(
    'give what the same numbers in f32 give; their gradients are rounded once (decomposed: %s)',
    async (decomposeFused) => {
      await fc.assert(
        fc.asyncProperty(examples, magnitudes, async (example, [ofKeys, ofValues]) => {
          const narrow = { ...example, k: stored(example.k, ofKeys!), v: stored(example.v, ofValues!) };
          const actual = await viaExpression(narrow, decomposeFused);
          const expected = await viaExpression({ ...narrow, k: wide(narrow.k), v: wide(narrow.v) }, decomposeFused);
          expected.forEach((value, i) => assertClose(actual[i]!, i < 2 ? value : stored(value, 1), names[i]!, exact));
        }),
        { numRuns: 60 },
      );
    },
  );

  it('are widened by the weights too', async () => {
    const device = createReferenceDevice();
    const [q, k] = [seededValue([1, 4, 3, 2], 'f32', 'ordinary', 1), seededValue([1, 2, 5, 2], dtype, 'ordinary', 2)];
    const actual = await readBack(attentionWeights(toTensor(q), toTensor(k)), device);
    assertClose(actual, await readBack(attentionWeights(toTensor(q), toTensor(wide(k))), device), 'weights', exact);
  });
});

describe('one tensor in several places', () => {
  it('gives it the sum of the gradients of its places, however the engine computes', async () => {
    const x = seededValue([1, 2, 3, 2], 'f32', 'ordinary', 5);
    const run = (decomposeFused: boolean, same: boolean): Promise<HostTensor[]> =>
      outputsOf(decomposeFused, [x, x, x, x], (q, k, v) => (same ? attention(q, q, q) : attention(q, k, v)));
    const [, dq, dk, dv] = await run(false, false);
    const total = { ...dq!, data: Float64Array.from(dq!.data, (value, i) => value + dk!.data[i]! + dv!.data[i]!) };
    for (const decomposeFused of [false, true])
      assertClose((await run(decomposeFused, true))[1]!, total, 'dx', { absolute: 1e-12 });
  });
});
