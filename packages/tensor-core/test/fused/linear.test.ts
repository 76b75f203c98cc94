/** Linear layers and tables in storage dtypes: what is computed, what gradients come back, what the graph does not hold. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DType,
  type Tensor,
  cast,
  compile,
  createReferenceDevice,
  embedding,
  evaluate,
  full,
  linear,
  linearTransposed,
  mul,
  sum,
  tensor,
  valueAndGrad,
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
const wide = (): ReturnType<typeof createReferenceDevice> => createReferenceDevice({ precision: 'f64' });

const arbitrary = fc.record({
  dtype: fc.constantFrom<DType>('f32', 'f16', 'bf16'),
  rows: fc.integer({ min: 1, max: 6 }),
  columns: fc.nat(6),
  count: fc.nat(4),
  seed: arbitrarySeed(),
});

const value = (shape: readonly number[], seed: number, dtype: DType = 'f32'): Tensor =>
  toTensor(seededValue(shape, dtype, 'ordinary', seed));

describe('a stored weight', () => {
  it('is read as the f32 numbers it means', () =>
    fc.assert(
      fc.asyncProperty(arbitrary, async ({ dtype, rows, columns, count, seed }) => {
        const device = wide();
        const weight = value([rows, columns], seed, dtype);
        const [x, back] = [value([count, columns], seed + 1), value([count, rows], seed + 2)];
        const ids = tensor(Int32Array.from({ length: count }, (_, i) => (5 * i) % rows));
        const dense = cast(weight, 'f32');
        const pairs = [
          [linear(x, weight, value([rows], seed + 3)), linear(x, dense, value([rows], seed + 3))],
          [linearTransposed(back, weight), linearTransposed(back, dense)],
          [embedding(weight, ids), embedding(dense, ids)],
          [
            vectorJacobianProduct([linear(x, weight)], [x], [back])[0]!,
            vectorJacobianProduct([linear(x, dense)], [x], [back])[0]!,
          ],
        ] as const;
        await evaluate(pairs, { device });
        for (const [i, [actual, expected]] of pairs.entries())
          assertClose(await readBack(actual), await readBack(expected), `pair ${i} in ${dtype}`, close);
      }),
    ));

  // A table's rows are rounded before they are added too: their cotangents pass the cast behind the lookup.
  it('gets its gradient in its own dtype', () =>
    fc.assert(
      fc.asyncProperty(arbitrary, async ({ dtype, rows, columns, count, seed }) => {
        const device = wide();
        const weight = value([rows, columns], seed, dtype);
        const [x, back] = [value([count, columns], seed + 1), value([count, rows], seed + 2)];
        const ids = tensor(Int32Array.from({ length: count }, (_, i) => (5 * i) % 2));
        const outputs = (w: Tensor): Tensor[] => [linear(x, w), linearTransposed(back, w), embedding(w, ids)];
        const cotangents = [back, x, x];
        for (const i of rows < 2 ? [0, 1] : [0, 1, 2]) {
          const dense = cast(weight, 'f32');
          const [actual] = vectorJacobianProduct([outputs(weight)[i]!], [weight], [cotangents[i]!]);
          const [expected] = vectorJacobianProduct([outputs(dense)[i]!], [dense], [cotangents[i]!]);
          expect(actual!.dtype).toBe(dtype);
          await evaluate([actual, expected], { device });
          const rounded = cast(expected!, dtype);
          const tolerance: Tolerance = i < 2 ? {} : { absolute: 0.1, relative: 2 ** -7 };
          assertClose(
            await readBack(actual!),
            await readBack(rounded, device),
            `gradient ${i} in ${dtype}`,
            dtype === 'f32' ? close : tolerance,
          );
        }
      }),
    ));

  it('is trained through f32 masters: the gradient comes back to them', async () => {
    const device = createReferenceDevice();
    const master = value([3, 4], 1);
    const x = value([2, 4], 2);
    const [, gradient] = valueAndGrad((w: Tensor) => sum(linear(x, cast(w, 'bf16'))))(master);
    const [, exactly] = valueAndGrad((w: Tensor) => sum(linear(x, w)))(master);
    expect(gradient.dtype).toBe('f32');
    assertClose(await readBack(gradient, device), await readBack(exactly, device), 'gradient', { relative: 2 ** -7 });
  });
});

describe('a frozen weight', () => {
  it('costs no gradient step', () => {
    const x = full([2, 4], 1);
    for (const dtype of ['f32', 'bf16'] as const) {
      const gradient = compile(
        (given: Tensor, weight: Tensor) => valueAndGrad((v: Tensor) => sum(mul(linear(v, weight), 2)))(given)[1],
        { device: createReferenceDevice() },
      );
      const plan = gradient.plan(x, full([3, 4], 0.5, dtype));
      const shapes = plan.steps.flatMap((step) => step.outputs).map((place) => plan.values[place]!.shape);
      expect(shapes).not.toContainEqual([3, 4]);
    }
  });
});

describe('errors', () => {
  it('name the weight that is no weight', () => {
    expect(() => linear(full([1, 2], 0), full([3, 2], 0, 'i32'))).toThrow(
      /linear: a weight is f32, f16, bf16 or a QuantizedTensor, got i32\[3, 2\]/,
    );
    expect(() => linear(full([1, 2], 0, 'f16'), full([3, 2], 0))).toThrow(/linear computes in f32, got f16/);
    expect(() => linear(full([1, 2], 0), full([3, 2], 0), full([3], 0, 'bf16'))).toThrow(
      /linear computes in f32, got .*bf16/,
    );
    expect(() => linearTransposed(full([1, 2], 0), full([3, 2], 0, 'f16'))).toThrow(
      /x \[1, 2\] does not fit weight f16\[3, 2\]/,
    );
  });

  it('name an id without a row', async () => {
    const rows = embedding(full([3, 2], 0), tensor(Int32Array.of(1, 3)));
    await expect(rows.data(createReferenceDevice())).rejects.toThrow(/index 3 is outside the table's 3 rows/);
  });
});
