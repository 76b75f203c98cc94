import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tokenSplitter } from '../../src/tokenizer/added-token-matcher.js';

/** The definition: at each place from left to right the longest token that stands there. */
function split(contents: readonly string[], text: string, keeps: (id: number) => boolean): (number | string)[] {
  const pieces: (number | string)[] = [];
  let [start, at] = [0, 0];
  while (at < text.length) {
    const here = contents.filter((content) => text.startsWith(content, at));
    const longest = here.toSorted((a, b) => b.length - a.length)[0];
    const id = longest === undefined ? -1 : contents.indexOf(longest);
    if (longest !== undefined && keeps(id)) {
      if (at > start) pieces.push(text.slice(start, at));
      pieces.push(id);
      start = at + longest.length;
    }
    at += longest?.length ?? 1;
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}

const word = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom('<', '|', 'a', 'b', '.', '😀'), minLength: 1, maxLength });

test('the longest token at each place, and those not asked for stay text', () => {
  fc.assert(
    fc.property(fc.array(word(5), { maxLength: 12 }), word(40), fc.nat(3), (contents, text, kept) => {
      const keeps = (id: number): boolean => kept === 0 || id % 3 !== kept - 1;
      const splitter = tokenSplitter(contents.map((content, id) => ({ id, content })));
      expect(splitter(text, keeps)).toEqual(split(contents, text, keeps));
    }),
    { numRuns: 2000 },
  );
});

test('no token, no text', () => {
  expect(tokenSplitter([])('text', () => true)).toEqual(['text']);
  expect(tokenSplitter([{ id: 1, content: 'a' }])('', () => true)).toEqual([]);
});

test('as many tokens as a file may bring, all beginning as the text does', () => {
  // As alternatives of a regular expression these are more than an engine compiles.
  const tokens = Array.from({ length: 8192 }, (_value, id) => ({ id, content: `${'a'.repeat(240)}${id}!` }));
  const text = 'a'.repeat(2 ** 16);
  expect(tokenSplitter(tokens)(text, () => true)).toEqual([text]);
  expect(tokenSplitter(tokens)(`${text}77!`, () => true)).toEqual([text.slice(240), 77]);
});
