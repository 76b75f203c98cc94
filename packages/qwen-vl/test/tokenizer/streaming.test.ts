/** Text that appears token by token is the text of all tokens, in whole characters. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';
import { publishedTokenizer } from '../support/qwen2-5-tokenizer.js';

const tokenizers: readonly (readonly [string, Tokenizer])[] = [
  ['a small vocabulary', Tokenizer.fromJson(readGoldenJson('tokenizer/tokenizer.json'))],
  ['the published vocabulary', publishedTokenizer().tokenizer],
];

describe.each(tokenizers)('%s', (_name, tokenizer) => {
  const size = tokenizer.vocabularySize;
  /** Single bytes (most are no character), whole texts, special tokens, any token, padding rows. */
  const ids = fc
    .array(
      fc.oneof(
        fc.nat(255).map((id) => [id]),
        fc.string({ unit: 'grapheme', maxLength: 4 }).map((text) => tokenizer.encode(text)),
        fc.constantFrom('😀', '👩🏽‍💻', '数', '\ufeff', 'é\u0301').map((text) => tokenizer.encode(text).slice(0, -1)),
        fc.constantFrom(...tokenizer.specialTokenIds).map((id) => [id]),
        fc.nat(size + 100).map((id) => [id]),
      ),
      { maxLength: 24 },
    )
    .map((parts) => parts.flat());

  test('pieces make the text, and no piece ends inside a character', () => {
    fc.assert(
      fc.property(ids, fc.boolean(), (sequence, skipSpecialTokens) => {
        const stream = tokenizer.decodeStream({ skipSpecialTokens });
        const pieces = [...sequence.map((id) => stream.push(id)), stream.end()];
        expect(pieces.join('')).toBe(tokenizer.decode(sequence, { skipSpecialTokens }));
        for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('what has been said is never taken back: pieces are a beginning of the text of all tokens so far', () => {
    fc.assert(
      fc.property(ids, (sequence) => {
        const stream = tokenizer.decodeStream();
        let said = '';
        for (const [index, id] of sequence.entries()) {
          said += stream.push(id);
          const whole = tokenizer.decode(sequence.slice(0, index + 1));
          // Only bytes of a character that is not complete are kept back.
          expect(whole.startsWith(said)).toBe(true);
          expect(whole.slice(said.length)).toMatch(/^\ufffd?$/);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('text comes out with U+FFFD only if it has it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
        const stream = tokenizer.decodeStream();
        const pieces = tokenizer.encode(text).map((id) => stream.push(id));
        expect(pieces.join('') + stream.end()).toBe(text.normalize('NFC'));
      }),
      { numRuns: 500 },
    );
  });

  test('each token is decoded once: the work does not grow with the answer', () => {
    const decode = vi.spyOn(TextDecoder.prototype, 'decode');
    try {
      const stream = tokenizer.decodeStream();
      const sequence = tokenizer.encode('The same few words again and again. '.repeat(200));
      for (const id of sequence) stream.push(id);
      const sizes = decode.mock.calls.map(([bytes]) => bytes?.byteLength ?? 0);
      expect(sizes.length).toBe(sequence.length);
      expect(Math.max(...sizes)).toBeLessThan(32);
    } finally {
      decode.mockRestore();
    }
  });
});
