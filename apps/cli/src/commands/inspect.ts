/** `mindseye inspect`: what a model folder holds and what it lacks, without loading it. */
import { MODEL_PARTS, type ModelFiles } from '@mindseye/qwen-vl';
import { Command } from 'commander';
import { type InspectReport, inspect } from '../inspect/report.js';
import { reportText } from '../inspect/text.js';
import { CommandError } from '../shared/errors.js';
import { examplesOf } from '../shared/help.js';
import { type ModelSourceOptions, MODEL_ARGUMENT, addModelSourceOptions, openFiles } from '../shared/model-files.js';
import { jsonOption } from '../shared/options.js';
import type { Terminal } from '../shared/terminal.js';

interface InspectOptions extends ModelSourceOptions {
  readonly download?: true;
  readonly json?: true;
}

export function inspectCommand(terminal: Terminal): Command {
  return addModelSourceOptions(new Command('inspect'))
    .description('look at a model or an adapter without loading it, and at what it lacks')
    .argument('<model>', `${MODEL_ARGUMENT}; or an adapter's`)
    .option('--download', 'fetch all of a model on the hub; else of its weights only the headers are read')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examplesOf(
        'mindseye inspect model',
        'mindseye inspect Qwen/Qwen2.5-VL-3B-Instruct',
        'mindseye inspect Qwen/Qwen2.5-VL-3B-Instruct@main --download',
      ),
    )
    .action(async (model: string, options: InspectOptions) => {
      const report = await inspect(await openInspected(model, options, terminal));
      terminal.print(options.json ? JSON.stringify(report) : reportText(report, terminal.colors));
      const complaint = complaintOf(report);
      if (complaint !== undefined) throw new CommandError(complaint);
    });
}

/** The files of a model; where there is no model but an adapter on the hub, those of the adapter. */
async function openInspected(model: string, options: InspectOptions, terminal: Terminal): Promise<ModelFiles> {
  const access = { ...options, terminal };
  const isWhole = options.download === true || options.offline === true;
  const files = await openFiles(model, {
    ...access,
    parts: isWhole ? MODEL_PARTS : MODEL_PARTS.filter((part) => part !== 'weights'),
    remoteParts: isWhole ? [] : ['weights'],
  });
  if (!files.repository || files.names.has('config.json')) return files;
  return openFiles(model, { ...access, parts: ['adapter'], remoteParts: [] });
}

/** What is wrong and how to mend it, in one line; undefined when nothing is. */
function complaintOf({ location, repository, missing, problems, weights }: InspectReport): string | undefined {
  const gaps = weights === null ? 0 : weights.missing.length + weights.mismatched.length;
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    const cure = repository
      ? 'the model on the hub does not have it; choose another model or revision'
      : missing.every(({ instead }) => instead === 'pointer')
        ? 'run `git lfs pull` in the folder'
        : 'download the whole checkpoint, or name it as organisation/name to have it fetched';
    return `${location} lacks ${names}; ${cure}`;
  }
  if (problems.length > 0)
    return problems.length === 1 ? problems[0] : `${location}: ${problems.length} problems, the first: ${problems[0]}`;
  if (gaps > 0)
    return `${location}: ${gaps} tensors are missing or do not fit config.json; take weights and config.json from one checkpoint, and all of its shards`;
  return undefined;
}
