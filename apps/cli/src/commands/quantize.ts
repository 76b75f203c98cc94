/** `mindseye quantize`: a checkpoint to one of 4 or 8 bits, and how much that costs. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { ModelFolder, type QuantizationEvaluation, type QuantizationName, quantizationNames } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';
import { writeJsonAtomic } from '@mindseye/tensor-core/node';
import { Command, Option } from 'commander';
import { canBeMeasured, measureFolder } from '../quantize/measure.js';
import { type QuantizationReport, quantizationReport, reportText } from '../quantize/report.js';
import { writeQuantizedModel } from '../quantize/write-model.js';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { CommandError, InterruptedError, UsageError, describeError } from '../shared/errors.js';
import { checkEmptyFolder } from '../shared/folder.js';
import { examplesOf } from '../shared/help.js';
import { MODEL_ARGUMENT, type ModelSourceOptions, addModelSourceOptions, openFiles } from '../shared/model-files.js';
import { deviceOption, jsonOption, threadsOption, tierOption } from '../shared/options.js';
import { type Progress, startProgress } from '../shared/progress.js';
import type { Terminal } from '../shared/terminal.js';

interface QuantizeOptions extends ModelSourceOptions, DeviceChoice {
  readonly model: string;
  readonly out: string;
  readonly format: QuantizationName;
  readonly groupSize: '32' | '64' | '128';
  readonly vision: boolean;
  readonly evaluate: boolean;
  readonly force: boolean;
  readonly json?: true;
}

export function quantizeCommand(terminal: Terminal): Command {
  return addModelSourceOptions(
    new Command('quantize')
      .description('store a model in 4 or 8 bits, and measure what that costs')
      .requiredOption('--model <model>', MODEL_ARGUMENT)
      .requiredOption('--out <folder>', 'where to write it'),
  )
    .addOption(
      new Option('--format <name>', 'bits of matrices; mixed is 4 with embedding and head in 8')
        .choices(quantizationNames)
        .default('mixed'),
    )
    .addOption(new Option('--group-size <n>', 'columns that share a scale').choices(['32', '64', '128']).default('64'))
    .option('--vision', 'quantise the vision tower too', false)
    .option('--no-evaluate', 'do not measure the result against the source')
    .option('--force', 'write into a folder that is not empty', false)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(tierOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf(
        'mindseye quantize --model Qwen/Qwen2.5-VL-3B-Instruct --out qwen-3b-mixed --no-evaluate',
        'mindseye quantize --model examples/tiny-livr/model --out tiny-int4 --format int4 --group-size 32',
      ),
    )
    .action(async (options: QuantizeOptions) => {
      const report = await run(options, terminal);
      terminal.print(options.json ? JSON.stringify(report) : reportText(report, options.out, terminal.colors));
    });
}

async function run(options: QuantizeOptions, terminal: Terminal): Promise<QuantizationReport> {
  const { model, out, evaluate } = options;
  await checkEmptyFolder(out, options.force);
  if (await isSamePlace(model, out)) throw new UsageError(`--out ${out} is the model itself; name another folder`);
  const files = await openFiles(model, { ...options, terminal });
  const source = await ModelFolder.open(files, ['config', 'weights']);
  const device = await openNamedDevice(options);
  const plan = await attempt(terminal, `interrupted; ${out} was not written`, (signal, progress) =>
    writeQuantizedModel(source, out, {
      policy: { format: options.format, groupSize: groupSizes[options.groupSize], vision: options.vision },
      device,
      signal,
      onStart: (total) => progress('quantising', total),
    }),
  );
  const reportWith = async (evaluation: QuantizationEvaluation | null): Promise<QuantizationReport> => {
    const report = quantizationReport(path.basename(source.location), plan, evaluation);
    await writeJsonAtomic(path.join(out, 'quantization_report.json'), report);
    return report;
  };
  const report = await reportWith(null);
  if (!evaluate) return report;
  if (canBeMeasured(source)) return reportWith(await measured(source, device, out, terminal));
  terminal.note(`${source.location} has no tokenizer or image processor: the result was not measured`);
  return report;
}

const groupSizes = { '32': 32, '64': 64, '128': 128 } as const;

/** @throws CommandError that says that the model is there all the same: both may be too much for one device. */
async function measured(
  source: ModelFolder,
  device: Device,
  out: string,
  terminal: Terminal,
): Promise<QuantizationEvaluation> {
  const done = `${out} is complete`;
  try {
    return await attempt(terminal, `interrupted; ${done}, and was not measured`, (signal, progress) => {
      let update: ((done: number) => void) | undefined;
      const onProgress = (count: number, total: number): void => (update ??= progress('measuring', total))(count);
      return measureFolder(source, out, { device, signal, onProgress });
    });
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    throw new CommandError(`${done}, and could not be measured (--no-evaluate): ${describeError(error)}`, {
      cause: error,
    });
  }
}

/** Runs work that an interrupt stops in good order, with a progress bar that ends with it. */
async function attempt<T>(
  terminal: Terminal,
  interrupted: string,
  work: (signal: AbortSignal, progress: (label: string, total: number) => (done: number) => void) => Promise<T>,
): Promise<T> {
  return terminal.whileInterruptible(async (signal) => {
    let bar: Progress | undefined;
    try {
      return await work(signal, (label, total) => {
        bar = startProgress(terminal, label, total);
        return (done) => bar?.update(done);
      });
    } catch (error) {
      throw signal.aborted ? new InterruptedError(interrupted, { cause: error }) : error;
    } finally {
      bar?.stop();
    }
  });
}

async function isSamePlace(model: string, out: string): Promise<boolean> {
  const [from, to] = await Promise.all([model, out].map((place) => realpath(place).catch(() => undefined)));
  return from !== undefined && from === to;
}
