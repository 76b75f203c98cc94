/**
 * Plain text to token ids: normalise, split into words, byte-level characters, merge. No added tokens.
 *
 * The work is done by @huggingface/tokenizers; this file is the only one that knows it. Its published types do not resolve in
 * strict module resolution, so the few members used are declared here.
 *
 * Cost: the split pattern never goes back over more than one run of characters, and merging takes pairs from a heap. A word of
 * n bytes has n - 1 pairs and gains at most two with each of at most n - 1 merges: n log n steps. It also takes some 200 bytes
 * of memory per byte, hence the limit on words.
 */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { TokenizerError } from '../errors.js';
import { normalizeNfc } from './normalize-nfc.js';
import type { CheckedTokenizerJson } from './tokenizer-json.js';

interface Library {
  readonly pre_tokenizer: (text: string) => string[];
  readonly model: ((words: string[]) => string[]) & { readonly tokens_to_ids: ReadonlyMap<string, number> };
}

export interface BytePairEncoder {
  /** Unicode normalisation, as the file asks. */
  normalize(text: string): string;
  /** Words of normalised text, in byte-level characters. */
  words(text: string): string[];
  /** Token ids of normalised text. @throws TokenizerError if a word has more than 2^20 bytes */
  encode(text: string): number[];
}

const MAX_WORD_BYTES = 2 ** 20;

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

/** Builds the encoder. Takes about half a second for the published vocabulary of 151643 tokens. */
export function createBytePairEncoder(
  file: Pick<CheckedTokenizerJson, 'vocabulary' | 'merges' | 'normalizesToNfc' | 'splitPattern'>,
): BytePairEncoder {
  const split = { type: 'Split', pattern: { Regex: file.splitPattern }, behavior: 'Isolated', invert: false };
  const library: Library = new LibraryTokenizer(
    {
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split, BYTE_LEVEL] },
      post_processor: null,
      decoder: BYTE_LEVEL,
      model: { type: 'BPE', vocab: file.vocabulary, merges: file.merges },
    },
    {},
  );
  const { model } = library;
  return {
    normalize: file.normalizesToNfc ? normalizeNfc : (text) => text,
    words: (text) => (text === '' ? [] : library.pre_tokenizer(text)),
    encode(text) {
      if (text === '') return [];
      const words = library.pre_tokenizer(text);
      const long = words.find((word) => word.length > MAX_WORD_BYTES);
      if (long !== undefined) {
        throw new TokenizerError(
          `a word of ${long.length} bytes is above the limit of ${MAX_WORD_BYTES}; put spaces or line ends into the text`,
        );
      }
      // Every byte has a token, so every piece the model returns is in the vocabulary.
      return model(words).map((token) => model.tokens_to_ids.get(token) ?? 0);
    },
  };
}
