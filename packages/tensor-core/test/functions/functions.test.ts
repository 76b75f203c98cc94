/** Functions without an op of their own against plain definitions, and at their edges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DType,
  type Tensor,
  all,
  any,
  clamp,
  createReferenceDevice,
  entropy,
  expandDims,
  full,
  logSoftmax,
  logSumExp,
  min,
  oneHot,
  pow,
  square,
  squeeze,
  stack,
  standardDeviation,
  tensor,
  tokenLogProbabilities,
  variance,
  vectorJacobianProduct,
} from '../../src/index.js';
import {
  arbitraryIndices,
  arbitrarySeed,
  arbitraryShape,
  arbitraryTensor,
  arbitraryValue,
  readBack,
  seededValue,
  toTensor,
} from '../../src/testing/index.js';

const device = createReferenceDevice();
const read = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];
const f32 = (...values: number[]): Tensor => tensor(Float32Array.from(values));
const i32 = (...values: number[]): Tensor => tensor(Int32Array.from(values));

/** The gradient of Σ c·fn(x) with c = 1, 2, 3, … */
async function gradientAt(fn: (x: Tensor) => Tensor, x: Tensor): Promise<number[]> {
  const y = fn(x);
  const cotangent = tensor(
    Float32Array.from({ length: y.size }, (_, i) => i + 1),
    y.shape,
  );
  return read(vectorJacobianProduct([y], [x], [cotangent])[0]!);
}

describe('pow', () => {
  it('is repeated multiplication for whole exponents, of any sign of x', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: -9, max: 9 }),
        async (values, exponent) => {
          const actual = await read(pow(f32(...values), exponent));
          actual.forEach((y, i) => {
            const expected = Math.fround(values[i]!) ** exponent;
            if (Number.isFinite(Math.fround(expected)) && Math.abs(expected) > 1e-30)
              expect(Math.abs(y - expected)).toBeLessThanOrEqual(4e-6 * Math.abs(expected));
          });
        },
      ),
    );
  });

  it('follows PyTorch where there is no real power, and at 0', async () => {
    expect(await read(pow(f32(-1, 0, 4), 0.5))).toEqual([Number.NaN, 0, 2]);
    expect(await read(pow(f32(-1, 0, 4), 1.5))).toEqual([Number.NaN, 0, expect.closeTo(8, 4)]);
    expect(await read(pow(f32(-2, 0, 3), 0))).toEqual([1, 1, 1]);
    expect(await read(pow(f32(-2, 0, 4), -1))).toEqual([-0.5, Infinity, 0.25]);
    expect(await gradientAt((x) => pow(x, 1.5), f32(0))).toEqual([0]);
    expect(await gradientAt((x) => pow(x, 2), f32(0, -3))).toEqual([0, -12]);
    expect(await gradientAt((x) => pow(x, 0.75), f32(0))).toEqual([Infinity]);
    expect(await gradientAt((x) => pow(x, 0), f32(5))).toEqual([0]);
    expect(await read(pow(i32(-3, 2), 3))).toEqual([-27, 8]);
    expect(() => pow(f32(1), Number.NaN)).toThrow(/pow: the exponent is NaN, it must be a finite number/);
  });
});

describe('clamp and square', () => {
  it('let gradients through inside and on the bounds', async () => {
    expect(await read(clamp(f32(-2, -1, 0, 1, 2), -1, 1))).toEqual([-1, -1, 0, 1, 1]);
    expect(await gradientAt((x) => clamp(x, -1, 1), f32(-2, -1, 0, 1, 2))).toEqual([0, 2, 3, 4, 0]);
    expect(await read(clamp(f32(1, 5), f32(2, 0), f32(3, 4)))).toEqual([2, 4]);
    expect(await gradientAt(square, f32(-3, 2))).toEqual([-6, 8]);
  });
});

