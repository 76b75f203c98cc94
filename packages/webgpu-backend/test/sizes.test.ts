/** Kernels at sizes around the ones they are cut for: workgroups of 64, tiles of 16, chunks of 64 keys, 65,535 workgroups. */
import * as t from '@mindseye/tensor-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openDevice } from '../src/index.js';
import { distance, expectAgreement, gpu, indices, reference, values } from './support.js';

const length = fc.constantFrom(0, 1, 2, 15, 16, 17, 33, 63, 64, 65, 100);
const nonzero = length.filter((size) => size > 0);
const runs = { numRuns: 12 };

test('matmul: every transposition, batches, lengths 0 and 1, beside tiles', async () => {
  const property = fc.asyncProperty(
    length,
    length,
    length,
    fc.integer({ min: 0, max: 3 }),
    fc.boolean(),
    fc.boolean(),
    (m, n, k, batch, transposeA, transposeB) =>
      expectAgreement(() => {
        const a = values([batch, ...(transposeA ? [k, m] : [m, k])], 1);
        const b = values([batch, ...(transposeB ? [n, k] : [k, n])], 2);
        return t.matmul(a, b, { transposeA, transposeB });
      }, 2e-6),
  );
  await fc.assert(property, { numRuns: 24 });
});

test('linear layers of few and many rows, stored in any float, and their products the other way round', async () => {
  const rows = fc.constantFrom(0, 1, 2, 3, 4, 5, 17);
  const stored = fc.constantFrom('f32', 'f16', 'bf16');
  const property = fc.asyncProperty(rows, length, length, stored, fc.boolean(), (m, n, k, dtype, hasBias) =>
    expectAgreement(() => {
      const weight = t.cast(values([n, k], 1), dtype as t.DType);
      const y = t.linear(values([m, k], 2), weight, hasBias ? values([n], 3) : undefined);
      return [y, t.linearTransposed(values([m, n], 4), weight)];
    }, 2e-6),
  );
  await fc.assert(property, { numRuns: 30 });
});

test('sum, max and argmax over any axes', async () => {
  const property = fc.asyncProperty(
    length,
    length,
    fc.integer({ min: 1, max: 3 }),
    fc.subarray([0, 1, 2]),
    fc.boolean(),
    (a, b, c, axes, keep) =>
      expectAgreement(() => {
        const x = (): t.Tensor => values([a, c, b], 3);
        const best = b > 0 ? [t.argmax(x())] : [];
        return [t.sum(x(), axes, keep), t.max(x(), axes, keep), ...best];
      }, 2e-6),
  );
  await fc.assert(property, runs);
});

test('softmax and norms, forward and gradient, over rows of any length', async () => {
  const gradient = (f: (x: t.Tensor) => t.Tensor, x: t.Tensor): t.Tensor =>
    t.grad((at: t.Tensor) => t.sum(t.mul(f(at), values(x.shape, 9))))(x);
  const property = fc.asyncProperty(length, nonzero, (rows, width) =>
    expectAgreement(() => {
      const x = (): t.Tensor => values([rows, width], 4);
      const w = (): t.Tensor => values([width], 5);
      return [
        t.softmax(x()),
        t.rmsNorm(x(), w()),
        t.layerNorm(x(), w(), values([width], 6)),
        gradient(t.softmax, x()),
        gradient((at) => t.rmsNorm(at, w()), x()),
        gradient((at) => t.rmsNorm(x(), at), w()),
        gradient((at) => t.layerNorm(at, w(), values([width], 6), 1e-2), x()),
      ];
    }, 1e-5),
  );
  await fc.assert(property, runs);
});

