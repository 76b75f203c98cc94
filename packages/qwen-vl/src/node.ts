/** What only Node can do: image files and checkpoint folders. The browser-safe rest of the package is in `index.ts`. */
export { decodeImage, readImage } from './node/decode-image.js';
export { encodePng, writePng } from './node/encode-png.js';
export { ModelFolder, type ModelFileName, type ModelFolderPart } from './node/model-folder.js';
export { saveModelFiles, type ModelFiles } from './node/save-model-files.js';
