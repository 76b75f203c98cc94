/** The draw: noise against its definition, frequencies against exact binomial bounds, and what is fixed by the seed. */
import { describe, expect, it } from 'vitest';
import {
  type HostArray,
  type Tensor,
  argmax,
  broadcastTo,
  createReferenceDevice,
  fillRandomBits,
  full,
  processLogits,
  randomExponential,
  randomGumbel,
  sampleCategorical,
  sampleTokens,
  tensor,
} from '../../src/index.js';
import { exponentialOf } from '../../src/sampling/gumbel.js';

const device = createReferenceDevice();
const seedOf = (low: number, high = 0): Tensor => tensor(Uint32Array.of(low, high));
const rowOf = (...values: number[]): Tensor => tensor(Float32Array.from(values), [1, values.length]);
const read = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];

describe('the noise', () => {
  const count = 200_000;
  const words = new Uint32Array(count);
  fillRandomBits(words, [7, 9], 3);

  it('is exponential to six digits where it is small, and as f32 resolves the unit interval elsewhere', async () => {
    const actual = await randomExponential(seedOf(7, 9), [count], 3).data(device);
    let [worst, small] = [0, 0];
    words.forEach((word, i) => {
      const v = (word + 0.5) / 2 ** 32;
      const expected = -Math.log1p(-v);
      const allowed = v < 0.5 ? 1e-6 * expected : 1e-6 * expected + 2 ** -24 / Math.max(1 - v, 2 ** -24);
      worst = Math.max(worst, Math.abs(actual[i]! - expected) / allowed);
      if (v < 1e-4) small++;
    });
    expect(worst).toBeLessThan(1);
    expect(small).toBeGreaterThan(0);
  });

  it('is finite and positive at both ends of the unit interval', async () => {
    const ends = tensor(Uint32Array.of(0, 1, 0xffffffff, 0xfffffffe, 0x7fffffff, 0x80000000));
    const [first, second, ...others] = await read(exponentialOf(ends));
    expect([first, second]).toEqual([2 ** -33, 1.5 * 2 ** -32].map(Math.fround));
    expect(others).toEqual([24, 24, 1, 1].map((halvings) => expect.closeTo(halvings * Math.LN2, 5)));
  });

  it('is Gumbel as the negative logarithm of that', async () => {
    const gumbel = await read(randomGumbel(seedOf(7, 9), [100], 3));
    const exponential = await read(randomExponential(seedOf(7, 9), [100], 3));
    expect(gumbel).toEqual(exponential.map((value) => expect.closeTo(-Math.log(value), 5)));
  });
});

/** log P(X = k) of a binomial for k = 0 … n. */
function logBinomial(n: number, p: number): Float64Array {
  const result = new Float64Array(n + 1);
  result[0] = n * Math.log1p(-p);
  for (let k = 1; k <= n; k++) result[k] = result[k - 1]! + Math.log((n - k + 1) / k) + Math.log(p) - Math.log1p(-p);
  return result;
}

/** The smaller of P(X ≤ count) and P(X ≥ count). */
function binomialTail(count: number, n: number, p: number): number {
  const logs = logBinomial(n, p);
  const sum = (part: Float64Array): number => part.reduce((total, value) => total + Math.exp(value), 0);
  return Math.min(sum(logs.subarray(0, count + 1)), sum(logs.subarray(count)));
}

function countOf(draws: HostArray | readonly number[], classes: number): number[] {
  const counts = Array.from({ length: classes }, () => 0);
  for (const draw of draws) counts[draw]!++;
  return counts;
}

describe('sampleCategorical', () => {
  const rows = 10_000;
  const logits = [2, 1, 0, -1, 0.5, -Infinity, -6, 2];
  const draw = (seed: number, stream = 0): Promise<number[]> =>
    read(sampleCategorical(broadcastTo(rowOf(...logits), [rows, logits.length]), seedOf(seed), stream));

  it.each([1, 2, 3])('draws classes as often as softmax says (seed %i)', async (seed) => {
    const counts = countOf(await draw(seed), logits.length);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    logits.forEach((logit, i) => {
      const probability = Math.exp(logit) / total;
      if (probability === 0) expect(counts[i]).toBe(0);
      else expect(binomialTail(counts[i]!, rows, probability), `class ${i}, ${counts[i]} times`).toBeGreaterThan(1e-4);
    });
  });

  it('gives the same for the same seed and stream, and something else for another', async () => {
    const first = await draw(5);
    expect(await draw(5)).toEqual(first);
    const same = (other: readonly number[]): number => other.filter((value, i) => value === first[i]).length;
    expect(same(await draw(6))).toBeLessThan(rows / 2);
    expect(same(await draw(5, 1))).toBeLessThan(rows / 2);
  });

  it('never draws what is impossible', async () => {
    const only = broadcastTo(rowOf(-Infinity, -80, -Infinity), [2000, 3]);
    expect(new Set(await read(sampleCategorical(only, seedOf(1))))).toEqual(new Set([1]));
    expect(await read(sampleCategorical(rowOf(-1e30), seedOf(1)))).toEqual([0]);
    expect(() => sampleCategorical(full([3], 0), seedOf(1))).toThrow(/sampleCategorical: logits f32\[3\] do not fit/);
  });
});

describe('sampleTokens', () => {
  const logits = tensor(Float32Array.of(1, 5, 4, 3, 1, 5, 4, 3), [2, 4]);

  it('takes the best after the penalty when it does not sample, whatever the other options', async () => {
    const ids = tensor(Int32Array.of(0, 1), [2, 1]);
    const options = { doSample: false, repetitionPenalty: 2, ids, temperature: 0.1, topK: 1, topP: 0.1, minP: 1 };
    expect(await read(sampleTokens(logits, options))).toEqual([1, 2]);
  });

  it('equals greedy decoding when one class is left', async () => {
    for (const options of [{ topK: 1 }, { topP: 0 }, { minP: 1 }, { temperature: 1e-6 }])
      expect(await read(sampleTokens(logits, options, seedOf(3)))).toEqual(await read(argmax(logits)));
  });

  it('draws from the processed logits', async () => {
    const options = { temperature: 2, topK: 3, topP: 0.95, minP: 0.05 };
    const direct = await read(sampleCategorical(processLogits(logits, options), seedOf(8), 4));
    expect(await read(sampleTokens(logits, options, seedOf(8), 4))).toEqual(direct);
  });

  it('leaves out numbers that change nothing', () => {
    const options = { repetitionPenalty: 1, temperature: 1, topK: 0, topP: 1, minP: 0 };
    expect(processLogits(logits, options)).toBe(logits);
    expect(processLogits(logits, {})).toBe(logits);
  });

  it('says what is missing', () => {
    expect(() => sampleTokens(logits, {})).toThrow(/drawing needs a seed, u32 \[2\]; set doSample to false/);
    expect(() => sampleTokens(logits, { repetitionPenalty: 1.1 }, seedOf(1))).toThrow(/repetitionPenalty needs ids/);
  });
});
