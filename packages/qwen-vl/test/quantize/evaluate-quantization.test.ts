import { SafetensorsReader, bytesSource, mask, safetensorsBytes, tensor } from '@mindseye/tensor-core';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import { loadWeights } from '../../src/load/load-weights.js';
import type { ModelContext } from '../../src/model/context.js';
import { embedTokens, headForward, languageForward } from '../../src/model/language.js';
import { sequenceOperands } from '../../src/model/sequence.js';
import { compareLogits, readComparisons } from '../../src/quantize/compare-logits.js';
import { type EvaluationSample, evaluateQuantization, qualityOf } from '../../src/quantize/evaluate-quantization.js';
import type { QuantizationName } from '../../src/quantize/parts.js';
import { quantizeCheckpoint } from '../../src/quantize/quantize-checkpoint.js';
import { quantizedConfigJson } from '../../src/quantize/quantized-config.js';
import { goldenPath, readGoldenJson } from '../support/golden.js';

const device = createWasmDevice();

async function compared(reference: readonly number[][], candidate: readonly number[][], next: readonly number[]) {
  const rows = compareLogits(tensor(reference), tensor(candidate), tensor(Int32Array.from(next)));
  return readComparisons((await rows.data(device)) as Float32Array);
}

describe('two rows of logits', () => {
  test('by hand: probabilities 1/2, 1/4, 1/4 against 1/4, 1/2, 1/4', async () => {
    const [half, quarter] = [Math.log(2), 0];
    const [first, second] = await compared(
      [
        [half, quarter, quarter],
        [half, quarter, quarter],
      ],
      [
        [quarter, half, quarter],
        [half + 5, quarter + 5, quarter + 5],
      ],
      [0, 2],
    );
    expect(first!.reference).toBeCloseTo(Math.log(2), 5);
    expect(first!.candidate).toBeCloseTo(Math.log(4), 5);
    expect(first!.agrees).toBe(0);
    // ½·ln(2) + ¼·ln(½)
    expect(first!.divergence).toBeCloseTo(Math.log(2) / 4, 5);
    expect(first!.logitDifference).toBeCloseTo(Math.log(2), 5);
    // A shift of all logits is the same distribution.
    expect(second).toMatchObject({ agrees: 1, logitDifference: 5 });
    expect(second!.divergence).toBeCloseTo(0, 5);
    expect(second!.candidate).toBeCloseTo(Math.log(4), 5);
    expect(qualityOf([first!, second!])).toMatchObject({
      tokens: 2,
      top1AgreementPercent: 50,
      largestLogitDifference: 5,
      reference: { perplexity: expect.closeTo(Math.sqrt(2 * 4), 4) as number },
      candidate: { perplexity: expect.closeTo(4, 4) as number },
      meanDivergence: expect.closeTo(Math.log(2) / 8, 4) as number,
    });
  });

  test('are measured as sums in 64 bits do', async () => {
    const row = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 5, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(row, row, fc.integer({ min: 0, max: 4 }), async (reference, candidate, next) => {
        const [found] = await compared([reference], [candidate], [next]);
        const softmax = (logits: readonly number[]): number[] => {
          const top = Math.max(...logits);
          const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
          return logits.map((logit) => Math.log(Math.exp(logit - top) / total));
        };
        const [p, q] = [softmax(reference), softmax(candidate)];
        expect(found!.reference).toBeCloseTo(-p[next]!, 3);
        expect(found!.candidate).toBeCloseTo(-q[next]!, 3);
        expect(found!.divergence).toBeCloseTo(
          p.reduce((sum, log, i) => sum + Math.exp(log) * (log - q[i]!), 0),
          3,
        );
        expect(found!.agrees).toBe(
          reference.indexOf(Math.max(...reference)) === candidate.indexOf(Math.max(...candidate)) ? 1 : 0,
        );
      }),
      { numRuns: 50 },
    );
  });
});

