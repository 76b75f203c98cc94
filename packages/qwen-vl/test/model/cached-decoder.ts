/** The language model over a cache, one piece of the sequences after another: what the tests of cached decoding share. */
import {
  type Device,
  type Tensor,
  compile,
  concat,
  evaluate,
  full,
  mask,
  reshape,
  tensor,
} from '@mindseye/tensor-core';
import type { ModelContext } from '../../src/model/context.js';
import { type KeyValueCache, embedTokens, headForward, languageForward } from '../../src/model/language.js';
import { rowPositions, sequenceOperands, type SequenceOperands, type SequenceRow } from '../../src/model/sequence.js';
import { visionForward } from '../../src/model/vision.js';
import { type VisionItem, visionBatches } from '../../src/model/vision-batches.js';

export interface EncodedItems {
  /** [rows, hidden]; undefined without items. */
  readonly tokens: Tensor | undefined;
  readonly featureStarts: readonly number[];
}

/** All items in one run per size. */
export async function encodeItems(
  context: ModelContext,
  device: Device,
  items: readonly VisionItem[],
): Promise<EncodedItems> {
  const { batches, featureStarts } = visionBatches(context.config.visionConfig, items);
  const parts = batches.map(({ pixelValues, operands }) => {
    const { tokens } = visionForward(context, pixelValues, operands);
    return reshape(tokens, [-1, tokens.shape[2]!]);
  });
  return { tokens: parts.length > 0 ? await evaluate(concat(parts, 0), { device }) : undefined, featureStarts };
}

export interface CachedDecoder {
  /** Tokens in the cache, padding included. */
  readonly length: number;
  /** Feeds a piece of every row; gives the logits of its tokens, row-major [rows, tokens, vocabulary]. */
  feed(operands: SequenceOperands, visualTokens?: Tensor): Promise<Float32Array>;
}

/** @param padding left padding of each row */
export async function createCachedDecoder(
  context: ModelContext,
  device: Device,
  padding: readonly number[],
  capacity: number,
): Promise<CachedDecoder> {
  const { numHiddenLayers, numKeyValueHeads, headDim } = context.config.textConfig;
  const store = (): Tensor[] =>
    Array.from({ length: numHiddenLayers }, () => full([padding.length, numKeyValueHeads, capacity, headDim], 0));
  let cache: KeyValueCache = await evaluate({ keys: store(), values: store() }, { device });
  let length = 0;
  const hidden = tensor(Int32Array.from(padding));
  const step = compile(
    (operands: SequenceOperands, held: KeyValueCache, at: Tensor, padded: Tensor, visualTokens?: Tensor) => {
      const outputs = languageForward(context, {
        inputsEmbeds: embedTokens(
          context,
          operands.inputIds,
          visualTokens && { rows: visualTokens, where: operands.isVisual, index: operands.visualIndex },
        ),
        cos: operands.cos,
        sin: operands.sin,
        mask: mask.and(mask.causal(at), mask.not(mask.prefix(padded))),
        cache: held,
        cacheLength: at,
      });
      return { logits: headForward(context, outputs.hidden), cache: outputs.cache! };
    },
    { device, name: 'a cached step' },
  );
  return {
    get length() {
      return length;
    },
    async feed(operands, visualTokens) {
      const result = await step(operands, cache, tensor(Int32Array.of(length)), hidden, visualTokens);
      cache = result.cache;
      length += operands.inputIds.shape[1]!;
      return (await result.logits.data(device)) as Float32Array;
    },
  };
}

export const argmax = (scores: ArrayLike<number>): number => {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id]! > scores[best]!) best = id;
  return best;
};

/** The last token's logits of each row. */
export function lastLogits(logits: Float32Array, rows: number, vocabulary: number): Float32Array[] {
  const perRow = logits.length / rows;
  return Array.from({ length: rows }, (_, row) => logits.subarray((row + 1) * perRow - vocabulary, (row + 1) * perRow));
}

export interface DecodedSteps {
  /** [row][step] */
  readonly ids: readonly (readonly number[])[];
  /** [step][row]: raw logits of each chosen token. */
  readonly logits: readonly (readonly Float32Array[])[];
}

/** Greedy decoding of `steps` tokens; rows are padded on the left. `choose` picks an id from raw logits, given the row so far. */
export async function decodeGreedily(
  context: ModelContext,
  device: Device,
  rows: readonly SequenceRow[],
  visualTokens: Tensor | undefined,
  steps: number,
  choose: (logits: Float32Array, sequence: readonly number[]) => number = argmax,
): Promise<DecodedSteps> {
  const { vocabSize } = context.config.textConfig;
  const length = Math.max(...rows.map((row) => row.inputIds.length));
  const padding = rows.map((row) => length - row.inputIds.length);
  const decoder = await createCachedDecoder(context, device, padding, length + steps);
  const nexts = rows.map((row) => rowPositions(context.config, row).next);
  const sequences = rows.map((row) => Array.from(row.inputIds));
  const logits: Float32Array[][] = [];
  let operands = sequenceOperands(context.config, rows, length, 'left');
  for (let step = 0; step < steps; step++) {
    const last = lastLogits(
      await decoder.feed(operands, step === 0 ? visualTokens : undefined),
      rows.length,
      vocabSize,
    );
    logits.push(last);
    last.forEach((scores, row) => sequences[row]!.push(choose(scores, sequences[row]!)));
    operands = sequenceOperands(
      context.config,
      sequences.map((ids, row) => {
        const position = nexts[row]! + step;
        return { inputIds: ids.slice(-1), grids: [], positions: Int32Array.of(position, position, position) };
      }),
    );
  }
  return { ids: sequences.map((ids, row) => ids.slice(rows[row]!.inputIds.length)), logits };
}
