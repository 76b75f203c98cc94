/** The supervised run that oracle/sft_training.py did with PEFT: its conversations, its settings, and what it recorded. */
import { type Device, tensor } from '@mindseye/tensor-core';
import type { Processor } from '@mindseye/qwen-vl';
import {
  type LoraConfig,
  type LoraPair,
  type Method,
  type TrainerOptions,
  type TrainingExample,
  Trainer,
  conversationSequence,
  initializeTrainables,
  languageTargets,
  sft,
} from '../../src/index.js';
import { type TinyModel, readImages, readJson, readTensors } from './golden.js';

export interface RunRecord {
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly lr: readonly number[];
}

export interface SftGolden extends RunRecord {
  readonly micro_batch: RunRecord;
  readonly lora: { readonly r: number; readonly lora_alpha: number; readonly lora_dropout: number };
  readonly adamw: { readonly lr: number; readonly weight_decay: number };
  readonly max_grad_norm: number;
  readonly num_warmup_steps: number;
  readonly num_training_steps: number;
  readonly batch_size: number;
  readonly conversations: readonly {
    readonly input_ids: readonly number[];
    readonly labels: readonly number[];
    readonly image_grid_thw: readonly (readonly [number, number, number])[];
  }[];
}

export const readSftGolden = (): Promise<SftGolden> => readJson<SftGolden>('sft-training.json');
const readSftTensors = (): ReturnType<typeof readTensors> => readTensors('sft-training.safetensors');

/** The conversations with the labels that we give them, their pictures through our own image processor. */
export async function sftExamples(processor: Processor, imageTokenId: number): Promise<TrainingExample[]> {
  const { conversations } = await readSftGolden();
  const tensors = await readSftTensors();
  const { tokenizer } = processor;
  const tokens = {
    imageTokenId,
    endOfTurnId: tokenizer.requireId('<|im_end|>'),
    assistantHeader: tokenizer.encode('<|im_start|>assistant\n', { parseSpecialTokens: true }),
    afterTurn: tokenizer.encode('\n'),
  };
  return Promise.all(
    conversations.map(async ({ input_ids: ids, image_grid_thw: grids }, i) => ({
      id: `conversation ${i}`,
      sequence: conversationSequence(ids, grids, tokens),
      images: await readImages(
        processor,
        tensors,
        grids.map((_, picture) => `${i}.${picture}`),
      ),
    })),
  );
}

export function sftLora({ lora }: SftGolden): LoraConfig {
  return { rank: lora.r, alpha: lora.lora_alpha, dropout: lora.lora_dropout, targetModules: languageTargets };
}

/** A trainer at the start of that run, from the same A matrices. */
export async function sftTrainer(
  { context, config, processor }: TinyModel,
  device: Device,
  options: Pick<TrainerOptions, 'microBatchSize' | 'lossMean'> = {},
): Promise<Trainer> {
  const golden = await readSftGolden();
  const tensors = await readSftTensors();
  const examples = await sftExamples(processor, config.imageTokenId);
  const lora = sftLora(golden);
  const method: Method = {
    ...sft,
    lora,
    stages: [
      { name: 'causal', mask: 'causal', epochs: (golden.num_training_steps * golden.batch_size) / examples.length },
    ],
    learningRate: golden.adamw.lr,
    weightDecay: golden.adamw.weight_decay,
    warmupRatio: golden.num_warmup_steps / golden.num_training_steps,
    batchSize: golden.batch_size,
    maxGradNorm: golden.max_grad_norm,
  };
  const setup = { config, weights: context.weights, trains: 'lora', lora, latentIds: [] } as const;
  const start = await initializeTrainables(setup, 0);
  const given: Record<string, LoraPair> = {};
  for (const [path, { a, b }] of Object.entries(start.lora))
    given[path] = {
      a: tensor(await tensors.readFloat32(`init.base_model.model.${path}.lora_A.weight`), a.shape),
      b,
    };
  return new Trainer(
    {
      method,
      setup,
      device,
      seed: 0,
      order: 'sequential',
      data: { size: examples.length, example: (i) => examples[i]! },
      ...options,
    },
    { ...start, lora: given },
  );
}
