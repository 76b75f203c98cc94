/** Functions without an op of their own against PyTorch in float32, forward and gradient, and the taps of transformers. */
import { describe, expect, it } from 'vitest';
import {
  type HostTensor,
  type Tensor,
  bilinearTaps,
  cast,
  clamp,
  createReferenceDevice,
  cumulativeSum,
  entropy,
  indexAdd,
  indexCopy,
  interpolateRows,
  logSoftmax,
  logSumExp,
  maskedScatter,
  min,
  pow,
  standardDeviation,
  tokenLogProbabilities,
  variance,
  vectorJacobianProduct,
} from '../../src/index.js';
import { assertClose, exact, readBack, toTensor } from '../../src/testing/index.js';
import { goldenTensors } from '../support/golden.js';

type Inputs = Readonly<Record<string, Tensor>>;

const cases: Readonly<Record<string, (inputs: Inputs) => Tensor>> = {
  pow_3: ({ x }) => pow(x!, 3),
  pow_minus_2: ({ x }) => pow(x!, -2),
  pow_2_5: ({ x }) => pow(x!, 2.5),
  clamp: ({ x }) => clamp(x!, -0.5, 1),
  log_sum_exp: ({ x }) => logSumExp(x!, -1),
  log_sum_exp_axes: ({ x }) => logSumExp(x!, [0, 2], true),
  log_softmax: ({ x }) => logSoftmax(x!),
  log_softmax_first: ({ x }) => logSoftmax(x!, 0),
  entropy: ({ logits }) => entropy(logits!),
  token_log_probabilities: ({ logits, ids }) => tokenLogProbabilities(logits!, ids!),
  min: ({ x }) => min(x!, 1),
  variance: ({ x }) => variance(x!, -1),
  variance_biased: ({ x }) => variance(x!, [0, 1], { correction: 0 }),
  standard_deviation: ({ x }) => standardDeviation(x!, 0, { keepDimensions: true }),
  cumulative_sum: ({ x }) => cumulativeSum(x!),
  cumulative_sum_first: ({ x }) => cumulativeSum(x!, 0),
  index_add: ({ x, indices, rows }) => indexAdd(x!, indices!, rows!),
  index_copy: ({ x, indices, rows }) => indexCopy(x!, indices!, rows!),
  masked_scatter: ({ x, mask, rows }) => maskedScatter(x!, cast(mask!, 'bool'), rows!),
  interpolate_rows: ({ table, indices, weights }) => interpolateRows(table!, { indices: indices!, weights: weights! }),
};

const device = { loops: createReferenceDevice(), primitives: createReferenceDevice({ decomposeFused: true }) };
const stemOf = (key: string): string => key.split('.')[0]!;

describe.each(Object.keys(device) as (keyof typeof device)[])('PyTorch goldens through %s', (kind) => {
  it('cover every case of the golden', async () => {
    const stems = new Set([...(await goldenTensors('functions')).keys()].map(stemOf));
    expect(stems).toEqual(new Set([...Object.keys(cases), 'taps']));
  });

  it.each(Object.keys(cases))('%s', async (name) => {
    const golden = await goldenTensors('functions');
    const of = (key: string): HostTensor => golden.get(`${name}.${key}`)!;
    const keys = [...golden.keys()]
      .filter((key) => stemOf(key) === name && !key.includes('.grad.'))
      .map((key) => key.slice(name.length + 1))
      .filter((key) => key !== 'output' && key !== 'cotangent');
    const inputs: Inputs = Object.fromEntries(keys.map((key) => [key, toTensor(of(key))]));
    const variables = keys.filter((key) => golden.has(`${name}.grad.${key}`));
    const output = cases[name]!(inputs);
    const gradients = vectorJacobianProduct(
      [output],
      variables.map((key) => inputs[key]!),
      [toTensor(of('cotangent'))],
    );
    assertClose(await readBack(output, device[kind]), of('output'), `${name} output`, {
      absolute: 2e-6,
      relative: 2e-5,
    });
    for (const [i, key] of variables.entries())
      assertClose(await readBack(gradients[i]!, device[kind]), of(`grad.${key}`), `${name} gradient of ${key}`, {
        absolute: 4e-6,
        relative: 4e-5,
      });
  });
});

describe("the taps of Qwen3-VL's position table", () => {
  it.each(['4x6.48.2', '14x10.48.2', '1x5.7.1', '6x1.3.1', '7x7.7.1'])('%s', async (stem) => {
    const golden = await goldenTensors('functions');
    const [height, width, side, merge] = stem.split(/[x.]/).map(Number) as [number, number, number, number];
    const { indices, weights } = bilinearTaps(height, width, side, merge);
    assertClose(await readBack(indices), golden.get(`taps.${stem}.indices`)!, 'indices', exact);
    assertClose(await readBack(weights), golden.get(`taps.${stem}.weights`)!, 'weights', exact);
  });

  it('refuses a grid that does not divide into blocks', () => {
    expect(() => bilinearTaps(3, 4, 8, 2)).toThrow(/a grid of 3 by 4 does not divide into blocks of 2/);
  });
});
