/**
 * Checks a tokenizer.json before anything trusts it.
 *
 * Accepted is what the Qwen family uses: byte-level BPE with no unknown token, NFC or no normaliser, the known split pattern,
 * byte-level everything else. The vocabulary must hold all 256 bytes (or some text would vanish), ids must be distinct and in
 * range, merges must join tokens that exist into one that exists, and added tokens must not contradict the vocabulary.
 *
 * Source: the file format of Hugging Face tokenizers (`tokenizers/src/tokenizer/serialization.rs`, `models/bpe`).
 */
import { z } from 'zod';
import type { JsonObject } from '../config/types.js';
import { LIMITS } from '../config/validation.js';
import { quoteValue, TokenizerError } from '../errors.js';
import { BYTE_CHARACTERS } from './byte-level.js';
import { SPLIT_PATTERNS } from './split-pattern.js';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out of decoded text with `skipSpecialTokens`, and not recognised in text unless asked. */
  readonly special: boolean;
  /** Matched after Unicode normalisation of the text instead of before. */
  readonly normalized: boolean;
}

export interface CheckedTokenizerJson {
  /** The file as it was, for saving what is not understood here. */
  readonly json: JsonObject;
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
  readonly addedTokens: readonly AddedToken[];
  readonly normalizesToNfc: boolean;
  /** The split pattern in the form for JavaScript. */
  readonly splitPattern: string;
}

const MAX_TOKEN_LENGTH = 1024;
const MAX_ADDED_TOKENS = 8192;
const MAX_ADDED_TOKEN_LENGTH = 256;
/** A merge makes a token, so more than tokens are repetitions; the largest published vocabularies have 2^18. */
const MAX_MERGES = 2 * LIMITS.vocabSize;
const WORD_RULES = 'tokens with lstrip, rstrip or single_word are not supported';

const off = (message: string): z.ZodType<unknown> => z.literal([false, null], message).optional();

const addedTokenSchema = z.looseObject({
  id: z
    .int()
    .min(0)
    .max(LIMITS.vocabSize - 1),
  content: z
    .string()
    .min(1)
    .max(MAX_ADDED_TOKEN_LENGTH)
    .refine((text) => text.isWellFormed(), 'must not hold half of a surrogate pair'),
  special: z.boolean().default(false),
  normalized: z.boolean().optional(),
  lstrip: off(WORD_RULES),
  rstrip: off(WORD_RULES),
  single_word: off(WORD_RULES),
});

/** As post-processor or decoder, its other fields only move offsets or undo a prefix space that is never added. */
const byteLevelSchema = z.looseObject({ type: z.literal('ByteLevel', 'only ByteLevel is supported here') });

const splitSchema = z.looseObject({
  type: z.literal('Split', 'only Split then ByteLevel is supported'),
  pattern: z.strictObject({ Regex: z.string() }),
  behavior: z.literal(['Isolated', 'isolated'], 'only the behaviour Isolated is supported'),
  invert: off('an inverted split is not supported'),
});

const preByteLevelSchema = z.looseObject({
  type: z.literal('ByteLevel', 'only Split then ByteLevel is supported'),
  add_prefix_space: off('add_prefix_space is not supported'),
  use_regex: z.literal(false, 'ByteLevel with its own pattern is not supported'),
});

const schema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).max(MAX_ADDED_TOKENS).default([]),
  normalizer: z.looseObject({ type: z.literal('NFC', 'only NFC (or null) is supported') }).nullish(),
  pre_tokenizer: z.looseObject({
    type: z.literal('Sequence', 'only the Sequence of Split and ByteLevel is supported'),
    pretokenizers: z.tuple([splitSchema, preByteLevelSchema]),
  }),
  post_processor: byteLevelSchema.nullish(),
  decoder: byteLevelSchema,
  model: z.looseObject({
    type: z.literal('BPE', 'only BPE is supported'),
    dropout: z.literal([0, null], 'BPE dropout is not supported').optional(),
    unk_token: z.null('a vocabulary with an unknown token is not supported').optional(),
    continuing_subword_prefix: z.literal(['', null], 'subword prefixes are not supported').optional(),
    end_of_word_suffix: z.literal(['', null], 'word suffixes are not supported').optional(),
    byte_fallback: off('byte_fallback is not supported'),
    ignore_merges: off('ignore_merges is not supported'),
    vocab: z.custom<Record<string, unknown>>(
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
      'must be an object of tokens and ids',
    ),
    merges: z.custom<readonly unknown[]>((value) => Array.isArray(value), 'must be an array of pairs'),
  }),
});

const fail = (source: string, message: string): never => {
  throw new TokenizerError(`${source}: ${message}`);
};

