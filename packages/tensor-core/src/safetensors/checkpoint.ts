/**
 * A Hugging Face checkpoint: `model.safetensors`, or the shards that `model.safetensors.index.json` lists, as one `TensorSource`.
 *
 * Where the files are (a folder, a browser's File list, a hub cache) is the caller's business: it passes a function from file
 * name to `ByteSource`. Opening reads headers only, checks that every tensor of the index is in its shard, and notes tensors that
 * the shards hold but the index does not name.
 *
 * Source: the order of file names in transformers `modeling_utils.py`, _get_resolved_checkpoint_files.
 */
import type { ByteSource } from './byte-source.js';
import { oneLine, quote, SafetensorsError, type SafetensorsErrorCode } from './errors.js';
import type { TensorInfo } from './header.js';
import { SafetensorsReader } from './reader.js';
import { MAX_INDEX_BYTES, parseShardIndex } from './shard-index.js';
import type { SafetensorsTensor, TensorSource } from './tensor-source.js';

/**
 * Opens one file of the checkpoint by its plain name. A file that does not exist is `undefined`, or a rejection whose `code` is
 * "ENOENT" or whose `name` is "NotFoundError"; any other rejection is passed on.
 */
export type OpenCheckpointFile = (fileName: string) => Promise<ByteSource | undefined>;

export interface CheckpointOptions {
  /** Where the checkpoint is, for error messages; a folder path or address. */
  readonly location?: string;
  /** Name of the unsharded file, "model.safetensors" when omitted. */
  readonly fileName?: string;
  /** Name of the index, the unsharded name with ".index.json" when omitted. */
  readonly indexName?: string;
}

/** A tensor that lies in a shard although the index does not place it there. It is not among `names()`. */
export interface UnindexedTensor {
  readonly name: string;
  readonly file: string;
}

/** An open checkpoint. */
export class SafetensorsCheckpoint implements TensorSource {
  /** Files it is read from, in index order. */
  readonly files: readonly string[];
  /** Tensors that the shards hold beyond the index; a clean checkpoint has none. */
  readonly unindexed: readonly UnindexedTensor[];
  /** The files' own notes; of equal keys the first file's. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #location: string;
  readonly #readers: readonly SafetensorsReader[];
  readonly #home: ReadonlyMap<string, SafetensorsReader>;

  constructor(location: string, readers: readonly SafetensorsReader[], home: ReadonlyMap<string, SafetensorsReader>) {
    this.files = readers.map((reader) => reader.file);
    this.unindexed = readers.flatMap((reader) =>
      reader.names().flatMap((name) => (home.get(name) === reader ? [] : [{ name, file: reader.file }])),
    );
    this.metadata = new Map(readers.toReversed().flatMap((reader) => [...reader.metadata]));
    this.#location = location;
    this.#readers = readers;
    this.#home = home;
  }

  names(): string[] {
    return [...this.#home.keys()];
  }

  has(name: string): boolean {
    return this.#home.has(name);
  }

  info(name: string): TensorInfo {
    return this.#reader(name).info(name);
  }

  async read(name: string): Promise<SafetensorsTensor> {
    return this.#reader(name).read(name);
  }

  async readBytesInto(name: string, target: Uint8Array): Promise<void> {
    return this.#reader(name).readBytesInto(name, target);
  }

  async readRangeInto(name: string, from: number, target: Uint8Array): Promise<void> {
    return this.#reader(name).readRangeInto(name, from, target);
  }

  async readFloat32(name: string): Promise<Float32Array> {
    return this.#reader(name).readFloat32(name);
  }

  async readFloat32Into(name: string, target: Float32Array): Promise<void> {
    return this.#reader(name).readFloat32Into(name, target);
  }

  async close(): Promise<void> {
    await closeAll(this.#readers);
  }

  #reader(name: string): SafetensorsReader {
    const reader = this.#home.get(name);
    if (reader) return reader;
    throw new SafetensorsError({
      code: 'missing',
      file: this.#location,
      tensor: name,
      problem: 'no such tensor in this checkpoint',
      cure: `names() lists its ${this.#home.size} tensors`,
    });
  }
}

/**
 * Opens a checkpoint, sharded or not. Every file opened is closed again when opening fails.
 * @throws SafetensorsError when neither the file nor the index exists, a shard is missing or wrong, or a tensor of the index is
 * not in its shard.
 */
export async function openCheckpoint(
  openFile: OpenCheckpointFile,
  options: CheckpointOptions = {},
): Promise<SafetensorsCheckpoint> {
  const { location = 'checkpoint', fileName = 'model.safetensors', indexName = `${fileName}.index.json` } = options;
  const pathOf = (name: string): string => (options.location === undefined ? name : `${location}/${name}`);
  const open = async (name: string): Promise<ByteSource | undefined> => openFile(name).catch(undefinedIfNotFound);

  const single = await open(fileName);
  if (single) {
    const reader = await openReader(single, pathOf(fileName));
    return new SafetensorsCheckpoint(location, [reader], new Map(reader.names().map((name) => [name, reader])));
  }
  const index = await open(indexName);
  if (!index) {
    throw new SafetensorsError({
      code: 'missing',
      file: location,
      problem: `found neither ${oneLine(fileName)} nor ${oneLine(indexName)}`,
      cure: 'name a folder with a safetensors checkpoint; other formats, such as pytorch_model.bin, have to be converted first',
    });
  }
  const shards = parseShardIndex(await readWhole(index, pathOf(indexName)), pathOf(indexName));

  const readers: SafetensorsReader[] = [];
  const home = new Map<string, SafetensorsReader>();
  try {
    for (const [shard, tensors] of shards) {
      const source = await open(shard);
      const fail = (code: SafetensorsErrorCode, problem: string, cure: string): SafetensorsError =>
        new SafetensorsError({ code, file: pathOf(indexName), problem, cure });
      if (!source)
        throw fail(
          'missing',
          `the index names shard ${quote(shard)}, which is not there`,
          'download the missing shard',
        );
      const reader = await openReader(source, pathOf(shard));
      readers.push(reader);
      const absent = tensors.filter((name) => !reader.has(name));
      if (absent.length > 0) {
        const what = `${absent.length} tensors that the index places in ${quote(shard)} are not in it, first ${quote(absent[0]!)}`;
        throw fail('index', what, 'download index and shards again from the same revision');
      }
      for (const name of tensors) home.set(name, reader);
    }
  } catch (error) {
    await closeAll(readers);
    throw error;
  }
  return new SafetensorsCheckpoint(location, readers, home);
}

function undefinedIfNotFound(error: unknown): undefined {
  if (error instanceof Error && (error.name === 'NotFoundError' || ('code' in error && error.code === 'ENOENT')))
    return undefined;
  throw error;
}

async function openReader(source: ByteSource, path: string): Promise<SafetensorsReader> {
  try {
    return await SafetensorsReader.open(source, path);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

async function readWhole(source: ByteSource, path: string): Promise<Uint8Array> {
  try {
    if (source.size > MAX_INDEX_BYTES) {
      throw new SafetensorsError({
        code: 'limit',
        file: path,
        problem: `the index has ${source.size} bytes, the limit is ${MAX_INDEX_BYTES}`,
        cure: 'get the index again from its source',
      });
    }
    return await source.read(0, source.size);
  } finally {
    await source.close?.();
  }
}

/** Closes all, also when one fails; then passes the first failure on. */
async function closeAll(readers: readonly SafetensorsReader[]): Promise<void> {
  const results = await Promise.allSettled(readers.map((reader) => reader.close()));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}