describe('a model against its quantised self', () => {
  const json = readGoldenJson<object>('models/tiny-tied/config.json');
  const config = resolveConfig(json);
  let reference: ModelContext;
  const quantised = new Map<QuantizationName, ModelContext>();

  beforeAll(async () => {
    const source = await openCheckpointFolder(goldenPath('models/tiny-tied'));
    reference = { config, weights: (await loadWeights(source, config)).weights };
    for (const format of ['int8', 'int4', 'mixed'] as const) {
      const { plan, entries } = quantizeCheckpoint(source, config, { format, groupSize: 32, device });
      const saved = await SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), format);
      const quantization = resolveQuantizationConfig(quantizedConfigJson(json, plan, format));
      quantised.set(format, { config, weights: (await loadWeights(saved, config, { quantization })).weights });
    }
    await source.close();
  });

  const ids = (length: number, step: number): number[] => Array.from({ length }, (_, i) => 1 + ((i * step) % 450));
  const patches = {
    pixelValues: Float32Array.from({ length: 16 * 96 }, (_, i) => Math.sin(i)),
    grid: [1, 4, 4] as const,
  };
  const samples: readonly EvaluationSample[] = [
    { name: 'long', kind: 'text', inputIds: ids(90, 17) },
    { name: 'short', kind: 'text', inputIds: ids(2, 5) },
    { name: 'seen', kind: 'image', inputIds: [1, 465, ...Array<number>(4).fill(468), 466, 7, 8, 9], images: [patches] },
  ];

  test('itself: everything agrees', async () => {
    const found = await evaluateQuantization(reference, reference, samples, { device });
    expect(found).toMatchObject({ top1AgreementPercent: 100, meanDivergence: 0, largestLogitDifference: 0 });
    expect(found.candidate).toEqual(found.reference);
    // Of the nine that follow the first token of the last sample, four stand for the image.
    expect(found.bySample.map(({ tokens }) => tokens)).toEqual([89, 1, 5]);
    expect(found.byKind['text']!.tokens).toBe(90);
    expect(found.tokens).toBe(95);
  });

  test('the likelihood is that of each next token under the logits of the whole sequence', async () => {
    const { inputIds } = samples[0]!;
    const operands = sequenceOperands(config, [{ inputIds, grids: [] }]);
    const { hidden } = languageForward(reference, {
      inputsEmbeds: embedTokens(reference, operands.inputIds),
      cos: operands.cos,
      sin: operands.sin,
      mask: mask.causal(),
    });
    const logits = await headForward(reference, hidden).data(device);
    const size = config.textConfig.vocabSize;
    let total = 0;
    for (let at = 0; at + 1 < inputIds.length; at++) {
      const row = Array.from(logits.slice(at * size, (at + 1) * size));
      const top = Math.max(...row);
      const logSum = top + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
      total += logSum - row[inputIds[at + 1]!]!;
    }
    const found = await evaluateQuantization(reference, reference, [samples[0]!], { device });
    expect(found.reference.negativeLogLikelihood).toBeCloseTo(total / (inputIds.length - 1), 4);
    expect(found.reference.perplexity).toBeCloseTo(Math.exp(total / (inputIds.length - 1)), 0);
  });

  test('8 bits are closer than 4, and a head of 8 bits lies between', async () => {
    const progress: number[] = [];
    const divergence = new Map<QuantizationName, number>();
    for (const [format, candidate] of quantised) {
      const found = await evaluateQuantization(reference, candidate, samples, {
        device,
        onProgress: (done) => progress.push(done),
      });
      divergence.set(format, found.meanDivergence);
      expect(found.reference.perplexity).toBeGreaterThan(1);
      expect(found.largestLogitDifference).toBeGreaterThan(0);
    }
    expect(progress).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
    expect(divergence.get('int8')).toBeLessThan(divergence.get('mixed')!);
    expect(divergence.get('mixed')).toBeLessThan(divergence.get('int4')!);
  });

  test('nothing to predict, nothing to measure, and an abort are errors', async () => {
    const evaluate = (of: readonly EvaluationSample[], signal?: AbortSignal) =>
      evaluateQuantization(reference, reference, of, { device, ...(signal && { signal }) });
    await expect(evaluate([])).rejects.toThrow(/no samples to evaluate on/);
    await expect(evaluate([{ name: 'one', kind: 'text', inputIds: [3] }])).rejects.toThrow(
      /sample one has 1 tokens and none to predict/,
    );
    await expect(evaluate(samples, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
