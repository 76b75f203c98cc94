import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalizeNfc } from '../../src/tokenizer/normalize-nfc.js';

/** Marks of many combining classes, of class 0, and one that stands for two; letters that compose with them. */
const mark = fc.constantFrom(
  ...Array.from({ length: 0x4f }, (_value, index) => String.fromCharCode(0x300 + index)),
  '\u0334',
  '\u0345',
  '\u0344',
  '\u05b8',
  '\u064e',
  '\u093c',
  '\u094d',
  '\u0903',
  '\u09be',
  '\u09c7',
  '\u0e38',
  '\u1dc0',
  '\u20dd',
  '\u20e3',
  '\u302a',
  '\u3099',
  '\ufe0f',
  '\u{1d165}',
  '\u{1d16d}',
  '\u{1e8d0}',
);
const letter = fc.constantFrom('a', 'e', 'q', '\u1ea1', '\u09c7', 'か', '\u1100', '\u1161', '\u{1d157}', ' ', '😀');
const run = fc.array(mark, { maxLength: 300 }).map((marks) => marks.join(''));

test('it is NFC', () => {
  const text = fc.array(fc.oneof(letter, run, fc.string({ unit: 'binary' })), { maxLength: 8 });
  fc.assert(
    fc.property(text, (parts) => {
      expect(normalizeNfc(parts.join(''))).toBe(parts.join('').normalize('NFC'));
    }),
    { numRuns: 1000 },
  );
});

test('every mark is put in order as the engine puts it', () => {
  const marks = Array.from({ length: 0x11_0000 }, (_value, code) => code)
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
    .filter((character) => /\p{M}/u.test(character));
  expect(marks.length).toBeGreaterThan(2000);
  for (const each of marks) {
    const long = `a${`\u0345${each}\u0334\u0301`.repeat(20)}`;
    expect(normalizeNfc(long)).toBe(long.normalize('NFC'));
  }
});

test('a million marks out of order take no longer than sorting them', () => {
  // Insertion would take 10^11 steps: this test would not end.
  const text = `a${'\u0316\u0301'.repeat(2 ** 19)}`;
  expect(normalizeNfc(text)).toBe(`a${'\u0316'.repeat(2 ** 19)}${'\u0301'.repeat(2 ** 19)}`.normalize('NFC'));
});
