/** What only Node can do: files. The browser-safe rest of the package is in `index.ts`. */
export { type AtomicWriteOptions, writeFileAtomic, writeJsonAtomic } from './node/atomic-write.js';
export { collectGarbage } from './node/collect-garbage.js';
export { FileByteSource } from './node/file-byte-source.js';
export { FileError } from './node/file-error.js';
export { type AtomicFileSystem, nodeFileSystem, type WritableFile } from './node/file-system.js';
export { openCheckpointFolder, openSafetensorsFile, writeSafetensors } from './node/safetensors-file.js';
