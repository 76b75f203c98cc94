/** `mindseye merge`: a checkpoint with an adapter in its weights, for programs that know no adapters. */
import path from 'node:path';
import { mergeCheckpoint } from '@mindseye/latent-reasoning';
import type { ModelFolder } from '@mindseye/qwen-vl';
import { saveCheckpoint } from '@mindseye/qwen-vl/node';
import type { SafetensorsEntry } from '@mindseye/tensor-core';
import { writeJsonAtomic } from '@mindseye/tensor-core/node';
import { Command } from 'commander';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { copyAllButWeights, copyFiles } from '../shared/copy-files.js';
import { InterruptedError } from '../shared/errors.js';
import { checkEmptyFolder } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { MODEL_ARGUMENT, type ModelSourceOptions, addModelSourceOptions, openFolder } from '../shared/model-files.js';
import { openAdapter } from '../shared/model.js';
import { deviceOption, jsonOption, threadsOption, tierOption } from '../shared/options.js';
import { startProgress } from '../shared/progress.js';
import { writeFolder } from '../shared/staging.js';
import type { Terminal } from '../shared/terminal.js';

interface MergeOptions extends ModelSourceOptions, DeviceChoice {
  readonly model: string;
  readonly adapter: string;
  readonly out: string;
  readonly force: boolean;
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
    .addOption(threadsOption())
    .addOption(tierOption())
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
  const { adapter, folder: adapterFolder } = await openAdapter(options.adapter, config, adapterAccess);
  const source = await folder.checkpoint();
  try {
    const merged = mergeCheckpoint(source, config, adapter, await openNamedDevice(options));
    const json = (await folder.json('config.json')) as object;
    await write(options.out, terminal, merged.entries, async (staging) => {
      await copyAllButWeights(folder.files, staging);
      await copyTokenizer(adapterFolder, folder, staging);
      const tied = { tie_word_embeddings: merged.config.tieWordEmbeddings };
      await writeJsonAtomic(path.join(staging, 'config.json'), { ...json, ...tied });
    });
    return { folder: options.out, tensors: merged.entries.length, changed: merged.changed };
  } finally {
    await source.close();
  }
}

/** The adapter's own tokenizer, where it brings new tokens; a chat template that only the model has stays. */
async function copyTokenizer(adapter: ModelFolder, model: ModelFolder, folder: string): Promise<void> {
  await copyFiles(adapter.files, folder, ['tokenizer.json']);
  const [own, base] = [
    await adapter.optionalJson('tokenizer_config.json'),
    await model.optionalJson('tokenizer_config.json'),
  ] as { readonly chat_template?: unknown }[];
  const template = own?.chat_template ?? base?.chat_template;
  if (own)
    await writeJsonAtomic(path.join(folder, 'tokenizer_config.json'), {
      ...own,
      ...(template !== undefined && { chat_template: template }),
    });
}

async function write(
  out: string,
  terminal: Terminal,
  entries: readonly SafetensorsEntry[],
  writeOthers: (staging: string) => Promise<void>,
): Promise<void> {
  const progress = startProgress(terminal, 'merging', entries.length);
  const onProgress = (done: number): void => progress.update(done);
  await terminal
    .whileInterruptible(async (signal) => {
      const fill = async (staging: string): Promise<void> => {
        await writeOthers(staging);
        await saveCheckpoint(staging, entries, { signal, onProgress });
      };
      await writeFolder(out, fill).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        throw new InterruptedError(`interrupted; ${out} was not written`, { cause: error });
      });
    })
    .finally(() => progress.stop());
}