describe('axes', () => {
  it('put in axes of size 1 and take them out again', () => {
    expect(expandDims(full([2, 3], 0), 1).shape).toEqual([2, 1, 3]);
    expect(expandDims(full([2, 3], 0), -1).shape).toEqual([2, 3, 1]);
    expect(expandDims(full([2], 0), [0, 2, 3]).shape).toEqual([1, 2, 1, 1]);
    expect(squeeze(full([1, 2, 1], 0)).shape).toEqual([2]);
    expect(squeeze(full([1, 2, 1], 0), -1).shape).toEqual([1, 2]);
    fc.assert(
      fc.property(arbitraryShape({ maxRank: 3 }), fc.integer({ min: -4, max: 3 }), (shape, axis) => {
        fc.pre(axis >= -shape.length - 1 && axis <= shape.length);
        const lifted = expandDims(full(shape, 0), axis);
        expect(lifted.shape.at(axis)).toBe(1);
        expect(squeeze(lifted, axis).shape).toEqual(shape);
      }),
    );
    expect(() => squeeze(full([2, 1], 0), 0)).toThrow(/squeeze: axis 0 of f32\[2, 1\] has size 2, not 1/);
    expect(() => expandDims(full([2], 0), [0, -3])).toThrow(/expandDims: axes \[0, -3\] name one axis twice/);
  });

  it('stack: gather along the new axis gives the parts back', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryTensor('f32', 'ordinary', { maxRank: 2, maxLength: 3 }),
        fc.nat(2),
        async (part, place) => {
          const axis = Math.min(place, part.shape.length);
          const stacked = await readBack(stack([toTensor(part), full(part.shape, 7)], axis), device);
          expect(stacked.shape).toEqual(part.shape.toSpliced(axis, 0, 2));
          const inner = part.shape.slice(axis).reduce((a, b) => a * b, 1);
          part.data.forEach((value: number, i: number) => {
            const at = inner === 0 ? 0 : Math.floor(i / inner) * 2 * inner + (i % inner);
            expect([stacked.data[at], stacked.data[at + inner]]).toEqual([value, 7]);
          });
        },
      ),
    );
    expect(() => stack([])).toThrow(/stack needs at least one tensor/);
    expect(() => stack([full([2], 0), full([3], 0)])).toThrow(/stack: f32\[3\] is not like f32\[2\]/);
  });
});

describe('oneHot', () => {
  it('is 1 at the id and nowhere else', async () => {
    expect(await read(oneHot(i32(2, -1, 0, 3), 3))).toEqual([0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect(oneHot(tensor(new Int32Array(6), [2, 3]), 4, 'bool')).toMatchObject({ shape: [2, 3, 4], dtype: 'bool' });
    expect(() => oneHot(f32(1), 3)).toThrow(/oneHot takes i32 ids, got f32\[1\]/);
  });
});

describe('logSumExp and logSoftmax', () => {
  it('neither overflow nor underflow', async () => {
    expect(await read(logSumExp(f32(1e30, 1e30, 0)))).toEqual([Math.fround(1e30)]);
    expect(await read(logSumExp(f32(-3e38, -Infinity)))).toEqual([Math.fround(-3e38)]);
    expect(await read(logSoftmax(f32(0, -1000)))).toEqual([0, -1000]);
    expect(await read(logSumExp(f32(Infinity, 1)))).toEqual([Infinity]);
    expect(await read(logSumExp(f32(Number.NaN, 1)))).toEqual([Number.NaN]);
  });

  it('give -Infinity and no gradient where nothing is possible', async () => {
    expect(await read(logSumExp(f32(-Infinity, -Infinity)))).toEqual([-Infinity]);
    expect(await read(logSumExp(tensor(new Float32Array(0), [2, 0]), 1))).toEqual([-Infinity, -Infinity]);
    expect(await gradientAt((x) => logSumExp(x), f32(-Infinity, -Infinity))).toEqual([0, 0]);
    expect(await gradientAt((x) => logSumExp(x), f32(-Infinity, 3))).toEqual([0, 1]);
  });

  it('keep axes where asked, and reduce all when none is named', () => {
    expect(logSumExp(full([2, 3, 4], 0), [0, 2], true).shape).toEqual([1, 3, 1]);
    expect(logSumExp(full([2, 3, 4], 0), 1).shape).toEqual([2, 4]);
    expect(logSumExp(full([2, 3], 0)).shape).toEqual([]);
  });
});

describe('entropy', () => {
  it('is log n for n equal classes and 0 for one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.float({ min: -1e6, max: 1e6, noNaN: true }),
        async (n, x) => {
          expect(await entropy(full([n], x)).item(device)).toBeCloseTo(Math.log(n), 5);
        },
      ),
    );
    expect(await read(entropy(f32(1000, -1000, -1e30)))).toEqual([0]);
  });

  it('counts impossible classes as nothing, in value and gradient', async () => {
    expect(await entropy(f32(0, -Infinity, 0)).item(device)).toBeCloseTo(Math.log(2), 6);
    const gradient = await gradientAt(entropy, f32(0, -Infinity, 1));
    const without = await gradientAt(entropy, f32(0, 1));
    expect(gradient[1]).toBe(0);
    expect([gradient[0], gradient[2]]).toEqual(without);
    expect(await read(entropy(full([2, 3], -Infinity)))).toEqual([0, 0]);
    expect(await gradientAt(entropy, f32(-Infinity, -Infinity))).toEqual([0, 0]);
  });
});

