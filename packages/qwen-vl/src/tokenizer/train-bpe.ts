/**
 * A small, deterministic trainer of byte-level BPE, for models that are trained from nothing.
 *
 * Start with the 256 bytes. As long as tokens are wanted, join the pair of neighbouring tokens that occurs most often in the
 * corpus; of equally frequent pairs the one that sorts first by its left, then its right token. Pairs never cross words. The
 * result is a real tokenizer.json in the form of Qwen2.5: same pattern, NFC, and the same 22 added tokens after the BPE ones.
 *
 * Cost: merges times distinct word pieces; meant for vocabularies of hundreds, not of 150000.
 * Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (arXiv 1508.07909), algorithm 1.
 */
import type { JsonObject } from '../config/types.js';
import { TokenizerError } from '../errors.js';
import { createBytePairEncoder } from './byte-pair-encoder.js';
import { BYTE_CHARACTERS } from './byte-level.js';
import { DEFAULT_CHAT_TEMPLATE } from './default-chat-template.js';
import { END_OF_TEXT_TOKEN, MESSAGE_END_TOKEN, QWEN2_5_ADDED_TOKENS } from './special-tokens.js';
import { QWEN2_SPLIT_PATTERN, SPLIT_PATTERNS } from './split-pattern.js';

export interface TrainedTokenizer {
  /** Content of tokenizer.json. */
  readonly tokenizerJson: JsonObject;
  /** Content of tokenizer_config.json, with the default chat template. */
  readonly tokenizerConfig: JsonObject;
}

/** Byte-level characters in the order of the published vocabulary: "!" is 0, bytes that do not print come last. */
const ALPHABET = BYTE_CHARACTERS.toSorted((a, b) => a.charCodeAt(0) - b.charCodeAt(0));

interface Word {
  pieces: string[];
  readonly count: number;
}

const precedes = (a: readonly [string, string], b: readonly [string, string]): boolean =>
  a[0] === b[0] ? a[1] < b[1] : a[0] < b[0];

function mostFrequentPair(words: readonly Word[]): readonly [string, string] | undefined {
  const counts = new Map<string, Map<string, number>>();
  for (const { pieces, count } of words) {
    for (let i = 0; i + 1 < pieces.length; i++) {
      const row = counts.get(pieces[i]!) ?? new Map<string, number>();
      row.set(pieces[i + 1]!, (row.get(pieces[i + 1]!) ?? 0) + count);
      counts.set(pieces[i]!, row);
    }
  }
  let best: readonly [string, string] | undefined;
  let bestCount = 0;
  for (const [left, row] of counts) {
    for (const [right, count] of row) {
      const pair = [left, right] as const;
      if (count > bestCount || (count === bestCount && best !== undefined && precedes(pair, best))) {
        best = pair;
        bestCount = count;
      }
    }
  }
  return best;
}

function merge(pieces: readonly string[], [left, right]: readonly [string, string]): string[] {
  const merged: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    const joins = pieces[i] === left && pieces[i + 1] === right;
    merged.push(joins ? left + right : pieces[i]!);
    if (joins) i++;
  }
  return merged;
}

/**
 * Trains a tokenizer.
 * @param lines the corpus; order does not matter
 * @param vocabularySize BPE tokens wanted, at least 256; the 22 added tokens take the ids from this number on
 * @throws TokenizerError if the size is below 256 or the corpus has too few distinct pairs for it
 */
export function trainByteLevelBpe(lines: Iterable<string>, vocabularySize: number): TrainedTokenizer {
  if (!Number.isInteger(vocabularySize) || vocabularySize < 256 || vocabularySize > 65536) {
    throw new TokenizerError(
      `vocabularySize must be a whole number from 256 (the bytes) to 65536, got ${vocabularySize}`,
    );
  }
  const vocab = Object.fromEntries(ALPHABET.map((character, id) => [character, id]));
  const splitPattern = SPLIT_PATTERNS.get(QWEN2_SPLIT_PATTERN) ?? QWEN2_SPLIT_PATTERN;
  const splitter = createBytePairEncoder({ vocabulary: vocab, merges: [], normalizesToNfc: true, splitPattern });
  const wordCounts = new Map<string, number>();
  for (const line of lines) {
    for (const word of splitter.words(splitter.normalize(line.toWellFormed()))) {
      wordCounts.set(word, (wordCounts.get(word) ?? 0) + 1);
    }
  }
  const words: Word[] = [...wordCounts].map(([word, count]) => ({ pieces: word.split(''), count }));
  const merges: (readonly [string, string])[] = [];
  let size = ALPHABET.length;
  while (size < vocabularySize) {
    const pair = mostFrequentPair(words);
    if (pair === undefined) {
      throw new TokenizerError(
        `the corpus yields only ${size} tokens, ${vocabularySize} are asked for; give more text or ask for ${size}`,
      );
    }
    merges.push(pair);
    // Two different pairs can spell the same token ("a"+"bc", "ab"+"c"); it takes one id.
    const joined = pair[0] + pair[1];
    if (vocab[joined] === undefined) vocab[joined] = size++;
    for (const word of words) word.pieces = merge(word.pieces, pair);
  }
  return { tokenizerJson: tokenizerJson(vocab, merges), tokenizerConfig: tokenizerConfig(vocabularySize) };
}

const NO_STRIPPING = { single_word: false, lstrip: false, rstrip: false, normalized: false };
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

function tokenizerJson(
  vocab: Readonly<Record<string, number>>,
  merges: readonly (readonly [string, string])[],
): JsonObject {
  const firstId = Object.keys(vocab).length;
  const split = { type: 'Split', pattern: { Regex: QWEN2_SPLIT_PATTERN }, behavior: 'Isolated', invert: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: QWEN2_5_ADDED_TOKENS.map((token, index) => ({ id: firstId + index, ...token, ...NO_STRIPPING })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, BYTE_LEVEL] },
    post_processor: BYTE_LEVEL,
    decoder: BYTE_LEVEL,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
}

function tokenizerConfig(firstId: number): JsonObject {
  const added = QWEN2_5_ADDED_TOKENS.map(
    (token, index) => [String(firstId + index), { ...token, ...NO_STRIPPING }] as const,
  );
  const special = QWEN2_5_ADDED_TOKENS.filter((token) => token.special && token.content !== END_OF_TEXT_TOKEN);
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added),
    additional_special_tokens: special.map((token) => token.content),
    bos_token: null,
    chat_template: DEFAULT_CHAT_TEMPLATE,
    clean_up_tokenization_spaces: false,
    eos_token: MESSAGE_END_TOKEN,
    errors: 'replace',
    model_max_length: 131072,
    pad_token: END_OF_TEXT_TOKEN,
    split_special_tokens: false,
    tokenizer_class: 'Qwen2Tokenizer',
    unk_token: null,
  };
}
