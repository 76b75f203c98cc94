/** Products, rows and gradients with quantised weights against the same with the dense matrix they stand for. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  GradientError,
  type Tensor,
  type Weight,
  add,
  createReferenceDevice,
  dequantize,
  embedding,
  full,
  linear,
  linearTransposed,
  quantize,
  sum,
  tanh,
  tensor,
  vectorJacobianProduct,
} from '../../src/index.js';
import {
  type Tolerance,
  arbitrarySeed,
  assertClose,
  readBack,
  seededValue,
  toTensor,
} from '../../src/testing/index.js';

const close: Tolerance = { absolute: 1e-9, relative: 1e-7, norm: 1e-9 };

const arbitrary = fc
  .record({
    rows: fc.integer({ min: 1, max: 7 }),
    columns: fc.integer({ min: 1, max: 150 }),
    count: fc.nat(4),
    seed: arbitrarySeed(),
    biased: fc.boolean(),
    options: fc.record({
      bits: fc.constantFrom(4 as const, 8 as const),
      groupSize: fc.constantFrom(32 as const, 64 as const, 128 as const),
      symmetric: fc.boolean(),
      scaleDtype: fc.constantFrom('f32' as const, 'f16' as const, 'bf16' as const),
    }),
  })
  .map(({ rows, columns, count, seed, biased, options }) => () => {
    const of = (shape: number[], offset: number): Tensor =>
      toTensor(seededValue(shape, 'f32', 'ordinary', seed + offset));
    return {
      q: quantize(of([rows, columns], 0), options),
      x: of([count, columns], 1),
      back: of([count, rows], 2),
      bias: biased ? of([rows], 3) : undefined,
      ids: tensor(Int32Array.from({ length: count }, (_, i) => (i * 3) % rows)),
      adapter: { down: of([2, columns], 4), up: of([rows, 2], 5) },
    };
  });

type Operands = ReturnType<typeof arbitrary extends fc.Arbitrary<infer Make> ? Make : never>;

/** Builds the same from new operands twice, with the quantised weight and with the dense one, and compares in 64 bits. */
const compare = (build: (operands: Operands, weight: Weight) => readonly Tensor[]): Promise<void> =>
  fc.assert(
    fc.asyncProperty(arbitrary, async (make) => {
      const [one, other] = [make(), make()];
      const pairs = [build(one, one.q), build(other, dequantize(other.q))] as const;
      const device = createReferenceDevice({ precision: 'f64' });
      for (const [i, expected] of pairs[1].entries())
        assertClose(await readBack(pairs[0][i]!, device), await readBack(expected, device), `result ${i}`, close);
    }),
  );

describe('with a quantised weight', () => {
  it('linear is linear with the dense weight', () => compare(({ x, bias }, weight) => [linear(x, weight, bias)]));

  it('linearTransposed is the product with the dense weight', () =>
    compare(({ back }, weight) => [linearTransposed(back, weight)]));

  it('embedding picks rows of the dense table', () => compare(({ ids }, weight) => [embedding(weight, ids)]));

  it('gradients reach x, the bias and an adapter beside frozen codes (QLoRA)', () =>
    compare(({ x, bias, back, adapter: { down, up } }, weight) => {
      const y = tanh(add(linear(x, weight, bias), linear(linear(x, down), up)));
      return vectorJacobianProduct([y], [x, down, up, ...(bias ? [bias] : [])], [back]);
    }));

  it('and pass through the product and its transpose twice', () =>
    compare(({ x, back }, weight) => {
      const y = tanh(linear(tanh(linearTransposed(tanh(linear(x, weight)), weight)), weight));
      const [dx] = vectorJacobianProduct([y], [x], [back]);
      return vectorJacobianProduct([sum(tanh(dx!))], [x], [full([], 1)]);
    }));

  it('scales and offsets have gradients, codes have none', async () => {
    const q = quantize(tensor([[1, 2, -3]]), { bits: 8, groupSize: 32, symmetric: false, scaleDtype: 'f32' });
    const x = tensor([[1, 1, 2]]);
    const y = sum(linear(x, q));
    const [dScales, dOffsets] = vectorJacobianProduct([y], [q.scales, q.offsets!], [full([], 1)]);
    const device = createReferenceDevice();
    // codes of 1, 2, −3 are 204, 255, 0
    expect([...(await dScales!.data(device))]).toEqual([459]);
    expect([...(await dOffsets!.data(device))]).toEqual([4]);
    expect(() => vectorJacobianProduct([y], [q.codes], [full([], 1)])).toThrow(GradientError);
    expect(() => vectorJacobianProduct([sum(dequantize(q))], [q.codes], [full([], 1)])).toThrow(
      /dequantize gives no gradient for its input 0/,
    );
  });
});

describe('shape errors', () => {
  it('name x and the weight', () => {
    const q = quantize(full([4, 40], 1), { bits: 4, groupSize: 32 });
    expect(() => linear(full([2, 39], 0), q)).toThrow(/quantizedLinear: x \[2, 39\] do not fit the weight \[4, 40\]/);
    expect(() => linear(full([2, 40], 0), q, full([3], 0))).toThrow(/bias \[3\]/);
    expect(() => linear(full([2, 40], 0, 'bf16'), q)).toThrow(/quantizedLinear computes in f32, got bf16/);
    expect(() => embedding(full([4], 0), tensor(Int32Array.of(0)))).toThrow(/embedding takes a table \[rows, width\]/);
  });
});
