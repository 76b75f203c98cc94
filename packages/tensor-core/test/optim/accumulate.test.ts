/** Any split of a batch gives the gradient of the mean over all its tokens. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccumulatedGradients,
  type Tensor,
  accumulateGradients,
  accumulationInit,
  compile,
  createReferenceDevice,
  evaluate,
  full,
  linear,
  mean,
  meanGradients,
  slice,
  softmaxCrossEntropy,
  tensor,
  valueAndGrad,
} from '../../src/index.js';
import { arbitrarySeed, assertClose, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice();
const [width, classes] = [5, 4];

interface Parameters {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

const meanLoss = ({ weight, bias }: Parameters, x: Tensor, labels: Tensor): Tensor =>
  mean(softmaxCrossEntropy(linear(x, weight, bias), labels));

/** Lengths of micro-batches, empty ones among them, at least one token in all. */
const arbitraryLengths = fc
  .array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 5 })
  .filter((lengths) => lengths.some((length) => length > 0));

describe('gradient accumulation', () => {
  it.each(['number', 'tensor'])(
    'weighted by tokens is the gradient of the whole batch (weights as a %s)',
    async (form) => {
      await fc.assert(
        fc.asyncProperty(arbitraryLengths, arbitrarySeed(), async (lengths, seed) => {
          const total = lengths.reduce((sum, length) => sum + length, 0);
          const parameters = {
            weight: toTensor(seededValue([classes, width], 'f32', 'ordinary', seed)),
            bias: toTensor(seededValue([classes], 'f32', 'ordinary', seed + 1)),
          };
          const x = toTensor(seededValue([total, width], 'f32', 'ordinary', seed + 2));
          const labels = tensor(Int32Array.from({ length: total }, (_, i) => (i * 7 + 1) % classes));
          const gradientOf = valueAndGrad(meanLoss);
          const [, expected] = gradientOf(parameters, x, labels);
          let start = 0;
          let accumulated = accumulationInit(parameters);
          for (const length of lengths) {
            const rows = [start, (start += length)] as const;
            // An empty micro-batch has the mean of nothing: NaN.
            const [, part] = gradientOf(parameters, slice(x, 0, ...rows), slice(labels, 0, ...rows));
            accumulated = accumulateGradients(accumulated, part, form === 'number' ? length : tensor(length));
          }
          const actual = meanGradients(accumulated);
          await evaluate({ actual, expected }, { device });
          for (const key of ['weight', 'bias'] as const)
            assertClose(await readBack(actual[key]), await readBack(expected[key]), key, { absolute: 1e-6 });
        }),
        { numRuns: 30 },
      );
    },
  );

  it('runs in place when compiled, with the weight as an operand', async () => {
    const own = createReferenceDevice();
    const add = compile(
      (total: AccumulatedGradients<Tensor>, gradient: Tensor, weight: Tensor) =>
        accumulateGradients(total, gradient, weight),
      { device: own, donate: [0, 1, 2], name: 'accumulation' },
    );
    let total = await evaluate(accumulationInit(tensor([0, 0])), { device: own });
    for (const [gradient, weight] of [
      [1, 3],
      [Number.NaN, 0],
      [5, 1],
    ] as const) {
      total = await add(total, tensor([gradient, -gradient]), tensor(weight));
      expect(own.memory().rootBytes).toBe(12);
    }
    expect([...(await meanGradients(total).data(own))]).toEqual([2, -2]);
  });

  it('means nothing by zeros, and refuses other trees', async () => {
    expect([...(await meanGradients(accumulationInit(full([2], 7))).data(device))]).toEqual([0, 0]);
    expect(() => accumulateGradients(accumulationInit<unknown>([full([1], 0)]), [], 1)).toThrow(
      /a sum of 1 tensors and gradients of 0/,
    );
  });
});
