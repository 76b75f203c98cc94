/**
 * The tiny model and its examples as the benchmarks use them: random weights, a tokenizer trained on the task's own
 * questions, and the counting task. Speed does not depend on what the weights are.
 */
import { counting, promptOf, tasks } from '@mindseye/eval';
import {
  type Method,
  type TrainableSetup,
  type Trainables,
  type TrainingExample,
  type TrainingSet,
  Trainer,
  initializeTrainables,
  latentSequence,
  livr,
  modelOf,
  role,
  sft,
} from '@mindseye/latent-reasoning';
import {
  ChatTemplate,
  type Prompt,
  Processor,
  Qwen2_5_VL,
  type Qwen2_5_VLConfig,
  TINY_BPE_VOCABULARY_SIZE,
  Tokenizer,
  imagePatches,
  initializeWeights,
  tinyConfig,
  tinyPreprocessorConfig,
  trainByteLevelBpe,
} from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';

const SEED = 0;
/** Of each task in the text that the tokenizer is trained on. */
const CORPUS_QUESTIONS = 300;
const CHAT = ['system', 'user', 'assistant', 'You are a helpful assistant.'];
/** More than any benchmark takes steps, so that no stage ends while it is measured. */
const EPOCHS = 1000;

/** LIVR's first stage as published: adapters and latent rows, bottleneck mask, batches of 8. */
const livrStage: Method = { ...livr, stages: [{ name: 'bottleneck', mask: 'bottleneck', epochs: EPOCHS }] };

/** Every weight, vision tower included, without latents. */
const fullStage: Method = { ...sft, trains: 'full', stages: [{ name: 'causal', mask: 'causal', epochs: EPOCHS }] };

export const benchMethods = { livr: livrStage, 'sft-full': fullStage } as const;
export type BenchMethod = keyof typeof benchMethods;

interface TinyModel {
  readonly config: Qwen2_5_VLConfig;
  readonly processor: Processor;
  readonly latentIds: readonly number[];
}

function questionsAndAnswers(): string[] {
  return Object.values(tasks).flatMap((task) =>
    Array.from({ length: CORPUS_QUESTIONS }, (_, i) => task.describe('train', i % task.splits.train)).flatMap(
      ({ question, answer }) => [question, answer],
    ),
  );
}

function tinyModel({ latentTokens }: Method): TinyModel {
  const trained = trainByteLevelBpe([...CHAT, ...questionsAndAnswers()], TINY_BPE_VOCABULARY_SIZE);
  const tokenizer = Tokenizer.fromJson(trained.tokenizerJson, trained.tokenizerConfig);
  const template = ChatTemplate.fromSources({ tokenizerConfig: trained.tokenizerConfig });
  const latentIds = tokenizer.addTokens(Array.from({ length: latentTokens }, (_, i) => `<|latent_${i + 1}|>`));
  return {
    config: tinyConfig(tokenizer.requireId('<|endoftext|>')),
    processor: new Processor(tokenizer, template, tinyPreprocessorConfig()),
    latentIds,
  };
}

function countingExamples({ config, processor, latentIds }: TinyModel, size: number): TrainingSet {
  const { tokenizer } = processor;
  const { imageTokenId } = config;
  const tokens = { imageTokenId, endOfTurnId: tokenizer.requireId('<|im_end|>'), latentIds };
  return {
    size,
    example(index) {
      const sample = counting.generate('train', index);
      const { inputIds, vision } = processor.ask(promptOf(counting, sample), [sample.image], {
        addGenerationPrompt: true,
      });
      const images = imagePatches(vision!);
      const prompt = { inputIds, grids: images.map(({ grid }) => grid) };
      return { id: sample.id, images, sequence: latentSequence(prompt, tokens, tokenizer.encode(sample.answer)) };
    },
  };
}

function setupOf({ config, latentIds }: TinyModel, { trains, lora }: Method): TrainableSetup {
  return { config, weights: initializeWeights(config, SEED), trains, lora, latentIds };
}

export interface TrainingRun {
  readonly trainer: Trainer;
  readonly batchSize: number;
  /** Tokens of the longest example. */
  readonly longest: number;
}

/** What a run starts from. */
export interface TrainingStart {
  readonly method: Method;
  readonly setup: TrainableSetup;
  readonly trainables: Trainables;
  /** Two batches, in the order in which they are used again and again. */
  readonly examples: readonly TrainingExample[];
}

export async function trainingStart(name: BenchMethod): Promise<TrainingStart> {
  const method = benchMethods[name];
  const model = tinyModel(method);
  const setup = setupOf(model, method);
  const examples = countingExamples(model, 2 * method.batchSize);
  return {
    method,
    setup,
    trainables: await initializeTrainables(setup, SEED),
    examples: await Promise.all(Array.from({ length: examples.size }, async (_, i) => examples.example(i))),
  };
}

/** A trainer at its first step. Examples are few, so that those of later steps are at hand and only steps are timed. */
export async function startTraining(name: BenchMethod, device: Device): Promise<TrainingRun> {
  const { method, setup, trainables, examples } = await trainingStart(name);
  const data: TrainingSet = { size: examples.length, example: (index) => examples[index]! };
  return {
    trainer: new Trainer({ method, setup, data, device, seed: SEED, order: 'sequential' }, trainables),
    batchSize: method.batchSize,
    longest: Math.max(...examples.map(({ sequence }) => sequence.inputIds.length)),
  };
}

export interface Answering {
  readonly model: Qwen2_5_VL;
  /** A question about an image, with the latents after it. */
  readonly prompt: Prompt;
}

/** An untrained model with adapters and latents, and a question for it. */
export async function openAnswering(device: Device): Promise<Answering> {
  const method = benchMethods.livr;
  const model = tinyModel(method);
  const setup = setupOf(model, method);
  const context = modelOf(setup, await initializeTrainables(setup, SEED));
  const { sequence, images } = await countingExamples(model, 1).example(0);
  const inputIds = sequence.inputIds.filter((_, at) => sequence.roles[at] !== role.answer);
  return { model: new Qwen2_5_VL(context, device), prompt: { inputIds, images } };
}
