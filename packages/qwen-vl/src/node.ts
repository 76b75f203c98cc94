/** What only Node can do: image files and checkpoint folders. The browser-safe rest of the package is in `index.ts`. */
export { decodeImage, readImage } from './node/decode-image.js';
export { encodePng, writePng } from './node/encode-png.js';
export { readVideoFrames, type ReadVideoOptions } from './node/read-video-frames.js';
export { folderFiles } from './node/folder-files.js';
export {
  hubCacheFolder,
  hubToken,
  isOffline,
  openHubFiles,
  type Environment,
  type HubOptions,
} from './node/hub-files.js';
export { openModelFiles, openModelFolder, type OpenModelOptions } from './node/model-folder.js';
export { saveModelFiles, type SavedModelParts } from './node/save-model-files.js';
export {
  DEFAULT_SHARD_BYTES,
  saveCheckpoint,
  type SaveCheckpointOptions,
  type SavedCheckpoint,
} from './node/save-checkpoint.js';
