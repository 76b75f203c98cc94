/** `mindseye train`: trains a model on a task, by a method of the table, into an adapter or a checkpoint folder. */
import path from 'node:path';
import { type TaskDefinition, tasks } from '@mindseye/eval';
import { methods } from '@mindseye/latent-reasoning';
import { writeJsonAtomic } from '@mindseye/tensor-core/node';
import { Command, Option } from 'commander';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { CommandError, UsageError } from '../shared/errors.js';
import { listFolder } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { openBaseModel } from '../shared/model.js';
import { MODEL_ARGUMENT, type ModelSourceOptions, addModelSourceOptions } from '../shared/model-files.js';
import {
  deviceOption,
  dtypeOption,
  integer,
  integerList,
  jsonOption,
  number,
  threadsOption,
  tierOption,
  type WeightDType,
} from '../shared/options.js';
import { startProgress } from '../shared/progress.js';
import type { Terminal } from '../shared/terminal.js';
import { version } from '../shared/version.js';
import { type WeightDtype, weightDtypes } from '../shared/weight-entries.js';
import { addLatentTokens, taskTrainingSet } from '../train/data.js';
import { identityOf } from '../train/identity.js';
import { type RecipeOptions, recipeOf } from '../train/recipe.js';
import { saveResult } from '../train/result.js';
import { type RunResult, prepareFolder, removeRunState, runFiles, runTraining } from '../train/run.js';
import { validationAccuracy } from '../train/validation.js';

interface TrainOptions extends RecipeOptions, ModelSourceOptions, DeviceChoice {
  readonly model: string;
  readonly task: string;
  readonly output: string;
  readonly examples: number;
  readonly questions: number;
  readonly microBatchSize?: number;
  readonly gradientCheckpointing: boolean;
  readonly seed: number;
  readonly dtype: WeightDType;
  readonly validate: number;
  readonly saveEvery?: number;
  readonly weightsDtype: WeightDtype;
  readonly resume: boolean;
  readonly force: boolean;
  readonly json?: true;
}

export function trainCommand(terminal: Terminal): Command {
  const describe = Object.values(methods)
    .map(({ name, summary, source }) => `  ${name.padEnd(6)} ${summary} (${source})`)
    .join('\n');
  return addModelSourceOptions(new Command('train'))
    .description('train a model on a generated task')
    .requiredOption('--model <model>', `${MODEL_ARGUMENT}, to start from`)
    .addOption(new Option('--task <name>', 'what to train on').choices(Object.keys(tasks)).makeOptionMandatory())
    .requiredOption('--output <folder>', 'where the result and its log go')
    .addOption(new Option('--method <name>', 'how to train').choices(Object.keys(methods)).default('livr'))
    .addOption(
      new Option('--trains <what>', 'adapters on the language model, or every weight').choices(['lora', 'full']),
    )
    .option('--examples <n>', 'train on the first n examples of the split', integer(1), 1000)
    .option('--questions <n>', 'questions about each image, in tasks that can ask several', integer(1, 64), 1)
    .option('--epochs <list>', 'epochs of each stage, such as 4,6', integerList)
    .option('--batch-size <n>', 'examples per optimiser step', integer(1, 65536))
    .option('--micro-batch-size <n>', 'examples whose gradients are computed at once', integer(1, 65536))
    .option('--gradient-checkpointing', 'compute layers again in the backward pass: less memory, slower', false)
    .option('--learning-rate <x>', 'peak learning rate', number(0, 10))
    .option('--weight-decay <x>', 'weight decay of AdamW', number(0, 10))
    .option('--warmup-ratio <x>', 'part of each stage spent warming up', number(0, 1))
    .option('--latents <n>', 'latent tokens after the question', integer(0, 1024))
    .option('--lora-rank <n>', 'rank of the adapters', integer(1, 4096))
    .option('--lora-alpha <x>', 'scale of the adapters, over the rank', number(0, 65536))
    .option('--lora-dropout <x>', 'dropout of the adapters', number(0, 0.999))
    .option('--seed <n>', 'seed of order, dropout and new weights', integer(0), 42)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(tierOption())
    .addOption(dtypeOption())
    .option('--validate <n>', 'keep the epoch that is best on n validation samples; 0 keeps the last', integer(0), 0)
    .option('--save-every <steps>', 'steps between checkpoints (default: an epoch)', integer(1))
    .addOption(
      new Option('--weights-dtype <type>', 'type of full weights in the file')
        .choices(Object.keys(weightDtypes))
        .default('F32'),
    )
    .option('--resume', 'go on with the interrupted run in the output folder', false)
    .option('--force', 'replace what is in the output folder', false)
    .addOption(jsonOption())
    .addHelpText('after', `\nMethods:\n${describe}\n\nOptions left out have the value of the method.\n`)
    .addHelpText(
      'after',
      examplesOf(
        'mindseye train --model base --task perception --output seen --method sft --trains full --examples 20000 --epochs 2',
        'mindseye train --model seen --task counting --output counter --epochs 4,6 --validate 200',
        'mindseye train --model seen --task counting --output counter --epochs 4,6 --validate 200 --resume',
      ),
    )
    .action(async (options: TrainOptions) => {
      const result = await train(options, terminal);
      terminal.print(options.json ? JSON.stringify(result.record) : result.text);
    });
}

