/**
 * What a place lacks of a checkpoint, all of it at once: needed files, the shards that its index names, and weights that are
 * only a pointer of Git LFS, which a clone without LFS leaves behind.
 */
import { parseShardIndex } from '@mindseye/tensor-core';
import { ModelFolderError } from '../errors.js';
import { byteCount } from './byte-count.js';
import { KNOWN_FILES, type ModelFolderPart, NEEDED_FILES } from './known-files.js';
import type { ModelFiles } from './model-files.js';
import { fileLabel, openFile, readBytes } from './read-file.js';

export interface MissingFile {
  /** The file, or alternatives joined by ` or `. */
  readonly name: string;
  /** Bytes of the whole file, where something tells. */
  readonly size?: number;
  /** What is there in its place. */
  readonly instead?: 'pointer';
}

const INDEX = 'model.safetensors.index.json';
const SINGLE = 'model.safetensors';

/** A pointer has three short lines. */
const MAX_POINTER_BYTES = 1024;
const POINTER = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n[^]*?\bsize (\d{1,16})\n/;

/**
 * The shards that the index of a place names; undefined when it has no index or, as transformers prefers it, one file.
 * @throws SafetensorsError when the index is not one
 */
export async function shardNames(files: ModelFiles): Promise<readonly string[] | undefined> {
  if (files.names.has(SINGLE) || !files.names.has(INDEX)) return undefined;
  const bytes = await readBytes(files, INDEX, KNOWN_FILES[INDEX].maxBytes);
  return [...parseShardIndex(bytes, fileLabel(files, INDEX)).keys()];
}

/** Size of the file that a Git LFS pointer stands for; undefined when the file is no pointer. */
async function pointedSize(files: ModelFiles, name: string): Promise<number | undefined> {
  const source = await openFile(files, name);
  try {
    if (source.size > MAX_POINTER_BYTES) return undefined;
    const size = POINTER.exec(new TextDecoder().decode(await source.read(0, source.size)))?.[1];
    return size === undefined ? undefined : Number(size);
  } finally {
    await source.close?.();
  }
}

/** What names alone tell of it: needed files, of which a list has none of the alternatives. */
export const missingNames = (present: ReadonlySet<string>, parts: readonly ModelFolderPart[]): MissingFile[] =>
  parts
    .flatMap((part) => NEEDED_FILES[part])
    .filter((names) => !names.some((name) => present.has(name)))
    .map((names) => ({ name: names.join(' or ') }));

/**
 * Everything missing of the given parts.
 * @throws ModelFolderError, SafetensorsError when the index cannot be read
 */
export async function findMissing(
  files: ModelFiles,
  parts: readonly ModelFolderPart[],
): Promise<readonly MissingFile[]> {
  const missing = missingNames(files.names, parts);
  if (!parts.includes('weights')) return missing;
  const weights = (await shardNames(files)) ?? (files.names.has(SINGLE) ? [SINGLE] : []);
  for (const name of weights.toSorted()) {
    if (!files.names.has(name)) missing.push({ name });
    else {
      const size = await pointedSize(files, name);
      if (size !== undefined) missing.push({ name, size, instead: 'pointer' });
    }
  }
  return missing;
}

/** Names beyond this many are counted, not listed. */
const MAX_LISTED = 12;

const described = ({ name, size, instead }: MissingFile): string => {
  const notes = [
    ...(instead === 'pointer' ? ['only its Git LFS pointer is there'] : []),
    ...(size === undefined ? [] : [byteCount(size)]),
  ];
  return notes.length === 0 ? name : `${name} (${notes.join(', ')})`;
};

/** The error for a place that lacks files: one line with all of them and the cure. */
export function missingFilesError(files: ModelFiles, missing: readonly MissingFile[]): ModelFolderError {
  const listed = missing.slice(0, MAX_LISTED).map(described).join(', ');
  const more = missing.length > MAX_LISTED ? ` and ${missing.length - MAX_LISTED} more` : '';
  const hasOtherWeights = [...files.names].some((name) => /\.(bin|pth?|ckpt|gguf)$/.test(name));
  const cures: readonly (readonly [applies: boolean, cure: string])[] = [
    [missing.every(({ instead }) => instead === 'pointer'), 'run `git lfs pull` in the folder'],
    [
      hasOtherWeights && missing.some(({ name }) => name.startsWith(SINGLE)),
      'only safetensors weights are read; convert the other files, or name the folder that holds the checkpoint',
    ],
    [files.repository !== undefined, 'the model on the hub does not have it; choose another model or revision'],
    [true, 'download the whole checkpoint, or name the folder that holds it'],
  ];
  const cure = cures.find(([applies]) => applies)![1];
  return new ModelFolderError(`${files.location}: missing ${listed}${more}; ${cure}`);
}
