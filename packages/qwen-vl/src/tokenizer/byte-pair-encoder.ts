/**
 * Plain text to token ids: normalise, split into words, byte-level characters, merge. No added tokens.
 *
 * The work is done by @huggingface/tokenizers; this file is the only one that knows it. Its published types do not resolve in
 * strict module resolution, so the few members used are declared here.
 */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import type { CheckedTokenizerJson } from './tokenizer-json.js';

interface Library {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: (text: string) => string[];
  readonly model: ((words: string[]) => string[]) & { readonly tokens_to_ids: ReadonlyMap<string, number> };
}

export interface BytePairEncoder {
  /** Unicode normalisation, as the file asks. */
  normalize(text: string): string;
  /** Words of normalised text, in byte-level characters. */
  words(text: string): string[];
  /** Token ids of normalised text. */
  encode(text: string): number[];
}

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

/** Builds the encoder. Takes about half a second for the published vocabulary of 151643 tokens. */
export function createBytePairEncoder(
  file: Pick<CheckedTokenizerJson, 'vocabulary' | 'merges' | 'normalizesToNfc' | 'splitPattern'>,
): BytePairEncoder {
  const split = { type: 'Split', pattern: { Regex: file.splitPattern }, behavior: 'Isolated', invert: false };
  const library: Library = new LibraryTokenizer(
    {
      added_tokens: [],
      normalizer: file.normalizesToNfc ? { type: 'NFC' } : null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, BYTE_LEVEL] },
      post_processor: null,
      decoder: BYTE_LEVEL,
      model: { type: 'BPE', vocab: file.vocabulary, merges: file.merges },
    },
    {},
  );
  const { model } = library;
  return {
    normalize: (text) => library.normalizer?.(text) ?? text,
    words: (text) => (text === '' ? [] : library.pre_tokenizer(text)),
    encode(text) {
      if (text === '') return [];
      // Every byte has a token, so every piece the model returns is in the vocabulary.
      return model(library.pre_tokenizer(text)).map((token) => model.tokens_to_ids.get(token) ?? 0);
    },
  };
}
