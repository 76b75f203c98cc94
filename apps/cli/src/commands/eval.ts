/** `mindseye eval`: accuracy on a task with its interval, per-sample records, and the audit of the latents. */
import {
  CONDITIONS,
  type Condition,
  SPLITS,
  type Shard,
  type Split,
  bottleneckReport,
  latentRemovalReport,
  summarize,
  tasks,
} from '@mindseye/eval';
import { Command, Option } from 'commander';
import { type EvaluationReport, reportText } from '../eval/report.js';
import { type RecordsByCondition, evaluateConditions } from '../eval/run.js';
import { type DeviceChoice, openNamedDevice } from '../shared/device.js';
import { CommandError, UsageError } from '../shared/errors.js';
import { examplesOf } from '../shared/help.js';
import { openLatentModel } from '../shared/model.js';
import { MODEL_ARGUMENT, type ModelSourceOptions, addModelSourceOptions } from '../shared/model-files.js';
import {
  deviceOption,
  dtypeOption,
  integer,
  jsonOption,
  shard,
  threadsOption,
  tierOption,
  type WeightDType,
} from '../shared/options.js';
import { answerBudget, latentSolver } from '../shared/solver.js';
import type { Terminal } from '../shared/terminal.js';

interface EvalOptions extends ModelSourceOptions, DeviceChoice {
  readonly model: string;
  readonly adapter?: string;
  readonly task: string;
  readonly split: Split;
  readonly limit?: number;
  readonly shard?: Shard;
  readonly condition: Condition;
  readonly audit: boolean;
  readonly maxNewTokens?: number;
  readonly output?: string;
  readonly resume: boolean;
  readonly dtype: WeightDType;
  readonly json?: true;
}

export function evalCommand(terminal: Terminal): Command {
  return addModelSourceOptions(new Command('eval'))
    .description('measure a model on a task, and whether its latents cause its answers')
    .requiredOption('--model <model>', MODEL_ARGUMENT)
    .option('--adapter <folder>', 'PEFT adapter folder')
    .addOption(new Option('--task <name>', 'what to measure').choices(Object.keys(tasks)).makeOptionMandatory())
    .addOption(new Option('--split <name>', 'part of the task').choices(SPLITS).default('test'))
    .option('--limit <n>', 'only the first n samples', integer(1))
    .option('--shard <k/n>', 'only every n-th sample, from the k-th', shard)
    .addOption(new Option('--condition <name>', 'restriction to answer under').choices(CONDITIONS).default('standard'))
    .option('--audit', 'test by removal and by the bottleneck whether the latents cause the answers', false)
    .option('--max-new-tokens <n>', 'longest answer (default: what the answers of the task need)', integer(1, 65536))
    .option('--output <file.jsonl>', 'write one record per sample')
    .option('--resume', 'go on with the records in the output file', false)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(tierOption())
    .addOption(dtypeOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf(
        'mindseye eval --model seen --adapter counter --task counting --limit 500 --output counting.jsonl',
        'mindseye eval --model seen --adapter counter --task counting --split validation --audit',
        'mindseye eval --model seen --adapter counter --task counting --shard 2/4 --output part2.jsonl --resume',
      ),
    )
    .action(async (options: EvalOptions) => {
      const report = await measure(options, terminal);
      terminal.print(options.json ? JSON.stringify(report) : reportText(report, terminal.colors));
    });
}

async function measure(options: EvalOptions, terminal: Terminal): Promise<EvaluationReport> {
  const { split, condition, output, resume, limit, shard: part } = options;
  const task = tasks[options.task]!;
  if (options.audit && condition !== 'standard')
    throw new UsageError(`--audit runs every condition; leave --condition ${condition} out`);
  if (resume && output === undefined) throw new UsageError('--resume needs the --output file to go on with');
  if (limit !== undefined && limit > task.splits[split])
    throw new UsageError(
      `--limit ${limit}: the ${split} split of ${task.name} has ${task.splits[split]}; give at most that`,
    );
  const device = await openNamedDevice(options);
  const { model, name, fingerprint } = await openLatentModel(options.model, options.adapter, device, {
    ...options,
    terminal,
  });
  if (options.audit && model.latentIds.length === 0)
    throw new CommandError(
      `${name} has no latent tokens to audit; give the --adapter of a model trained with --method livr`,
    );
  const maxNewTokens = options.maxNewTokens ?? answerBudget(task, split, model.processor.tokenizer);
  const solver = latentSolver(model, {
    name,
    fingerprint: `${fingerprint} ${maxNewTokens} ${device.name}${options.dtype === 'auto' ? '' : ` ${options.dtype}`}`,
    maxNewTokens,
  });
  const run = {
    task,
    solver,
    split,
    resume,
    ...(limit !== undefined && { limit }),
    ...(part && { shard: part }),
    ...(output !== undefined && { output }),
  };
  const records = await evaluateConditions(run, options.audit ? CONDITIONS : [condition], terminal);
  return {
    task: task.name,
    split,
    condition,
    model: name,
    fingerprint,
    summary: summarize(task, records.get(condition)!),
    ...(options.audit && { audit: auditOf(task, records) }),
  };
}

/** Both mechanism tests from the records of all conditions, each of which is asked once. */
function auditOf(
  task: { readonly chance: number },
  records: RecordsByCondition,
): NonNullable<EvaluationReport['audit']> {
  const of = (condition: Condition) => records.get(condition)!;
  const standard = of('standard');
  return {
    latentRemoval: latentRemovalReport(task, { standard, 'no-latents': of('no-latents') }),
    bottleneck: bottleneckReport(task, {
      standard,
      bottleneck: of('bottleneck'),
      'bottleneck-no-latents': of('bottleneck-no-latents'),
    }),
  };
}
