/** Models as commands name them, a folder or `organisation/name@revision`, with the progress of what has to be fetched. */
import { type ModelFiles, type ModelFolderPart, MODEL_PARTS, ModelFolder } from '@mindseye/qwen-vl';
import { openModelFiles } from '@mindseye/qwen-vl/node';
import { type Command } from 'commander';
import { InterruptedError } from './errors.js';
import { type Progress, startProgress } from './progress.js';
import type { Terminal } from './terminal.js';

/** What `--model` takes, for help texts. */
export const MODEL_ARGUMENT = 'checkpoint folder, or organisation/name[@revision] on the hub';

export interface ModelSourceOptions {
  readonly revision?: string;
  readonly offline?: true;
  readonly refresh?: true;
}

/** Adds the options that say where a named model comes from. */
export function addModelSourceOptions(command: Command): Command {
  return command
    .option('--revision <name>', 'branch, tag or commit of a model on the hub (default: main)')
    .option('--offline', 'fetch nothing: use what the cache has (or set HF_HUB_OFFLINE=1)')
    .option('--refresh', 'fetch the newest commit of a model on the hub');
}

export interface ModelAccess extends ModelSourceOptions {
  readonly terminal: Terminal;
  /** Parts that are needed; all that a model has when left out. */
  readonly parts?: readonly ModelFolderPart[];
  /** Parts that are read on the hub, by ranges, unless they are in the cache. */
  readonly remoteParts?: readonly ModelFolderPart[];
}

const MEGABYTE = 1e6;

/**
 * The files of a model; of one on the hub, what is needed is fetched first, and an interrupt leaves what has come.
 * @throws InterruptedError, and as `openModelFiles`
 */
export async function openFiles(model: string, access: ModelAccess): Promise<ModelFiles> {
  const { terminal, parts = MODEL_PARTS, remoteParts = [], revision, offline, refresh } = access;
  return terminal.whileInterruptible(async (signal) => {
    let progress: Progress | undefined;
    try {
      return await openModelFiles(model, {
        parts,
        remoteParts,
        signal,
        ...(revision !== undefined && { revision }),
        ...(offline && { offline }),
        ...(refresh && { refresh }),
        onProgress({ file, done, total }) {
          if (done < total) progress ??= startProgress(terminal, `fetching ${model}, MB`, megabytes(total));
          progress?.update(megabytes(done), file);
        },
      });
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new InterruptedError(
        `interrupted; what has come of ${model} is kept, and the same command goes on from there`,
      );
    } finally {
      progress?.stop();
    }
  });
}

const megabytes = (bytes: number): number => Math.ceil(bytes / MEGABYTE);

/** Opens a model that has all the parts. @throws ModelFolderError naming every missing file; as `openFiles` */
export async function openFolder(model: string, access: ModelAccess): Promise<ModelFolder> {
  const { parts = MODEL_PARTS, remoteParts = [] } = access;
  return ModelFolder.open(await openFiles(model, access), [...parts, ...remoteParts]);
}