const masks: Readonly<Record<string, (queries: number, keys: number) => t.Mask | undefined>> = {
  none: () => undefined,
  causal: () => t.mask.causal(),
  'causal with offset': (queries, keys) => t.mask.causal(t.tensor(Int32Array.of(keys - queries))),
  'segments of both': (queries, keys) => t.mask.segments(indices([2, queries], 3, 7), indices([2, keys], 3, 8)),
  'window after cached keys': (queries, keys) => {
    const offset = t.tensor(Int32Array.of(keys - queries, 3));
    return t.mask.and(t.mask.causal(offset), t.mask.window(9, offset));
  },
  'roles outside the table': (queries, keys) =>
    t.mask.roles(
      t.sub(indices([2, queries], 6, 3), t.tensor(Int32Array.of(2))),
      [
        [true, false],
        [true, true],
      ],
      t.sub(indices([1, keys], 6, 4), t.tensor(Int32Array.of(2))),
    ),
  'a table of more words than one': (queries, keys) =>
    t.mask.roles(
      indices([1, queries], 9, 3),
      Array.from({ length: 9 }, (_, row) => Array.from({ length: 7 }, (_unused, column) => (row * 7 + column) % 3 > 0)),
      indices([2, keys], 7, 4),
    ),
  'window, not prefix': () => t.mask.and(t.mask.window(9), t.mask.not(t.mask.prefix(indices([2], 20, 9)))),
  'roles or dense': (queries, keys) =>
    t.mask.or(
      t.mask.roles(
        indices([1, queries], 2, 3),
        [
          [true, false],
          [false, true],
        ],
        indices([1, keys], 2, 4),
      ),
      t.mask.dense(t.cast(indices([1, queries, keys], 2, 5), 'bool')),
    ),
};

test.each(Object.keys(masks))('attention, forward and all gradients, mask: %s', async (name) => {
  const width = fc.constantFrom(1, 16, 65);
  const nonzero = fc.constantFrom(1, 17, 65);
  const property = fc.asyncProperty(
    nonzero,
    nonzero,
    width,
    fc.constantFrom([2, 1], [2, 2], [4, 2]),
    (queries, keys, d, [heads, keyHeads]) =>
      expectAgreement(() => {
        const attend = (q: t.Tensor, k: t.Tensor, v: t.Tensor): t.Tensor => {
          const mask = masks[name]!(queries, keys);
          return t.attention(q, k, v, mask ? { mask } : {});
        };
        const operands = (): [t.Tensor, t.Tensor, t.Tensor] => [
          values([2, heads!, queries, d], 1),
          values([2, keyHeads!, keys, d], 2),
          values([2, keyHeads!, keys, d], 3),
        ];
        const weigh = (q: t.Tensor, k: t.Tensor, v: t.Tensor): t.Tensor =>
          t.sum(t.mul(attend(q, k, v), values(q.shape, 4)));
        const [q, k, v] = operands();
        const gradients = t.grad((given: { q: t.Tensor; k: t.Tensor; v: t.Tensor }) =>
          weigh(given.q, given.k, given.v),
        )({ q, k, v });
        return [attend(...operands()), gradients.q, gradients.k, gradients.v];
      }, 1e-5),
  );
  await fc.assert(property, { numRuns: 2 });
});

test.each(Object.keys(masks))('attention over keys and values of 16 bits, mask: %s', async (name) => {
  const nonzero = fc.constantFrom(1, 17, 65);
  // Even widths are read by words, odd ones straddle them.
  const width = fc.constantFrom(1, 16, 65, 66);
  const stored = fc.constantFrom<t.DType>('f16', 'bf16');
  const heads = fc.constantFrom([2, 1], [2, 2], [4, 2]);
  const property = fc.asyncProperty(nonzero, nonzero, width, heads, stored, (queries, keys, d, [all, shared], dtype) =>
    expectAgreement(() => {
      const mask = masks[name]!(queries, keys);
      const narrow = (seed: number): t.Tensor => t.cast(values([2, shared!, keys, d], seed), dtype);
      return t.attention(values([2, all!, queries, d], 1), narrow(2), narrow(3), mask ? { mask } : {});
    }, 1e-5),
  );
  await fc.assert(property, { numRuns: 3 });
});

test.each(['f32', 'f16', 'bf16'] as const)('chunks of values that nobody weighs are not read: %s', async (dtype) => {
  const [capacity, written, width] = [200, 60, 4];
  // Keys go by in chunks of 64: one that is looked at in part is read whole.
  const poisoned = Float32Array.from({ length: 2 * capacity * width }, (_, at) =>
    Math.floor(at / width) % capacity < 64 ? at % 7 : Number.NaN,
  );
  const cache = (): t.Tensor => t.cast(t.tensor(poisoned, [1, 2, capacity, width]), dtype);
  const mask = t.mask.prefix(t.tensor(Int32Array.of(written)));
  const y = t.attention(values([1, 4, 3, width], 1), cache(), cache(), { mask });
  expect((await y.data(gpu)).every(Number.isFinite)).toBe(true);
});

