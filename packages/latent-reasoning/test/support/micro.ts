/** A model and a task so small that hundreds of training steps take seconds on the reference device. */
import {
  type VisionItem,
  type GridThw,
  type Qwen2_5_VLConfig,
  type Weights,
  initializeWeights,
  tinyConfig,
} from '@mindseye/qwen-vl';
import { type Tensor, fillUniform, seedFromString } from '@mindseye/tensor-core';
import {
  type Method,
  type TrainableSetup,
  type TrainingExample,
  type TrainingSet,
  latentSequence,
  livr,
  livrLora,
} from '../../src/index.js';

/** Special ids start at 40; 62 and 63 are the latents. */
const base = tinyConfig(40);
export const microConfig: Qwen2_5_VLConfig = {
  ...base,
  textConfig: {
    ...base.textConfig,
    vocabSize: 64,
    hiddenSize: 16,
    intermediateSize: 20,
    numHiddenLayers: 2,
    numAttentionHeads: 2,
    numKeyValueHeads: 1,
    headDim: 8,
    mropeSection: [1, 1, 2],
    initializerRange: 0.2,
  },
  visionConfig: {
    ...base.visionConfig,
    depth: 2,
    hiddenSize: 8,
    intermediateSize: 12,
    numHeads: 1,
    patchSize: 2,
    temporalPatchSize: 1,
    windowSize: 8,
    fullattBlockIndexes: [1],
    outHiddenSize: 16,
  },
};

export const microLatents = [62, 63] as const;
export const imageToken: number = microConfig.imageTokenId;
/** `<|im_end|>` */
export const endOfTurn: number = microConfig.eosTokenIds[0]!;

export const microWeights = (seed = 1): Weights => initializeWeights(microConfig, seed);
/** The same weights, known to be dense. */
export const microTensors = (seed = 1): Readonly<Record<string, Tensor>> =>
  microWeights(seed) as Readonly<Record<string, Tensor>>;

/** An image of random patches. */
export function microImage(name: string, grid: GridThw = [1, 4, 4]): VisionItem {
  const { inChannels, temporalPatchSize, patchSize } = microConfig.visionConfig;
  const pixelValues = fillUniform(
    new Float32Array(grid[0] * grid[1] * grid[2] * inChannels * temporalPatchSize * patchSize ** 2),
    seedFromString(name),
  );
  return { grid, pixelValues: pixelValues.map((value) => 4 * value - 2) };
}

/** `start image end, 1 + i mod 3 question tokens, end of turn, header` as ids. */
export function microPrompt(i: number, images: readonly VisionItem[]): number[] {
  const visual = images.flatMap(({ grid }) => [
    base.visionStartTokenId,
    ...Array.from({ length: (grid[0] * grid[1] * grid[2]) / 4 }, () => imageToken),
    base.visionEndTokenId,
  ]);
  const question = Array.from({ length: 1 + (i % 3) }, (_, k) => 10 + ((i + k) % 5));
  return [1, 2, ...visual, ...question, endOfTurn, 3, 1, 4];
}

/** @param latentIds empty for sequences without latents */
export function microExample(
  i: number,
  latentIds: readonly number[] = microLatents,
  images: readonly VisionItem[] = [microImage(`image ${i}`)],
): TrainingExample {
  const prompt = { inputIds: microPrompt(i, images), grids: images.map(({ grid }) => grid) };
  const tokens = { imageTokenId: imageToken, endOfTurnId: endOfTurn, latentIds };
  return {
    id: `example ${i}`,
    images,
    sequence: latentSequence(
      prompt,
      tokens,
      Array.from({ length: 1 + (i % 2) }, (_, k) => 20 + ((3 * i + k) % 8)),
    ),
  };
}

export function microSet(size: number, latentIds: readonly number[] = microLatents): TrainingSet {
  const examples = Array.from({ length: size }, (_, i) => microExample(i, latentIds));
  return { size, example: (i) => examples[i]! };
}

/** LIVR in two short stages, with much dropout so that a wrong seed shows. */
export const microMethod: Method = {
  ...livr,
  latentTokens: microLatents.length,
  lora: { ...livrLora, rank: 2, alpha: 4, dropout: 0.3 },
  stages: [
    { name: 'bottleneck', mask: 'bottleneck', epochs: 2 },
    { name: 'causal', mask: 'causal', epochs: 1 },
  ],
  learningRate: 1e-2,
  batchSize: 4,
};

export const microSetup = (method: Method, weights: Weights = microWeights()): TrainableSetup => ({
  config: microConfig,
  weights,
  trains: method.trains,
  lora: method.lora,
  latentIds: method.latentTokens > 0 ? microLatents : [],
});
