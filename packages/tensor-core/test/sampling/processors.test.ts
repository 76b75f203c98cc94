/** Properties and edges of the logits processors. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  type TensorLike,
  applyRepetitionPenalty,
  applyTemperature,
  compile,
  createReferenceDevice,
  full,
  keepMinP,
  keepTopK,
  keepTopP,
  massThreshold,
  multiHot,
  suppressTokens,
  sum,
  tensor,
  vectorJacobianProduct,
} from '../../src/index.js';
import { runReference, seededValue, toTensor } from '../../src/testing/index.js';
import { massThresholdOp } from '../../src/sampling/mass-threshold.js';

const devices = {
  loops: createReferenceDevice(),
  primitives: createReferenceDevice({ decomposeFused: true }),
};
const rowOf = (values: readonly number[]): Tensor => tensor(Float32Array.from(values), [1, values.length]);
const idsOf = (...rows: number[][]): Tensor => tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);

const nan = Number.NaN;
const none = -Infinity;

/** Logits with many ties, -Infinity among them, at least one possible. */
const tied = fc
  .array(fc.constantFrom(none, -2, -1.5, 0, 0.25, 1, 3), { minLength: 1, maxLength: 12 })
  .filter((row) => row.some((value) => value > none));

describe.each(Object.keys(devices) as (keyof typeof devices)[])('through %s', (kind) => {
  const device = devices[kind];
  const read = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];

  describe('keepTopK', () => {
    it('keeps what is not below the k-th largest', async () => {
      await fc.assert(
        fc.asyncProperty(tied, fc.integer({ min: 1, max: 14 }), async (row, k) => {
          const kth = row.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0))[k - 1] ?? none;
          expect(await read(keepTopK(rowOf(row), k))).toEqual(row.map((value) => (value < kth ? none : value)));
        }),
        { numRuns: 50 },
      );
    });

    it('keeps everything for 0, and for at least as many as there are classes', async () => {
      const row = [1, none, 3, -4];
      for (const k of [0, 4, 5, 1e6]) expect(await read(keepTopK(rowOf(row), k))).toEqual(row);
      for (const k of [-3, 0, 99]) expect(await read(keepTopK(rowOf(row), tensor(k)))).toEqual(row);
    });

    it('takes a k per row, one class, and all magnitudes', async () => {
      const rows = tensor(Float32Array.of(3, 1, 2, 3, 1, 2, 3, 1, 2), [3, 3]);
      expect(await read(keepTopK(rows, tensor(Int32Array.of(1, 2, 0))))).toEqual([3, none, none, 3, none, 2, 3, 1, 2]);
      expect(await read(keepTopK(rowOf([-7]), 1))).toEqual([-7]);
      const wide = [1e-45, -1e-45, 3.4e38, -3.4e38, 0].map(Math.fround);
      expect(await read(keepTopK(rowOf(wide), 3))).toEqual([wide[0], none, wide[2], none, 0]);
      expect(await read(keepTopK(rowOf(wide), 4))).toEqual([wide[0], wide[1], wide[2], none, 0]);
    });

    it('leaves NaN where a broken model put it', async () => {
      expect(await read(keepTopK(rowOf([1, nan, 3]), 1))).toEqual([none, nan, 3]);
    });
  });

  describe('keepTopP', () => {
    /** The classes whose better ones hold less than p; p lies between two sums, so that rounding decides nothing. */
    it('keeps a class while the classes above it hold less than p', async () => {
      await fc.assert(
        fc.asyncProperty(tied, fc.double({ min: 0.001, max: 0.999, noNaN: true }), async (row, p) => {
          const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
          const above = row.map((value) =>
            row.reduce((sum, other) => sum + (other > value ? Math.exp(other) : 0) / total, 0),
          );
          fc.pre(above.every((mass) => Math.abs(mass - p) > 1e-5));
          expect(await read(keepTopP(rowOf(row), p))).toEqual(row.map((value, i) => (above[i]! < p ? value : none)));
        }),
        { numRuns: 80 },
      );
    });

    it('keeps everything for 1, and the best with its equals for 0', async () => {
      const row = [2, -90, 2, none, -300];
      expect(await read(keepTopP(rowOf(row), 1))).toEqual(row);
      expect(await read(keepTopP(rowOf(row), tensor(1.5)))).toEqual(row);
      for (const p of [0, 1e-30, 1e-6]) expect(await read(keepTopP(rowOf(row), p))).toEqual([2, none, 2, none, none]);
    });

    it('neither overflows nor fails on one class, on nothing possible, or on a sure thing', async () => {
      expect(await read(keepTopP(rowOf([-1e30]), 0.5))).toEqual([Math.fround(-1e30)]);
      expect(await read(keepTopP(rowOf([none, none]), 0.5))).toEqual([none, none]);
      expect(await read(keepTopP(rowOf([1e4, 0, 9e3]), 0.99))).toEqual([1e4, none, none]);
      expect(await read(keepTopP(rowOf([1, nan, 3]), 0.5))).toEqual([1, nan, 3]);
    });
  });

  describe('keepMinP', () => {
    it('keeps what is at least p times as likely as the best', async () => {
      await fc.assert(
        fc.asyncProperty(tied, fc.constantFrom(0, 0.01, 0.1, 0.5, 0.9, 1), async (row, p) => {
          const best = Math.max(...row);
          const expected = row.map((value) => (Math.exp(value - best) < p ? none : value));
          expect(await read(keepMinP(rowOf(row), p))).toEqual(expected);
        }),
        { numRuns: 50 },
      );
      expect(await read(keepMinP(rowOf([none, none]), 0.5))).toEqual([none, none]);
    });
  });

  describe('applyRepetitionPenalty', () => {
    it('divides positive and multiplies negative logits of present ids, once each', async () => {
      const logits = tensor(Float32Array.of(2, -2, 0, 4, 2, -2, none, 4), [2, 4]);
      const ids = idsOf([0, 0, 1, -1, 2], [3, 99, -1, 2, 3]);
      expect(await read(applyRepetitionPenalty(logits, ids, 2))).toEqual([1, -4, 0, 4, 2, -2, none, 2]);
      expect(await read(applyRepetitionPenalty(logits, ids, tensor(Float32Array.of(2, 1))))).toEqual([
        1,
        -4,
        0,
        4,
        2,
        -2,
        none,
        4,
      ]);
      expect(await read(applyRepetitionPenalty(logits, tensor(new Int32Array(0), [2, 0]), 2))).toEqual([
        2,
        -2,
        0,
        4,
        2,
        -2,
        none,
        4,
      ]);
    });
  });

  it('suppressTokens rules classes out of every row', async () => {
    expect(await read(suppressTokens(full([2, 3], 1), tensor(Int32Array.of(2, -1, 0))))).toEqual([
      none,
      1,
      none,
      none,
      1,
      none,
    ]);
  });

  it('multiHot passes over ids that are no class', async () => {
    expect(await read(multiHot(idsOf([0, 3, -1], [1, 1, 7]), 4))).toEqual([1, 0, 0, 1, 0, 1, 0, 0]);
    expect(await read(multiHot(tensor(new Int32Array(0), [0, 2]), 4))).toEqual([]);
  });

  it('send gradients through kept places only', async () => {
    const chain = (x: Tensor): Tensor => sum(keepMinP(keepTopP(keepTopK(applyTemperature(x, 0.5), 3), 0.95), 0.01));
    const x = rowOf([1, 3, 2, 0, -1]);
    expect(await read(vectorJacobianProduct([chain(x)], [x], [full([], 1)])[0]!)).toEqual([0, 2, 2, 0, 0]);
  });

  it('serve all values of run-time numbers with one trace', async () => {
    let traces = 0;
    const filter = compile(
      (logits: Tensor, k: Tensor, p: Tensor, temperature: Tensor) => {
        traces++;
        return keepTopP(keepTopK(applyTemperature(logits, temperature), k), p);
      },
      { device },
    );
    const row = [4, 3, 2, 1];
    const run = async (k: number, p: number, temperature: number): Promise<number[]> =>
      read(await filter(rowOf(row), tensor(k), tensor(p), tensor(temperature)));
    expect(await run(2, 1, 1)).toEqual([4, 3, none, none]);
    expect(await run(0, 1, 0.5)).toEqual([8, 6, 4, 2]);
    expect(await run(3, 0.7, 2)).toEqual([2, 1.5, none, none]);
    expect(await run(3, 0.5, 1)).toEqual([4, none, none, none]);
    expect(traces).toBe(1);
  });
});

