/** Tokenizer files that lie, and templates that misbehave: one clear line each, soon. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConversationError, InvalidInputError, TokenizerError } from '../../src/errors.js';
import { ChatTemplate, type Message } from '../../src/tokenizer/chat-template.js';
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

describe('chat templates', () => {
  const messages: readonly Message[] = [{ role: 'user', content: 'hi' }];

  test.each([
    ['{% for %}', /cannot be parsed/],
    ['{{ undefined_function() }}', /cannot be rendered/],
    ["{{ raise_exception('only one turn') }}", /cannot be rendered: only one turn/],
    ['{% for i in range(1000000000) %}x{% endfor %}', /range of 1000000000 numbers/],
    ['{% for i in range(1, 10, 0) %}x{% endfor %}', /range of Infinity numbers/],
    ['{% for i in range(9000) %}{% for j in range(9000) %}x{% endfor %}{% endfor %}', /more than 500000 steps/],
    [
      "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
      /more than 4194304 entries/,
    ],
    [
      '{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}',
      /more than 4194304 entries/,
    ],
    ['{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', /cannot be rendered/],
    ['('.repeat(2 ** 18), /cannot be parsed: |cannot be rendered: /],
    [`{{ ${'('.repeat(100_000)} }}`, /cannot be parsed/],
    ['x'.repeat(2 ** 18 + 1), /more than 262144/],
    ['\n '.repeat(100_000), /a run of more than 1000 whitespace characters/],
  ])('%.60s', (source, message) => {
    const run = (): string => {
      const rendered = new ChatTemplate(source, 'chat_template.jinja').render(messages);
      if (rendered === source) throw new ConversationError('chat_template.jinja cannot be parsed: it is plain text');
      return rendered;
    };
    expect(run).toThrow(message);
    expect(run).toThrow(ConversationError);
    expect(run).toThrow(/^[^\n]*$/);
  });

  test('any text is a template that renders or a ConversationError', () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom(
        '{{',
        '}}',
        '{%',
        '%}',
        'for m in messages',
        'endfor',
        'if',
        'endif',
        'set x = ',
        'messages',
        '|',
        'length',
        '[0]',
        '.',
        'range(5)',
        'macro',
        '"',
        "'",
        '(',
        ')',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        try {
          new ChatTemplate(parts.join(' ')).render(messages);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a checkpoint brings its template in one of three files, and the first counts', () => {
    const jinja = 'A';
    const chatTemplateJson = { chat_template: 'B' };
    const tokenizerConfig = {
      chat_template: [
        { name: 'tool_use', template: 'X' },
        { name: 'default', template: 'C' },
      ],
    };
    const render = (sources: Parameters<typeof ChatTemplate.fromSources>[0]): string =>
      ChatTemplate.fromSources(sources).render(messages);
    expect(render({ jinja, chatTemplateJson, tokenizerConfig })).toBe('A');
    expect(render({ chatTemplateJson, tokenizerConfig })).toBe('B');
    expect(render({ tokenizerConfig })).toBe('C');
    expect(render({ tokenizerConfig: { chat_template: 5 } })).toContain('<|im_start|>user\nhi<|im_end|>');
  });
});