describe('tokenLogProbabilities', () => {
  it('picks from logSoftmax, and passes over -100', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitraryShape({ maxRank: 2, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        arbitrarySeed(),
        async (lead, classes, seed) => {
          const logits = seededValue([...lead, classes], 'f32', 'moderate', seed);
          const [ids] = fc.sample(arbitraryIndices(lead, classes), { numRuns: 1, seed });
          const actual = await read(tokenLogProbabilities(toTensor(logits), toTensor(ids!)));
          const expected = await read(logSoftmax(toTensor(logits)));
          actual.forEach((value, i) => {
            const wanted = expected[i * classes + ids!.data[i]!]!;
            expect(Math.abs(value - wanted)).toBeLessThanOrEqual(1e-5 + 1e-5 * Math.abs(wanted));
          });
        },
      ),
      { numRuns: 40 },
    );
    expect(await read(tokenLogProbabilities(full([2, 4], 3), i32(-100, 2)))).toEqual([
      expect.closeTo(0, 10),
      expect.closeTo(-Math.log(4)),
    ]);
    expect(() => tokenLogProbabilities(full([2, 4], 0), i32(1))).toThrow(
      /tokenLogProbabilities: logits f32\[2, 4\] and ids i32\[1\] do not fit/,
    );
  });
});

describe('min, any, all', () => {
  const lowest: Readonly<Record<string, number>> = { f32: Infinity, i32: 0x7fffffff, u32: 0xffffffff, bool: 1 };
  it.each(['f32', 'i32', 'u32', 'bool'] as DType[])('min of %s is what a loop finds', async (dtype) => {
    const range = dtype === 'f32' ? 'special' : dtype === 'bool' ? 'bits' : 'words';
    await fc.assert(
      fc.asyncProperty(
        arbitraryShape({ minRank: 2, maxRank: 2, maxLength: 4 }).chain((shape) => arbitraryValue(shape, dtype, range)),
        async ({ shape, data }) => {
          const [rows, width] = shape as [number, number];
          const expected = Array.from({ length: rows }, (_, row) =>
            [...data.subarray(row * width, (row + 1) * width)].reduce((a, b) => Math.min(a, b), lowest[dtype]!),
          );
          const actual = await read(min(tensor(data.slice(), shape, { dtype }), 1));
          expect(actual.map((x) => x + 0)).toEqual(expected.map((x) => x + 0)); // + 0: either zero will do
        },
      ),
    );
  });

  it('any and all of nothing and of something', async () => {
    const flags = tensor(Uint8Array.of(0, 0, 0, 1, 1, 1), [3, 2]);
    expect(await read(any(flags, 1))).toEqual([0, 1, 1]);
    expect(await read(all(flags, 1))).toEqual([0, 0, 1]);
    expect(await read(any(tensor(new Uint8Array(0), [1, 0]), 1))).toEqual([0]);
    expect(await read(all(tensor(new Uint8Array(0), [1, 0]), 1))).toEqual([1]);
    expect(all(flags, 0, true)).toMatchObject({ shape: [1, 2], dtype: 'bool' });
    expect(() => any(f32(1))).toThrow(/any takes bool, got f32\[1\]/);
    expect(() => min(full([2], 0, 'bf16'))).toThrow(/min does not compare bf16\[2\]/);
  });

  it('min sends its gradient to the smallest, shared on ties', async () => {
    expect(await gradientAt((x) => min(x), f32(3, 1, 2))).toEqual([0, 1, 0]);
    expect(await gradientAt((x) => min(x), f32(1, 1, 2))).toEqual([0.5, 0.5, 0]);
  });
});

describe('variance', () => {
  it('has the edges of torch.var', async () => {
    expect(await variance(f32(1, 0, 0, 1)).item(device)).toBeCloseTo(1 / 3, 6);
    expect(await read(variance(f32(5)))).toEqual([Number.NaN]);
    expect(await read(variance(f32(5), 0, { correction: 0 }))).toEqual([0]);
    expect(await variance(f32(1e6, 1e6 + 1)).item(device)).toBe(0.5);
    // Group advantages of GRPO: (r − mean) / (std + 1e-4) with the unbiased deviation.
    const deviation = await standardDeviation(f32(1, 0, 0, 1)).item(device);
    expect(0.5 / (deviation + 1e-4)).toBeCloseTo(0.865875, 6);
  });
});
