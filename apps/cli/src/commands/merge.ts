/** `mindseye merge`: a checkpoint with an adapter in its weights, for programs that know no adapters. */
import { mergeCheckpoint } from '@mindseye/latent-reasoning';
import { ModelFolder, canonicalName } from '@mindseye/qwen-vl';
import { type SavedModelParts, saveCheckpoint, saveModelFiles } from '@mindseye/qwen-vl/node';
import type { SafetensorsDtype, SafetensorsEntry, TensorSource } from '@mindseye/tensor-core';
import { Command } from 'commander';
import { writeFolder } from '../quantize/staging.js';
import { openNamedDevice } from '../shared/device.js';
import { CommandError, InterruptedError } from '../shared/errors.js';
import { checkEmptyFolder } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import {
  MODEL_ARGUMENT,
  type ModelAccess,
  type ModelSourceOptions,
  addModelSourceOptions,
  openFiles,
  openFolder,
} from '../shared/model-files.js';
import { openAdapter } from '../shared/model.js';
import { deviceOption, jsonOption } from '../shared/options.js';
import { startProgress } from '../shared/progress.js';
import type { Terminal } from '../shared/terminal.js';

interface MergeOptions extends ModelSourceOptions {
  readonly model: string;
  readonly adapter: string;
  readonly out: string;
  readonly force: boolean;
  readonly device: string;
  readonly json?: true;
}

interface MergeSummary {
  readonly folder: string;
  /** Tensors of the checkpoint, and how many of them the adapter changed. */
  readonly tensors: number;
  readonly changed: number;
}

export function mergeCommand(terminal: Terminal): Command {
  return addModelSourceOptions(
    new Command('merge')
      .description('write a model with an adapter merged into its weights')
      .requiredOption('--model <model>', MODEL_ARGUMENT)
      .requiredOption('--adapter <adapter>', 'adapter of PEFT or MLX: a folder, or a name on the hub')
      .requiredOption('--out <folder>', 'where to write it'),
  )
    .option('--force', 'write into a folder that is not empty', false)
    .addOption(deviceOption())
    .addOption(jsonOption())
    .addHelpText('after', examplesOf('mindseye merge --model base --adapter counter --out counter-merged'))
    .action(async (options: MergeOptions) => {
      const summary = await merge(options, terminal);
      terminal.print(
        options.json
          ? JSON.stringify(summary)
          : `${summary.folder}: ${summary.changed} of ${summary.tensors} tensors changed by the adapter`,
      );
    });
}

async function merge(options: MergeOptions, terminal: Terminal): Promise<MergeSummary> {
  await checkEmptyFolder(options.out, options.force);
  const access = { ...options, terminal };
  const folder = await openFolder(options.model, access);
  const { config } = await folder.inspectWeights();
  // The revision is the model's.
  const { revision: _, ...adapterAccess } = access;
  const { adapter } = await openAdapter(options.adapter, config, adapterAccess);
  const { imageProcessor, chatTemplate } = await folder.processor();
  const source = await folder.checkpoint();
  try {
    const merged = mergeCheckpoint(source, config, adapter, await openNamedDevice(options.device));
    const files = {
      config: merged.config,
      dtype: dtypeOf(source),
      preprocessor: imageProcessor.config,
      generation: await folder.generationConfig(),
      tokenizer: await tokenizerOf(options.adapter, adapterAccess, folder),
      chatTemplate,
    };
    await write(options.out, files, merged.entries, terminal);
    return { folder: options.out, tensors: merged.entries.length, changed: merged.changed };
  } finally {
    await source.close();
  }
}

async function write(
  out: string,
  files: SavedModelParts,
  entries: readonly SafetensorsEntry[],
  terminal: Terminal,
): Promise<void> {
  const progress = startProgress(terminal, 'merging', entries.length);
  const onProgress = (done: number): void => progress.update(done);
  await terminal
    .whileInterruptible(async (signal) => {
      const fill = async (staging: string): Promise<void> => {
        await saveModelFiles(staging, files);
        await saveCheckpoint(staging, entries, { signal, onProgress });
      };
      await writeFolder(out, fill).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        throw new InterruptedError(`interrupted; ${out} was not written`, { cause: error });
      });
    })
    .finally(() => progress.stop());
}

/** The adapter's own tokenizer, where it brings new tokens; else the model's. */
async function tokenizerOf(
  adapter: string,
  access: ModelAccess,
  model: ModelFolder,
): ReturnType<ModelFolder['tokenizer']> {
  const own = await ModelFolder.open(await openFiles(adapter, { ...access, parts: ['adapter'] }), []);
  return (own.has('tokenizer.json') ? own : model).tokenizer();
}

const dtypeNames: Partial<Record<SafetensorsDtype, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** What config.json calls the dtype of the weights, which is that of their table. */
function dtypeOf(source: TensorSource): string {
  const table = source.names().find((name) => canonicalName(name) === 'model.language_model.embed_tokens.weight')!;
  const { dtype } = source.info(table);
  const name = dtypeNames[dtype];
  if (name) return name;
  throw new CommandError(`${table} is ${dtype}: merge into the dense checkpoint and quantise the result`);
}
