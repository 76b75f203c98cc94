import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseInteger, parsePhrase } from '../src/index.js';

test.each([
  ['7', '7'],
  [' 10.', '10'],
  ['ten', '10'],
  ['There are Seven red circles.', '7'],
  ['**4**', '4'],
  ['1,000', '1000'],
  ['007', '7'],
  ['0', '0'],
  ['Three (3)', '3'],
  ['I count 5 of them, so 5.', '5'],
])('parseInteger(%j) is %j', (text, expected) => {
  expect(parseInteger(text)).toBe(expected);
});

test.each(['', 'many', 'between 3 and 5', '2.5', '-3', '−3', '3 or four', 'someone', '<|im_end|>'])(
  'parseInteger(%j) is no answer',
  (text) => {
    expect(parseInteger(text)).toBeUndefined();
  },
);

test('parseInteger reads back any number that is written in digits, and takes any text', () => {
  fc.assert(
    fc.property(fc.nat(), (n) => {
      expect(parseInteger(`The answer is ${n}.`)).toBe(String(n));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(parseInteger(text) ?? '0').toMatch(/^\d+$/);
    }),
  );
});

test('a response of a million characters is read only at its start', () => {
  expect(parseInteger(`5${' x'.repeat(500_000)} 6`)).toBe('5');
});

test.each([
  ['Red  circle.', 'red circle'],
  ['\nYes\n', 'yes'],
  ['red circle, nothing', 'red circle, nothing'],
  [' . ', undefined],
  ['', undefined],
])('parsePhrase(%j) is %j', (text, expected) => {
  expect(parsePhrase(text)).toBe(expected);
});

test('parsePhrase of what it returns is the same again', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const once = parsePhrase(text);
      fc.pre(once !== undefined && !once.endsWith('.'));
      expect(parsePhrase(once ?? '')).toBe(once);
    }),
  );
});
