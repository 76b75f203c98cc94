/**
 * A model by what a person calls it: a folder on disk, or the name of one on a hub.
 *
 * A folder of that name wins. Only a text of the form `organisation/name` or `organisation/name@revision`, with no such folder,
 * ever makes a request.
 */
import { ModelFolderError } from '../errors.js';
import { parseRepository } from '../files/hub/repository.js';
import { MODEL_PARTS } from '../files/known-files.js';
import type { ModelFiles } from '../files/model-files.js';
import { ModelFolder } from '../files/model-folder.js';
import { folderFiles, isFolder } from './folder-files.js';
import { type HubOptions, openHubFiles } from './hub-files.js';

export interface OpenModelOptions extends HubOptions {
  /** Branch, tag or commit of a model on a hub; the one behind its `@`, or `main`, when left out. */
  readonly revision?: string;
}

/**
 * The files of a model: of a folder on disk, or of a hub.
 * @param model path of a folder, or `organisation/name@revision`
 * @throws ModelFolderError when there is no such folder, or as `openHubFiles`
 */
export async function openModelFiles(model: string, options: OpenModelOptions = {}): Promise<ModelFiles> {
  const { revision } = options;
  const hasFolder = await isFolder(model);
  const repository = hasFolder ? undefined : parseRepository(model, revision);
  if (repository) return openHubFiles(repository, options);
  if (revision !== undefined) {
    const problem = hasFolder ? 'is a folder on disk, which has no revisions' : 'is not the name of a model on a hub';
    throw new ModelFolderError(`${model} ${problem}; leave the revision ${revision} out`);
  }
  return folderFiles(model);
}

/**
 * Opens a model by its folder or its name on a hub.
 * @throws ModelFolderError naming the place and every missing file; as `openModelFiles`
 */
export async function openModelFolder(model: string, options: OpenModelOptions = {}): Promise<ModelFolder> {
  const { remoteParts = [], parts = MODEL_PARTS.filter((part) => !remoteParts.includes(part)) } = options;
  return ModelFolder.open(await openModelFiles(model, { ...options, parts, remoteParts }), [...parts, ...remoteParts]);
}
