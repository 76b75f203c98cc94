/** `mindseye init`: a complete checkpoint folder with random weights, to train from nothing. */
import path from 'node:path';
import {
  ChatTemplate,
  type Qwen2_5_VLConfig,
  TINY_BPE_VOCABULARY_SIZE,
  Tokenizer,
  initializeWeights,
  resolveGenerationConfig,
  tinyPreprocessorConfig,
  trainByteLevelBpe,
} from '@mindseye/qwen-vl';
import { saveModelFiles } from '@mindseye/qwen-vl/node';
import { writeSafetensors } from '@mindseye/tensor-core/node';
import { Command, Option } from 'commander';
import { tokenizerCorpus } from '../init/corpus.js';
import { initPresets } from '../init/presets.js';
import { checkEmptyFolder } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { integer, jsonOption } from '../shared/options.js';
import type { Terminal } from '../shared/terminal.js';
import { weightEntries } from '../shared/weight-entries.js';

interface InitOptions {
  readonly preset: string;
  readonly seed: number;
  readonly force: boolean;
  readonly json?: true;
}

export function initCommand(terminal: Terminal): Command {
  return new Command('init')
    .description('make a checkpoint folder with random weights and a tokenizer of its own')
    .argument('<folder>', 'where to write it')
    .addOption(new Option('--preset <name>', 'size of the model').choices(Object.keys(initPresets)).default('tiny'))
    .option('--seed <n>', 'seed of the weights', integer(0), 0)
    .option('--force', 'write into a folder that is not empty', false)
    .addOption(jsonOption())
    .addHelpText('after', examplesOf('mindseye init base', 'mindseye init base --preset nano --seed 7'))
    .action(async (folder: string, options: InitOptions) => {
      await checkEmptyFolder(folder, options.force);
      const parameters = await writeModel(folder, initPresets[options.preset]!.config(), options.seed);
      const summary = { folder, preset: options.preset, seed: options.seed, parameters };
      terminal.print(
        options.json
          ? JSON.stringify(summary)
          : `${folder}: a ${options.preset} Qwen2.5-VL with ${parameters} random parameters`,
      );
    });
}

/** @returns number of parameters */
async function writeModel(folder: string, config: Qwen2_5_VLConfig, seed: number): Promise<number> {
  const { tokenizerJson, tokenizerConfig } = trainByteLevelBpe(tokenizerCorpus(), TINY_BPE_VOCABULARY_SIZE);
  const weights = initializeWeights(config, seed);
  await saveModelFiles(folder, {
    config,
    preprocessor: tinyPreprocessorConfig(),
    generation: resolveGenerationConfig(undefined, config),
    tokenizer: Tokenizer.fromJson(tokenizerJson, tokenizerConfig),
    chatTemplate: new ChatTemplate(),
  });
  await writeSafetensors(path.join(folder, 'model.safetensors'), weightEntries(weights, 'F32'), { format: 'pt' });
  return Object.values(weights).reduce((sum, weight) => sum + weight.size, 0);
}
