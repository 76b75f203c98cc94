import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenizerError } from '../../src/errors.js';
import { QWEN2_5_ADDED_TOKENS } from '../../src/tokenizer/special-tokens.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { trainByteLevelBpe } from '../../src/tokenizer/train-bpe.js';
import { readGoldenJson } from '../support/golden.js';

const golden = (): Tokenizer => Tokenizer.fromJson(readGoldenJson('tokenizer/tokenizer.json'));
const tokenizer = golden();
const special = QWEN2_5_ADDED_TOKENS.filter((token) => token.special).map((token) => token.content);

/** Text with special tokens, parts of them, and characters that tokenizers get wrong. */
const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc.constantFrom(
        ...special,
        '<|',
        '|>',
        '<|im_',
        'end|>',
        '<tool_call>',
        '\u0085',
        '\ufeff',
        'é',
        'e\u0301',
        "'ſx",
        '\r\n',
        '  ',
        '12',
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

test('text without special tokens comes back as its NFC form', () => {
  fc.assert(
    fc.property(text, (value) => {
      const ids = tokenizer.encode(value);
      expect(tokenizer.decode(ids)).toBe(
        value
          .toWellFormed()
          .split('<tool_call>')
          .map((part) => part.normalize('NFC'))
          .join('<tool_call>'),
      );
    }),
    { numRuns: 500 },
  );
});

test('special tokens appear only when asked for, and then exactly where their text stands', () => {
  fc.assert(
    fc.property(text, (value) => {
      expect(tokenizer.encode(value).some((id) => tokenizer.specialTokenIds.has(id))).toBe(false);
      const pattern = new RegExp(special.map((token) => token.replaceAll('|', '\\|')).join('|'), 'g');
      const expected = [...value.matchAll(pattern)].map(([token]) => tokenizer.tokenToId(token));
      const found = tokenizer
        .encode(value, { parseSpecialTokens: true })
        .filter((id) => tokenizer.specialTokenIds.has(id));
      expect(found).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test('a character spread over tokens comes out with its last one', () => {
  const ids = tokenizer.encode('😀');
  const stream = tokenizer.decodeStream();
  expect(ids.map((id) => stream.push(id))).toEqual([...ids.slice(1).map(() => ''), '😀']);
});

test('next line is whitespace and the byte order mark is not, as in the reference engine', () => {
  // Words decide: a space joins the word after it, but not if that is itself whitespace.
  expect(tokenizer.encode('a \u0085b')).toEqual([
    ...tokenizer.encode('a'),
    ...tokenizer.encode(' '),
    ...tokenizer.encode('\u0085b'),
  ]);
  expect(tokenizer.decode(tokenizer.encode('\ufeffa'))).toBe('\ufeffa');
});

test('half a surrogate pair, which is no character, is U+FFFD', () => {
  for (const half of ['\ud83d', '\ude00', 'a\ud83db', '\ude00\ud83d']) {
    expect(tokenizer.encode(half)).toEqual(tokenizer.encode(half.toWellFormed()));
    expect(tokenizer.decode(tokenizer.encode(half))).toBe(half.replaceAll(/\p{Surrogate}/gu, '\ufffd'));
  }
});

describe('added tokens', () => {
  test('new ones follow the last id, existing ones keep theirs', () => {
    const grown = golden();
    const next = grown.vocabularySize;
    expect(grown.addTokens(['<|latent_0|>', '<|im_end|>', '<|latent_1|>'])).toEqual([next, 458, next + 1]);
    expect(grown.vocabularySize).toBe(next + 2);
    expect(grown.encode('a<|latent_1|>', { parseSpecialTokens: true }).at(-1)).toBe(next + 1);
    expect(grown.encode('a<|latent_1|>')).not.toContain(next + 1);
    expect(grown.decode([next, 39], { skipSpecialTokens: true })).toBe('H');
  });

  test('of tokens that begin alike the longest is taken', () => {
    const grown = golden();
    const [short, long] = grown.addTokens(['<|x', '<|x|>']);
    expect(grown.encode('<|x|><|x', { parseSpecialTokens: true })).toEqual([long, short]);
  });

  test('they survive saving and reading', () => {
    const grown = golden();
    grown.addTokens(['<|latent_0|>', 'a b']);
    const copy = Tokenizer.fromJson(
      JSON.parse(JSON.stringify(grown.toJson())),
      JSON.parse(JSON.stringify(grown.configToJson())),
    );
    expect(copy.addedTokens).toEqual(grown.addedTokens);
    expect(copy.toJson()).toEqual(grown.toJson());
    expect(copy.configToJson()).toEqual(grown.configToJson());
  });

  test('tokens that are normalised match after normalisation, whatever their spelling', () => {
    const json = readGoldenJson<{ added_tokens: object[] }>('tokenizer/tokenizer.json');
    const added = { id: 500, content: '<e\u0301>', special: false, normalized: true };
    const other = Tokenizer.fromJson({ ...json, added_tokens: [...json.added_tokens, added] });
    expect(other.encode('<é>')).toEqual([500]);
    expect(other.encode('<e\u0301>')).toEqual([500]);
  });

  test('names without characters or with too many are refused', () => {
    expect(() => golden().addTokens([''])).toThrow(/1 to 256 characters/);
    expect(() => golden().addTokens(['x'.repeat(257)])).toThrow(TokenizerError);
  });
});

test('ids, names and required tokens', () => {
  expect(tokenizer.idToToken(458)).toBe('<|im_end|>');
  expect(tokenizer.tokenToId('<|im_end|>')).toBe(458);
  expect(tokenizer.tokenToId('nothing')).toBeUndefined();
  expect(tokenizer.multimodalTokenIds()).toEqual({
    imageTokenId: 468,
    videoTokenId: 469,
    visionStartTokenId: 465,
    visionEndTokenId: 466,
  });
  expect(() => tokenizer.requireId('<|nothing|>')).toThrow(/no token "<\|nothing\|>"/);
});

test('absurdly long text is refused', () => {
  expect(() => tokenizer.encode('x'.repeat(2 ** 21 + 1))).toThrow(/above the limit of 2097152/);
});

describe('training', () => {
  const corpus = [
    'How many red circles are there in the image?',
    'How many blue squares are there in the image?',
    '数数 12 3',
  ];

  test('fills the vocabulary, then the 22 added tokens, in the published order', () => {
    const trained = trainByteLevelBpe(corpus, 290);
    const made = Tokenizer.fromJson(trained.tokenizerJson, trained.tokenizerConfig);
    expect(made.vocabularySize).toBe(312);
    expect(made.addedTokens.map(({ id, content }) => [id, content])).toEqual(
      QWEN2_5_ADDED_TOKENS.map(({ content }, index) => [290 + index, content]),
    );
    for (const line of corpus) expect(made.decode(made.encode(line))).toBe(line);
    expect(made.encode(corpus[0]!).length).toBeLessThan(corpus[0]!.length / 2);
  });

  test('does not depend on the order of lines', () => {
    expect(trainByteLevelBpe(corpus.toReversed(), 290)).toEqual(trainByteLevelBpe(corpus, 290));
  });

  test('merges the most frequent pair first, and of equals the one that sorts first', () => {
    const { model } = trainByteLevelBpe(['ab ab ab', 'cd cd cd', 'xy'], 258).tokenizerJson as {
      model: { merges: string[] };
    };
    expect(model.merges).toEqual(['a b', 'c d']);
  });

  test('any text survives a round trip, also letters the corpus never had', () => {
    const trained = trainByteLevelBpe(corpus, 280);
    const made = Tokenizer.fromJson(trained.tokenizerJson);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        expect(made.decode(made.encode(value))).toBe(value.normalize('NFC'));
      }),
    );
  });

  test('a corpus that is too small and sizes that make no sense are refused', () => {
    expect(() => trainByteLevelBpe(['ab'], 300)).toThrow(/yields only 257 tokens, 300 are asked for/);
    expect(() => trainByteLevelBpe(corpus, 255)).toThrow(/from 256/);
    expect(() => trainByteLevelBpe(corpus, 1e9)).toThrow(TokenizerError);
  });
});
