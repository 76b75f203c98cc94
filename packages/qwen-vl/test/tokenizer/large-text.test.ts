/** A megabyte of text, and a megabyte that is one word: linear in look-ups, and still exact. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { TokenizerError } from '../../src/errors.js';
import { publishedTokenizer } from '../support/qwen2-5-tokenizer.js';

const { tokenizer } = publishedTokenizer();
const MEGABYTE = 2 ** 20;

describe('a megabyte', () => {
  test.each([
    ['of prose', 'It counted 22 red circles; nobody could say why.\r\n'],
    ['of one letter', 'a'],
  ])('%s goes there and back', (_name, unit) => {
    const bytes = new TextEncoder().encode(unit).length;
    const text = unit.repeat(Math.floor(MEGABYTE / bytes));
    const ids = tokenizer.encode(text);
    expect(tokenizer.decode(ids) === text.normalize('NFC')).toBe(true);
    expect(ids.length).toBeLessThanOrEqual(MEGABYTE);
  });
});

test('merging looks up at most three pairs per byte, whatever the word', () => {
  const letters = fc.constantFrom('a', 'b', 'ab', 'aab', 'e', 'er', '数', 'é', 'un');
  const words = fc.tuple(fc.array(letters, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 200 }));
  fc.assert(
    fc.property(words, ([unit, times]) => {
      const word = unit.join('').repeat(times);
      const bytes = new TextEncoder().encode(word).length;
      // The library spells each pair that it looks up as JSON, and puts at most one entry per look-up onto its heap.
      const stringify = vi.spyOn(JSON, 'stringify');
      try {
        tokenizer.encode(word);
        expect(stringify.mock.calls.length).toBeLessThanOrEqual(3 * bytes);
        // Words below 256 bytes may come out of the library's cache.
        if (bytes > 256) expect(stringify.mock.calls.length).toBeGreaterThanOrEqual(bytes - 1);
      } finally {
        stringify.mockRestore();
      }
    }),
    { numRuns: 50 },
  );
});

test('above the limits it is refused in one line', () => {
  expect(() => tokenizer.encode('a'.repeat(2 * MEGABYTE + 1))).toThrow(TokenizerError);
  expect(() => tokenizer.encode('a'.repeat(MEGABYTE + 1))).toThrow(
    /^a word of 1048577 bytes is above the limit of 1048576; put spaces/,
  );
  expect(() => tokenizer.encode('数'.repeat(2 ** 19))).toThrow(/a word of 1572864 bytes/);
});
