/**
 * What quantisation cost: two models over the same tokens, teacher-forced.
 *
 * Both read each sample whole; at every position the next token of the sample is what they should have said. Positions whose
 * next token stands for a part of an image are left out. Figures are over all positions of all samples, and for each kind of
 * sample: perplexity exp(mean −log p) of both, share of positions where both would say the same token, mean Kullback-Leibler
 * divergence of the candidate from the reference, largest difference of two logits.
 *
 * Memory: both models are on the device at once; beside them the activations of one sample and logits of `CHUNK` positions.
 */
import { type Device, type Tensor, compile, mask, reshape, slice, tensor } from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { ModelContext } from '../model/context.js';
import { embedTokens, headForward, languageForward } from '../model/language.js';
import { Qwen2_5_VL } from '../model/qwen2-5-vl.js';
import type { VisionItem } from '../model/vision-batches.js';
import { type SequenceOperands, sequenceOperands } from '../model/sequence.js';
import { type TokenComparison, compareLogits, readComparisons } from './compare-logits.js';

export interface EvaluationSample {
  readonly name: string;
  /** Samples of one kind are also summed up together: `text`, `image`. */
  readonly kind: string;
  /** At least two. */
  readonly inputIds: ArrayLike<number>;
  /** In the order of the sequence. */
  readonly images?: readonly VisionItem[];
}

export interface ModelQuality {
  /** Mean −log p of the next token, in nats. */
  readonly negativeLogLikelihood: number;
  readonly perplexity: number;
}

export interface QuantizationQuality {
  /** Positions that were measured. */
  readonly tokens: number;
  readonly reference: ModelQuality;
  readonly candidate: ModelQuality;
  /** Positions where both models would say the same token, of 100. */
  readonly top1AgreementPercent: number;
  /** Mean KL(reference‖candidate), in nats. */
  readonly meanDivergence: number;
  readonly largestLogitDifference: number;
}

export interface QuantizationEvaluation extends QuantizationQuality {
  readonly byKind: Readonly<Record<string, QuantizationQuality>>;
  readonly bySample: readonly (QuantizationQuality & { readonly name: string; readonly kind: string })[];
}

export interface EvaluateQuantizationOptions {
  readonly device: Device;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Positions whose logits are on the device at a time. */
const CHUNK = 64;

/**
 * Measures a quantised model against the one it was made of.
 *
 * @throws InvalidInputError when there is no sample, or one has nothing to predict; the signal's reason.
 */
export async function evaluateQuantization(
  reference: ModelContext,
  candidate: ModelContext,
  samples: readonly EvaluationSample[],
  { device, onProgress, signal }: EvaluateQuantizationOptions,
): Promise<QuantizationEvaluation> {
  const readers = [hiddenReader(reference, device), hiddenReader(candidate, device)] as const;
  const compare = compile(
    (ofReference: Tensor, ofCandidate: Tensor, next: Tensor) =>
      compareLogits(headForward(reference, ofReference), headForward(candidate, ofCandidate), next),
    { device, name: 'comparing two models' },
  );
  const measured: { readonly sample: EvaluationSample; readonly tokens: TokenComparison[] }[] = [];
  for (const sample of samples) {
    signal?.throwIfAborted();
    const scored = scoredPositions(sample, reference);
    const hidden = [await readers[0](sample), await readers[1](sample)] as const;
    const tokens: TokenComparison[] = [];
    const length = sample.inputIds.length;
    for (let from = 0; from < length - 1; from += CHUNK) {
      const to = Math.min(from + CHUNK, length - 1);
      const next = Int32Array.from({ length: to - from }, (_, i) => sample.inputIds[from + i + 1]!);
      const [left, right] = hidden.map((rows) => slice(rows, 0, from, to)) as [Tensor, Tensor];
      const compared = await compare(left, right, tensor(next));
      tokens.push(...readComparisons((await compared.data(device)) as Float32Array).filter((_, i) => scored[from + i]));
    }
    measured.push({ sample, tokens });
    onProgress?.(measured.length, samples.length);
  }
  if (measured.length === 0) throw new InvalidInputError('there are no samples to evaluate on: give at least one');
  const kinds = Map.groupBy(measured, ({ sample }) => sample.kind);
  return {
    ...qualityOf(measured.flatMap(({ tokens }) => tokens)),
    byKind: Object.fromEntries([...kinds].map(([kind, of]) => [kind, qualityOf(of.flatMap(({ tokens }) => tokens))])),
    bySample: measured.map(({ sample: { name, kind }, tokens }) => ({ name, kind, ...qualityOf(tokens) })),
  };
}

/** Sums up positions. */
export function qualityOf(tokens: readonly TokenComparison[]): QuantizationQuality {
  const mean = (of: (token: TokenComparison) => number): number =>
    tokens.reduce((total, token) => total + of(token), 0) / tokens.length;
  const model = (negativeLogLikelihood: number): ModelQuality => ({
    negativeLogLikelihood,
    perplexity: Math.exp(negativeLogLikelihood),
  });
  return {
    tokens: tokens.length,
    reference: model(mean((token) => token.reference)),
    candidate: model(mean((token) => token.candidate)),
    top1AgreementPercent: 100 * mean((token) => token.agrees),
    meanDivergence: mean((token) => token.divergence),
    largestLogitDifference: tokens.reduce((largest, token) => Math.max(largest, token.logitDifference), 0),
  };
}

/** Whether the token after each position is one that a model should say. */
function scoredPositions({ name, inputIds }: EvaluationSample, { config }: ModelContext): boolean[] {
  const visual: readonly number[] = [config.imageTokenId, config.videoTokenId];
  const scored = Array.from({ length: Math.max(inputIds.length - 1, 0) }, (_, i) => !visual.includes(inputIds[i + 1]!));
  if (!scored.includes(true))
    throw new InvalidInputError(
      `sample ${name} has ${inputIds.length} tokens and none to predict: give at least two, not only those of images`,
    );
  return scored;
}

/** Final hidden states [length, hidden] of a sample. */
function hiddenReader(context: ModelContext, device: Device): (sample: EvaluationSample) => Promise<Tensor> {
  const model = new Qwen2_5_VL(context, device);
  const read = compile(
    (operands: SequenceOperands, visualTokens: Tensor | undefined) => {
      const visual = visualTokens && { rows: visualTokens, where: operands.isVisual, index: operands.visualIndex };
      const inputsEmbeds = embedTokens(context, operands.inputIds, visual);
      const { hidden } = languageForward(context, {
        inputsEmbeds,
        cos: operands.cos,
        sin: operands.sin,
        mask: mask.causal(),
      });
      return reshape(hidden, hidden.shape.slice(1));
    },
    { device, name: 'reading a sample' },
  );
  return async ({ inputIds, images = [] }) => {
    const operands = sequenceOperands(context.config, [{ inputIds, grids: images.map(({ grid }) => grid) }]);
    return read(operands, await model.encodeImages(images));
  };
}