test('attention over several chunks of keys whose scores keep growing', async () => {
  const rising = (length: number): t.Tensor =>
    t.tensor(
      Float32Array.from({ length: length * 4 }, (_, i) => Math.floor(i / 4) / 20),
      [1, 1, length, 4],
    );
  await expectAgreement(() => t.attention(rising(3), rising(200), values([1, 1, 200, 4], 1)), 1e-5);
  await expectAgreement(() => t.attention(rising(3), t.neg(rising(200)), values([1, 1, 200, 4], 1)), 1e-5);
});

test('moves over many axes, and rows by index', async () => {
  const property = fc.asyncProperty(nonzero, nonzero, fc.integer({ min: 1, max: 3 }), (a, b, c) =>
    expectAgreement(() => {
      const x = (): t.Tensor => values([a, c, b, 2], 1);
      const rows = (): t.Tensor => values([a, b], 2);
      const at = indices([70], a, 3);
      return [
        t.permute(x(), [3, 1, 0, 2]),
        t.pad(x(), [1, 0, 2, 0], [0, 3, 0, 1]),
        t.concat([x(), x(), x()], 2),
        t.slice(t.slice(x(), 0, a >> 1), 2, b >> 1),
        t.gather(rows(), at),
        t.scatterAdd(values([70, b], 4), at, a + 1),
        t.updateSlice(x(), values([a, c, 1, 2], 5), indices([1], b, 6), 2),
        t.add(t.broadcastTo(values([c, 1, 2], 7), [a, c, b, 2]), x()),
      ];
    }, 1e-6),
  );
  await fc.assert(property, runs);
});

test('more than 65,535 workgroups in one dispatch', async () => {
  const elements = 64 * (gpu.adapter.limits.maxComputeWorkgroupsPerDimension + 3) + 5;
  const counted = await t.arange(elements).data(gpu);
  expect(counted.findIndex((value: number, i: number) => value !== i)).toBe(-1);
});

test('grids folded at a small limit cover every element of every kind of kernel', async () => {
  const narrow = await openDevice({ limits: { maxComputeWorkgroupsPerDimension: 5 } });
  const build = (): t.Tensor[] => [
    t.mul(values([7, 131], 1), values([131], 2)),
    t.sum(values([37, 20], 3), 1),
    t.sum(values([400, 3], 3), 1),
    t.matmul(values([3, 50, 20], 4), values([3, 20, 40], 5)),
    t.scatterAdd(values([30, 3], 6), indices([30], 41, 7), 41),
    t.softmax(values([23, 9], 8)),
    t.attention(values([2, 3, 11, 4], 9), values([2, 3, 11, 4], 10), values([2, 3, 11, 4], 11)),
    t.randomBits(t.tensor(Uint32Array.of(1, 2)), [2000], 3),
  ];
  const expected = build();
  for (const [i, actual] of build().entries())
    expect(
      distance(await actual.data(narrow), await expected[i]!.data(reference)),
      expected[i]!.toString(),
    ).toBeLessThan(1e-5);
});

test('random words and dropout choices are those of the reference, bit for bit', async () => {
  const property = fc.asyncProperty(
    fc.nat(0xffffffff),
    fc.nat(0xffffffff),
    fc.nat(0xffffffff),
    fc.nat(300),
    (low, high, stream, count) =>
      expectAgreement(() => {
        const seed = (): t.Tensor => t.tensor(Uint32Array.of(low, high));
        return [
          t.randomBits(seed(), [count], stream),
          t.randomUniform(seed(), [count, 3], stream),
          t.dropout(t.full([count], 1), 0.25, seed(), stream),
        ];
      }, 1e-7),
  );
  await fc.assert(property, { numRuns: 20 });
});

test('sine and cosine of large angles, and the ends of tanh, sigmoid and erf', async () => {
  const angles = (): t.Tensor => t.tensor(Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) * 6.28347));
  const near = (): t.Tensor => t.tensor(Float32Array.from({ length: 2001 }, (_, i) => ((i - 1000) / 1000) ** 3 * 8));
  const far = (): t.Tensor => t.tensor([-1e30, -200, -90, 90, 200, 1e30]);
  await expectAgreement(() => [t.sin(angles()), t.cos(angles())], 4e-7);
  for (const x of [near, far])
    await expectAgreement(() => [t.tanh(x()), t.sigmoid(x()), t.erf(x()), t.exp(t.minimum(x(), 80))], 4e-7);
});

test('results repeat bit for bit', async () => {
  const build = (): t.Tensor =>
    t.scatterAdd(t.matmul(values([130, 65], 1), values([65, 33], 2)), indices([130], 7, 3), 7);
  expect(await build().data(gpu)).toEqual(await build().data(gpu));
});