it('the bisection finds the threshold of a vocabulary exactly', async () => {
  const classes = 20_000;
  const x = seededValue([2, classes], 'f32', 'wide', 3);
  const weights = { ...x, data: Float32Array.from(x.data, (_, i) => (i % 7) / 4) };
  for (const mass of [1, 1000.25, 14_999.5, 1e9]) {
    const wanted = { shape: [2], dtype: 'f32' as const, data: Float32Array.of(mass, mass / 2) };
    const [expected] = runReference(massThresholdOp, [x, weights, wanted], {});
    const actual = massThreshold(toTensor(x), toTensor(weights), toTensor(wanted));
    expect([...(await actual.data(devices.primitives))]).toEqual([...expected!.data]);
  }
});

describe('operands and numbers that do not fit', () => {
  const logits = full([2, 4], 0);
  const wrong: Readonly<Record<string, readonly [build: () => unknown, message: RegExp]>> = {
    'a temperature of 0': [
      () => applyTemperature(logits, 0),
      /temperature is 0, it must be above 0; for greedy decoding set doSample to false/,
    ],
    'a top-k of a half': [() => keepTopK(logits, 0.5), /topK is 0\.5, it must be a whole number; 0 keeps everything/],
    'a top-p above 1': [() => keepTopP(logits, 1.1), /topP is 1\.1, it must be from 0 to 1/],
    'a negative min-p': [() => keepMinP(logits, -0.1), /minP is -0\.1, it must be from 0 to 1/],
    'no penalty number': [
      () => applyRepetitionPenalty(logits, idsOf([0], [0]), nan),
      /repetitionPenalty is NaN, it must be above 0/,
    ],
    'ids of other rows': [
      () => applyRepetitionPenalty(logits, idsOf([0]), 2),
      /applyRepetitionPenalty: logits f32\[2, 4\] and ids i32\[1, 1\] do not fit; ids are i32 \[rows, length\]/,
    ],
    'a parameter of other rows': [
      () => keepTopP(logits, tensor(new Float32Array(3))),
      /topP is f32\[3\] for 2 rows: give one number, or one for each row/,
    ],
    'logits of one axis': [
      () => keepTopK(full([4], 0), 1),
      /keepTopK: logits f32\[4\] do not fit; logits are f32 \[rows, classes\]/,
    ],
    'float ids': [() => multiHot(full([1, 2], 0), 3), /multiHot takes i32 ids \[rows, length\], got f32\[1, 2\]/],
    'weights of another shape': [
      () => massThreshold(logits, full([2, 3], 0), full([2], 0)),
      /massThreshold: x f32\[2, 4\], weights f32\[2, 3\] and mass f32\[2\] do not fit/,
    ],
  };

  it.each(Object.keys(wrong))('%s', (name) => {
    const [build, message] = wrong[name]!;
    expect(build).toThrow(message);
  });

  it('numbers in tensors are not looked at', () => {
    const value: TensorLike = tensor(-1);
    expect(() => keepTopP(logits, value)).not.toThrow();
  });
});
