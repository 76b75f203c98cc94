export { blobSource, type BlobLike, bytesSource, type ByteSource } from './byte-source.js';
export {
  type CheckpointOptions,
  openCheckpoint,
  type OpenCheckpointFile,
  SafetensorsCheckpoint,
  type UnindexedTensor,
} from './checkpoint.js';
export { type SafetensorsArray, type SafetensorsDtype, safetensorsDtypeNames, sizeOfShape } from './dtype.js';
export { SafetensorsError, type SafetensorsErrorCode } from './errors.js';
export { parseSafetensorsHeader, type SafetensorsHeader, type TensorInfo } from './header.js';
export { SafetensorsReader } from './reader.js';
export { parseShardIndex, type ShardIndex } from './shard-index.js';
export type { SafetensorsTensor, TensorSource } from './tensor-source.js';
export { type EncodedSafetensors, encodeSafetensors, safetensorsBytes, type SafetensorsEntry } from './writer.js';
