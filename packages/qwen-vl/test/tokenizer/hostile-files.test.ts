/** Tokenizer files that lie: one clear line each, soon. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenizerError } from '../../src/errors.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';

interface TokenizerFile {
  added_tokens: { id: number; content: string; lstrip?: boolean }[];
  pre_tokenizer: { pretokenizers: { pattern?: { Regex: string } }[] };
  normalizer: unknown;
  decoder: unknown;
  model: { type: string; vocab: Record<string, unknown>; merges: unknown[]; byte_fallback?: boolean };
}

const fresh = (): TokenizerFile => readGoldenJson('tokenizer/tokenizer.json');

const lies: readonly (readonly [string, (file: TokenizerFile) => void, RegExp])[] = [
  [
    'a pattern that could take exponential time',
    (file) => (file.pre_tokenizer.pretokenizers[0]!.pattern!.Regex = '(a+)+$'),
    /split pattern "\(a\+\)\+\$" is not that of Qwen2/,
  ],
  ['another model', (file) => (file.model.type = 'Unigram'), /model\.type: only BPE is supported \(got "Unigram"\)/],
  ['another normaliser', (file) => (file.normalizer = { type: 'Lowercase' }), /normalizer\.type: only NFC/],
  ['another decoder', (file) => (file.decoder = { type: 'Metaspace' }), /decoder\.type: only ByteLevel/],
  ['no decoder', (file) => (file.decoder = null), /^f\.json: decoder/],
  ['byte fallback', (file) => (file.model.byte_fallback = true), /byte_fallback is not supported/],
  ['two tokens of one id', (file) => (file.model.vocab['new'] = 5), /share the id 5/],
  ['an id that is no number', (file) => (file.model.vocab['new'] = 'x'), /"new" has id "x", not a whole number/],
  ['an absurd id', (file) => (file.model.vocab['new'] = 4e9), /"new" has id 4000000000/],
  ['a missing byte', (file) => delete file.model.vocab['Ġ'], /the token of byte 32 is missing/],
  [
    'a merge of unknown tokens',
    (file) => file.model.merges.push('quux quux'),
    /uses "quux", which is not in model\.vocab/,
  ],
  ['a merge of three', (file) => file.model.merges.push('a b c'), /must be two tokens, got "a b c"/],
  ['a merge that is a number', (file) => file.model.merges.push(3), /must be two tokens, got 3/],
  [
    'an added token on a vocabulary id',
    (file) => file.added_tokens.push({ id: 5, content: '<x>' }),
    /"<x>" has id 5, which belongs to a token of model\.vocab/,
  ],
  [
    'two added tokens on one id',
    (file) => file.added_tokens.push({ id: 458, content: '<x>' }),
    /which belongs to "<\|im_end\|>"/,
  ],
  [
    'one added token on two ids',
    (file) => file.added_tokens.push({ id: 500, content: '<|im_end|>' }),
    /has two ids, 500 and 458/,
  ],
  [
    'an added token with half a surrogate pair',
    (file) => file.added_tokens.push({ id: 500, content: '\ud83d' }),
    /added_tokens\.22\.content: must not hold half of a surrogate pair/,
  ],
  [
    'a token with half a surrogate pair',
    (file) => (file.model.vocab['\ud83d'] = 500),
    /the token with id 500 must have .* no half of a surrogate pair/,
  ],
  [
    'more merges than tokens could need',
    (file) => (file.model.merges = Array.from({ length: 2 ** 22 + 1 }, () => 'a b')),
    /model\.merges: 4194305 entries are more than 4194304/,
  ],
  [
    'an added token that strips',
    (file) => file.added_tokens.push({ id: 500, content: '<x>', lstrip: true }),
    /lstrip, rstrip or single_word/,
  ],
];

describe('tokenizer.json', () => {
  test.each(lies)('%s', (_name, lie, message) => {
    const file = fresh();
    lie(file);
    expect(() => Tokenizer.fromJson(file, {}, 'f.json')).toThrow(message);
    expect(() => Tokenizer.fromJson(file, {}, 'f.json')).toThrow(TokenizerError);
    expect(() => Tokenizer.fromJson(file, {}, 'f.json')).toThrow(/^f\.json: [^\n]*$/);
  });

  test('keys that name parts of every object are tokens like others', () => {
    const file = fresh();
    file.model.vocab = JSON.parse(
      `{"__proto__": 500, "constructor": 501, ${JSON.stringify(file.model.vocab).slice(1)}`,
    ) as Record<string, unknown>;
    const tokenizer = Tokenizer.fromJson(file);
    expect(tokenizer.idToToken(500)).toBe('__proto__');
    expect(tokenizer.decode(tokenizer.encode('__proto__ constructor'))).toBe('__proto__ constructor');
  });

  test('any JSON gives a tokenizer or a TokenizerError of one line', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(() => Tokenizer.fromJson(json)).toThrow(TokenizerError);
      }),
      { numRuns: 300 },
    );
  });

  test('any value in any place of a good file gives a tokenizer or a TokenizerError of one line', () => {
    const paths = [
      'added_tokens',
      'normalizer',
      'pre_tokenizer',
      'post_processor',
      'decoder',
      'model',
      'model.vocab',
      'model.merges',
      'model.dropout',
      'added_tokens.3.content',
      'added_tokens.3.id',
      'pre_tokenizer.pretokenizers',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const file: unknown = fresh();
        const keys = path.split('.');
        const last = keys.pop()!;
        const parent = keys.reduce((node, key) => (node as Record<string, unknown>)[key], file) as Record<
          string,
          unknown
        >;
        parent[last] = value;
        try {
          Tokenizer.fromJson(file).encode('text');
        } catch (error) {
          expect(error).toBeInstanceOf(TokenizerError);
          expect((error as Error).message).not.toMatch(/\n/);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('a tokenizer_config.json that is a list is refused', () => {
    expect(() => Tokenizer.fromJson(fresh(), [])).toThrow(/^tokenizer_config\.json: the file must hold a JSON object/);
  });
});
