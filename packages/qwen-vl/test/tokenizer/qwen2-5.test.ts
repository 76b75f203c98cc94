/** The published vocabulary of Qwen2.5 on 10,000 texts, id for id as the `tokenizers` library. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { QWEN2_5_ADDED_TOKENS } from '../../src/tokenizer/special-tokens.js';
import { goldenPath } from '../support/golden.js';
import { publishedTokenizer } from '../support/qwen2-5-tokenizer.js';

/** Written by oracle/tokenizer_real.py, which says what each part holds. Ids are in base 36. */
interface Golden {
  readonly texts: readonly string[];
  readonly ids: readonly string[];
  readonly special: Readonly<Record<string, string>>;
  readonly decoded: Readonly<Record<string, string>>;
  readonly decoded_skip: Readonly<Record<string, string>>;
  readonly cut: Readonly<Record<string, string>>;
  readonly noise: readonly (readonly [string, string])[];
}

const { tokenizer, digest } = publishedTokenizer();
const golden = JSON.parse(gunzipSync(readFileSync(goldenPath('tokenizer/qwen2.5.json.gz'))).toString('utf8')) as Golden;
const idsOf = (line: string): number[] => (line === '' ? [] : line.split(' ').map((id) => Number.parseInt(id, 36)));
const withSpecials = golden.texts.map((_text, index) => idsOf(golden.special[index] ?? golden.ids[index]!));

/** The first few that differ, so that a failure is short: text, what we say, what the library says. */
function differences<T>(actual: (text: string, index: number) => T, expected: (text: string, index: number) => T) {
  const found: { text: string; ours: T; theirs: T }[] = [];
  for (const [index, text] of golden.texts.entries()) {
    const [ours, theirs] = [actual(text, index), expected(text, index)];
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) found.push({ text, ours, theirs });
    if (found.length === 5) break;
  }
  return found;
}

test('it is the published file, and 10,000 different texts', () => {
  expect(digest).toMatch(/^c0382117ea329cdf/);
  expect(tokenizer.vocabularySize).toBe(151_665);
  expect(tokenizer.addedTokens.map(({ content, special }) => ({ content, special }))).toEqual(QWEN2_5_ADDED_TOKENS);
  expect(tokenizer.addedTokens.map(({ id }) => id)).toEqual(Array.from({ length: 22 }, (_value, i) => 151_643 + i));
  expect(tokenizer.encode('Hello, my dog is cute')).toEqual([9707, 11, 847, 5562, 374, 18_838]);
  expect(new Set(golden.texts).size).toBe(10_000);
  expect(Object.keys(golden.special).length).toBeGreaterThan(500);
});

describe('every text', () => {
  test('to ids, special tokens taken as text', () => {
    expect(
      differences(
        (text) => tokenizer.encode(text),
        (_text, index) => idsOf(golden.ids[index]!),
      ),
    ).toEqual([]);
  });

  test('to ids, special tokens parsed', () => {
    expect(
      differences(
        (text) => tokenizer.encode(text, { parseSpecialTokens: true }),
        (_text, index) => withSpecials[index]!,
      ),
    ).toEqual([]);
  });

  const decoded = (text: string, index: number): string => golden.decoded[index] ?? text.normalize('NFC');

  test('from ids', () => {
    expect(differences((_text, index) => tokenizer.decode(withSpecials[index]!), decoded)).toEqual([]);
  });

  test('from ids without special tokens', () => {
    expect(
      differences(
        (_text, index) => tokenizer.decode(withSpecials[index]!, { skipSpecialTokens: true }),
        (text, index) => golden.decoded_skip[index] ?? decoded(text, index),
      ),
    ).toEqual([]);
  });

  test('from ids that no text gives', () => {
    expect(golden.noise.length).toBe(500);
    for (const [ids, text] of golden.noise) expect(tokenizer.decode(idsOf(ids))).toBe(text);
  });

  test('from the first half of the ids, which may end inside a character', () => {
    const halves = Object.entries(golden.cut);
    expect(halves.length).toBe(500);
    expect(halves.some(([, text]) => text.includes('\ufffd'))).toBe(true);
    for (const [index, text] of halves) {
      const ids = withSpecials[Number(index)]!;
      expect(tokenizer.decode(ids.slice(0, Math.floor(ids.length / 2)))).toBe(text);
    }
  });
});