async function train(
  options: TrainOptions,
  terminal: Terminal,
): Promise<{ readonly record: object; readonly text: string }> {
  const method = recipeOf(options);
  const task = tasks[options.task]!;
  checkValidation(options, task);
  await checkOutput(options);
  const device = await openNamedDevice(options);
  const base = await openBaseModel(options.model, { ...options, terminal }, device);
  const latentIds = addLatentTokens(base.processor.tokenizer, method.latentTokens, base.config.textConfig.vocabSize);
  const data = taskTrainingSet({
    task,
    size: options.examples,
    processor: base.processor,
    imageTokenId: base.config.imageTokenId,
    latentIds,
    questions: options.questions,
  });
  const setup = {
    config: base.config,
    weights: base.weights,
    trains: method.trains,
    lora: method.lora,
    latentIds,
    gradientCheckpointing: options.gradientCheckpointing,
  };
  const { seed, validate: samples, output: folder, resume, saveEvery } = options;
  const microBatchSize = Math.min(options.microBatchSize ?? method.batchSize, method.batchSize);
  const identity = identityOf({
    method,
    seed,
    examples: data.size,
    questions: options.questions,
    task: `${task.name} ${task.version}`,
    microBatchSize,
    validate: samples,
    device: device.name,
    dtype: options.dtype,
    base: base.fingerprint,
  });
  if (!resume) await prepareFolder(folder);
  const validation = { task, samples, setup, processor: base.processor, device };
  const result = await runTraining({
    folder,
    method,
    setup,
    data,
    device,
    seed,
    microBatchSize,
    identity,
    resume,
    ...(saveEvery !== undefined && { saveEvery }),
    ...(samples > 0 && {
      validate: async (trained, condition) => ({
        samples,
        accuracy: await validationAccuracy(trained, condition, validation),
      }),
    }),
    interrupted: terminal.catchInterrupts(),
    startProgress: (total) => startProgress(terminal, `${method.name} on ${task.name}`, total),
  });
  await saveResult(result.trained, { folder, base, method, latentIds, device, dtype: options.weightsDtype });
  const record = recordOf(result, {
    command: commandLine(terminal.argv),
    method,
    identity,
    latentIds,
  });
  await writeJsonAtomic(path.join(folder, runFiles.record), record);
  await removeRunState(folder);
  return { record, text: summaryOf(result, options, method.trains) };
}

function checkValidation({ validate }: TrainOptions, task: TaskDefinition): void {
  const available = task.splits.validation;
  if (validate > available)
    throw new UsageError(
      `--validate ${validate}: the validation split of ${task.name} has ${available}; give at most that`,
    );
}

/** Refuses a folder that holds something this run would overwrite, or nothing to resume. */
async function checkOutput({ output, resume, force }: TrainOptions): Promise<void> {
  const names = await listFolder(output);
  const isStarted = names.includes(runFiles.checkpoint);
  if (resume && !isStarted) {
    const reason = names.includes(runFiles.record) ? 'its run is complete' : `it has no ${runFiles.checkpoint}`;
    throw new CommandError(`${output}: there is nothing to resume, ${reason}; leave --resume out to start a run`);
  }
  if (resume || names.length === 0) return;
  if (!force) {
    const cure = isStarted
      ? '--resume to go on with its run, --force to start afresh'
      : '--force to replace what is there';
    throw new CommandError(`${output} is not empty: choose another folder, or ${cure}`);
  }
}

/** The command that makes the result from the start, to be pasted into a shell. */
function commandLine(argv: readonly string[]): string {
  const words = argv
    .filter((word) => word !== '--resume')
    .map((word) => (/^[\w./:,=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
  return ['mindseye', ...words].join(' ');
}

interface RecordSources {
  readonly command: string;
  readonly method: object;
  readonly identity: object;
  readonly latentIds: readonly number[];
}

/** Everything that is needed to make the result again, and what it achieved. No times: the same run leaves the same record. */
function recordOf(
  { steps, finalLoss, best, log }: RunResult,
  { command, method, identity, latentIds }: RecordSources,
): Record<string, unknown> {
  return {
    command,
    versions: { mindseye: version, node: process.version },
    method,
    identity,
    latentIds,
    steps,
    finalLoss,
    best,
    validations: log,
  };
}

function summaryOf({ steps, finalLoss, best }: RunResult, { output }: TrainOptions, trains: string): string {
  const what = trains === 'lora' ? 'an adapter' : 'a model';
  const loss = finalLoss === null ? '' : `, last loss ${finalLoss.toFixed(4)}`;
  const accuracy = best
    ? `, kept epoch ${best.epoch} with ${(100 * best.accuracy).toFixed(1)} % on ${best.samples} validation samples`
    : '';
  return `${output}: ${what} after ${steps} steps${loss}${accuracy}`;
}
