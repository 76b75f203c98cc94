/**
 * The index of a sharded checkpoint, `model.safetensors.index.json`:
 *
 *   { "metadata": { "total_size": … }, "weight_map": { tensor name: shard file name, … } }
 *
 * Shard names come from strangers, so they must be plain file names beside the index: no folder, no "..", no drive.
 * `total_size` is not checked: published checkpoints disagree on how tied and converted tensors count.
 *
 * Source: huggingface_hub `serialization/_base.py`; transformers `utils/hub.py`, get_checkpoint_shard_files.
 */
import { quote, SafetensorsError, type SafetensorsErrorCode } from './errors.js';
import { MAX_HEADER_BYTES, MAX_TENSORS } from './header.js';
import { type JsonValue, parseStrictJson, StrictJsonError } from './strict-json.js';

/** Most shard files of one checkpoint. */
export const MAX_SHARDS = 4096;

/** Longest index file, as long as the longest header. */
export const MAX_INDEX_BYTES: number = MAX_HEADER_BYTES;

/** Tensor names by shard file name, both in the order of the index. */
export type ShardIndex = ReadonlyMap<string, readonly string[]>;

const isPlainFileName = (name: string): boolean =>
  /^[^/\\:\p{Cc}]+\.safetensors$/u.test(name) && !name.startsWith('..');

/**
 * Parses and checks an index.
 * @param file name for error messages.
 * @throws SafetensorsError when it is not an index, or a shard name is not a plain `.safetensors` file name.
 */
export function parseShardIndex(bytes: Uint8Array, file: string): ShardIndex {
  const fail = (code: SafetensorsErrorCode, problem: string, tensor?: string): SafetensorsError =>
    new SafetensorsError({
      code,
      file,
      problem,
      cure: 'get the index again from its source, or write the checkpoint again',
      ...(tensor === undefined ? {} : { tensor }),
    });
  if (bytes.length > MAX_INDEX_BYTES)
    throw fail('limit', `the index has ${bytes.length} bytes, the limit is ${MAX_INDEX_BYTES}`);
  const root = parse(bytes, fail);
  const weightMap = root instanceof Map ? (root as ReadonlyMap<string, JsonValue>).get('weight_map') : undefined;
  if (!(weightMap instanceof Map)) throw fail('index', 'it has no "weight_map" object');
  const shards = new Map<string, string[]>();
  for (const [tensor, shard] of weightMap as ReadonlyMap<string, JsonValue>) {
    if (typeof shard !== 'string' || !isPlainFileName(shard)) {
      const shown = typeof shard === 'string' ? quote(shard) : 'not a string';
      throw fail('index', `its shard is ${shown}, which is not a plain .safetensors file name`, tensor);
    }
    const tensors = shards.get(shard);
    if (tensors) tensors.push(tensor);
    else shards.set(shard, [tensor]);
    if (shards.size > MAX_SHARDS) throw fail('limit', `more than ${MAX_SHARDS} shard files`);
  }
  if (shards.size === 0) throw fail('index', 'its "weight_map" is empty');
  return shards;
}

function parse(bytes: Uint8Array, fail: (code: SafetensorsErrorCode, problem: string) => SafetensorsError): JsonValue {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw fail('index', 'it is not valid UTF-8');
  }
  try {
    return parseStrictJson(text, { maxDepth: 8, maxValues: 16 * MAX_TENSORS });
  } catch (error) {
    if (error instanceof StrictJsonError) throw fail('index', `its JSON has ${error.message}`);
    throw error;
  }
}