/** Checks ids by plain loops: a schema over 150 000 entries would take longer than everything else. */
function checkVocabulary(vocab: Record<string, unknown>, source: string): Record<string, number> {
  const byId = new Map<number, string>();
  const checked = Object.create(null) as Record<string, number>;
  for (const [token, id] of Object.entries(vocab)) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= LIMITS.vocabSize) {
      return fail(
        source,
        `model.vocab: ${quoteValue(token)} has id ${quoteValue(id)}, not a whole number below ${LIMITS.vocabSize}`,
      );
    }
    const other = byId.get(id);
    if (other !== undefined) {
      return fail(source, `model.vocab: ${quoteValue(other)} and ${quoteValue(token)} share the id ${id}`);
    }
    if (token.length === 0 || token.length > MAX_TOKEN_LENGTH || !token.isWellFormed()) {
      return fail(
        source,
        `model.vocab: the token with id ${id} must have 1 to ${MAX_TOKEN_LENGTH} characters and no half of a surrogate pair`,
      );
    }
    byId.set(id, token);
    checked[token] = id;
  }
  const missing = BYTE_CHARACTERS.findIndex((character) => !(character in checked));
  if (missing >= 0)
    fail(source, `model.vocab: the token of byte ${missing} is missing; a byte-level vocabulary has all 256`);
  return checked;
}

function checkMerges(
  merges: readonly unknown[],
  vocabulary: Readonly<Record<string, number>>,
  source: string,
): (readonly [string, string])[] {
  if (merges.length > MAX_MERGES) {
    return fail(source, `model.merges: ${merges.length} entries are more than ${MAX_MERGES}, twice any vocabulary`);
  }
  return merges.map((merge, index) => {
    const parts: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string') {
      return fail(source, `model.merges: entry ${index} must be two tokens, got ${quoteValue(merge)}`);
    }
    for (const token of [left, right, left + right]) {
      if (!(token in vocabulary)) {
        return fail(source, `model.merges: entry ${index} uses ${quoteValue(token)}, which is not in model.vocab`);
      }
    }
    return [left, right];
  });
}

function checkAddedTokens(
  tokens: readonly z.infer<typeof addedTokenSchema>[],
  vocabulary: Readonly<Record<string, number>>,
  source: string,
): AddedToken[] {
  const vocabularyIds = new Set(Object.values(vocabulary));
  const contents = new Map<number, string>();
  const ids = new Map<string, number>();
  for (const { id, content } of tokens) {
    const taken =
      contents.get(id) ?? (vocabularyIds.has(id) && vocabulary[content] !== id ? 'a token of model.vocab' : undefined);
    if (taken !== undefined)
      fail(source, `added_tokens: ${quoteValue(content)} has id ${id}, which belongs to ${taken}`);
    if (ids.has(content) || (vocabulary[content] ?? id) !== id) {
      fail(
        source,
        `added_tokens: ${quoteValue(content)} has two ids, ${id} and ${ids.get(content) ?? vocabulary[content]}`,
      );
    }
    contents.set(id, quoteValue(content));
    ids.set(content, id);
  }
  // The reference normalises by default unless the token is special.
  return tokens.map(({ id, content, special, normalized }) => ({
    id,
    content,
    special,
    normalized: normalized ?? !special,
  }));
}

/**
 * Checks the parsed content of a tokenizer.json.
 * @param json any parsed JSON; it is not trusted
 * @param source the file's name, the first word of every error
 * @throws TokenizerError in one line: an unsupported part by name, or a contradiction with the tokens involved
 */
export function checkTokenizerJson(json: unknown, source: string = 'tokenizer.json'): CheckedTokenizerJson {
  const result = schema.safeParse(json, { reportInput: true });
  if (!result.success) {
    const issue = result.error.issues[0];
    const field = issue === undefined || issue.path.length === 0 ? 'the whole file' : issue.path.map(String).join('.');
    return fail(source, `${field}: ${issue?.message ?? 'not a tokenizer'} (got ${quoteValue(issue?.input)})`);
  }
  const file = result.data;
  const pattern = file.pre_tokenizer.pretokenizers[0].pattern.Regex;
  const splitPattern = SPLIT_PATTERNS.get(pattern);
  if (splitPattern === undefined) {
    return fail(
      source,
      `pre_tokenizer: the split pattern ${quoteValue(pattern)} is not that of Qwen2, the only supported one`,
    );
  }
  const vocabulary = checkVocabulary(file.model.vocab, source);
  return {
    json: json as JsonObject,
    vocabulary,
    merges: checkMerges(file.model.merges, vocabulary, source),
    addedTokens: checkAddedTokens(file.added_tokens, vocabulary, source),
    normalizesToNfc: file.normalizer !== null && file.normalizer !== undefined,
    splitPattern,
  };
}
