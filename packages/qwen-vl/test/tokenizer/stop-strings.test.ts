import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenizerError } from '../../src/errors.js';
import { stopStringMatcher, type StopStringOptions } from '../../src/tokenizer/stop-strings.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';

const tokenizer = Tokenizer.fromJson(readGoldenJson('tokenizer/tokenizer.json'));

interface Streamed {
  readonly pieces: readonly string[];
  readonly text: string;
  readonly stopString: string | undefined;
}

function stream(ids: readonly number[], strings: readonly string[], options: StopStringOptions = {}): Streamed {
  const matcher = stopStringMatcher(tokenizer, strings, options);
  const pieces: string[] = [];
  for (const id of ids) {
    const { text, stopped } = matcher.push(id);
    pieces.push(text);
    expect(stopped).toBe(matcher.stopString !== undefined);
  }
  pieces.push(matcher.end().text);
  return { pieces, text: pieces.join(''), stopString: matcher.stopString };
}

/** The definition, on the whole text: the match that ends first, of those the longest. */
function cut(text: string, strings: readonly string[]): { readonly before: string; readonly stop: string } | undefined {
  const ends = strings
    .map((stop) => ({ stop, start: text.indexOf(stop) }))
    .filter(({ start }) => start >= 0)
    .toSorted((a, b) => a.start + a.stop.length - (b.start + b.stop.length) || a.start - b.start);
  const [first] = ends;
  return first && { before: text.slice(0, first.start), stop: first.stop };
}

/** Few letters, so that strings often begin, fail and overlap; characters of several bytes and units among them. */
const letters = fc.constantFrom('a', 'b', ' ', 'é', '数', '😀');
const strings = fc.array(fc.array(letters, { minLength: 1, maxLength: 4 }), { maxLength: 4 }).map(joinAll);
const ids = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: letters.map((text) => tokenizer.encode(text)) },
    fc.nat(600).map((id) => [id]),
  ),
  { maxLength: 30 },
);

function joinAll(parts: readonly (readonly string[])[]): string[] {
  return parts.map((part) => part.join(''));
}

test('the text up to the first stop string, whatever the tokens', () => {
  fc.assert(
    fc.property(ids, strings, fc.boolean(), (nested, stops, includeStopString) => {
      const sequence = nested.flat();
      const expected = cut(tokenizer.decode(sequence), stops);
      const streamed = stream(sequence, stops, { includeStopString });
      expect(streamed.stopString).toBe(expected?.stop);
      const kept = expected && (includeStopString ? expected.before + expected.stop : expected.before);
      expect(streamed.text).toBe(kept ?? tokenizer.decode(sequence));
    }),
    { numRuns: 1000 },
  );
});

test('held back is only what may begin a stop string; pieces are whole characters', () => {
  fc.assert(
    fc.property(ids, strings, (nested, stops) => {
      const sequence = nested.flat();
      const { pieces, stopString } = stream(sequence, stops);
      for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
      if (stopString !== undefined) return;
      const decoder = tokenizer.decodeStream();
      let [decoded, given] = ['', ''];
      for (const [index, id] of sequence.entries()) {
        decoded += decoder.push(id);
        given += pieces[index]!;
        const held = decoded.slice(given.length);
        expect(decoded).toBe(given + held);
        expect(held === '' || stops.some((stop) => stop.startsWith(held))).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test('tokens after the stop add nothing, nor does the rest of its last token', () => {
  const red = tokenizer.encode(' red');
  const matcher = stopStringMatcher(tokenizer, ['e']);
  expect(red.map((id) => matcher.push(id).text).join('')).toBe(' r');
  expect(matcher.push(red[0]!)).toEqual({ text: '', stopped: true });
  expect(matcher.end()).toEqual({ text: '', stopped: true });
});

test('a special token that is not shown can be a stop string', () => {
  const sequence = tokenizer.encode('ab<|box_end|>c', { parseSpecialTokens: true });
  const stops = ['b<|box_end|>'];
  expect(stream(sequence, stops, { skipSpecialTokens: true })).toMatchObject({ text: 'a', stopString: stops[0] });
  const options = { skipSpecialTokens: true, includeStopString: true };
  expect(stream(sequence, stops, options)).toMatchObject({ text: 'ab', stopString: stops[0] });
  expect(stream(sequence, ['<|box_x'], { skipSpecialTokens: true }).text).toBe('abc');
});

describe('refused', () => {
  test.each([
    [[''], /1 to 1024 characters/],
    [['x'.repeat(1025)], /1 to 1024 characters/],
    [['\ud83d'], /surrogate/],
    [Array.from({ length: 257 }, (_value, index) => String(index)), /257 stop strings are more than 256/],
  ])('%.20j', (stops, message) => {
    expect(() => stopStringMatcher(tokenizer, stops)).toThrow(TokenizerError);
    expect(() => stopStringMatcher(tokenizer, stops)).toThrow(message);
  });
});
