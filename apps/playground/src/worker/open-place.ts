/** The files of a model, wherever it comes from. */
import { type ModelFiles, directoryFiles, httpFolder, openHubModel, pathedFiles } from '@mindseye/qwen-vl';
import type { LoadProgress, ModelSource } from './protocol.js';

export type StoredSource = Exclude<ModelSource, { kind: 'random' }>;

type OnProgress = (progress: LoadProgress) => void;

type Places = {
  readonly [K in StoredSource['kind']]: (
    source: Extract<StoredSource, { kind: K }>,
    onProgress: OnProgress,
  ) => Promise<ModelFiles>;
};

const places: Places = {
  files: ({ base, files }) => httpFolder(base, { names: files }),
  folder: async ({ folder }) => ('length' in folder ? pathedFiles(folder) : directoryFiles(folder)),
  hub: ({ name }, onProgress) =>
    openHubModel(name, { onProgress: ({ done, total }) => onProgress({ step: 'fetching', done, total }) }),
};

/** @param onProgress told of what is fetched; a hub's files that the page's storage has cost no request */
export const openPlace = <K extends StoredSource['kind']>(
  source: Extract<StoredSource, { kind: K }>,
  onProgress: OnProgress,
): Promise<ModelFiles> => places[source.kind as K](source, onProgress);
