/** A checkpoint folder without weights, in memory, in which some files are replaced. */
import { bytesSource } from '@mindseye/tensor-core';
import { readFileSync } from 'node:fs';
import { filesByPath } from '../../../src/files/files-by-path.js';
import type { ModelFileName } from '../../../src/files/known-files.js';
import { ModelFolder } from '../../../src/files/model-folder.js';
import { goldenPath } from '../../support/golden.js';

const GOOD_FILES: Partial<Readonly<Record<ModelFileName, string>>> = {
  'config.json': 'models/tiny-tied/config.json',
  'generation_config.json': 'models/tiny-tied/generation_config.json',
  'preprocessor_config.json': 'models/tiny-tied/preprocessor_config.json',
  'tokenizer.json': 'tokenizer/tokenizer.json',
  'tokenizer_config.json': 'models/tiny-tied/tokenizer_config.json',
};

const texts = new Map(
  Object.entries(GOOD_FILES).map(([name, path]) => [name, readFileSync(goldenPath(path), 'utf8')] as const),
);

/** Text of a file that is accepted. */
export function goodFile(name: ModelFileName): string {
  const text = texts.get(name);
  if (text === undefined) throw new Error(`no good ${name}`);
  return text;
}

/** The folder with these files in place of the good ones, or beside them; a file that is undefined is not there. */
export function openWith(files: { readonly [name in ModelFileName]?: string | undefined }): Promise<ModelFolder> {
  const all = new Map<string, string>(texts);
  for (const [name, text] of Object.entries(files)) {
    if (text === undefined) all.delete(name);
    else all.set(name, text);
  }
  const place = filesByPath('memory', all.keys(), async (path) =>
    bytesSource(new TextEncoder().encode(all.get(path) ?? '')),
  );
  return ModelFolder.open(place, ['config', 'tokenizer', 'images']);
}
