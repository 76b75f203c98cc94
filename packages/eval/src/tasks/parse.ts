/**
 * Answer parsers. A parser is deliberately strict about what counts as *one* answer: a response that names two different
 * numbers has not answered, and scoring it by its first or last number rewards hedging.
 */

const NUMBER_WORDS: ReadonlyMap<string, string> = new Map(
  (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen ' +
    'eighteen nineteen twenty'
  )
    .split(' ')
    .map((word, value) => [word, String(value)]),
);

/** Longer responses are not read past this point, so that a runaway generation costs no more than a long one. */
const LONGEST_RESPONSE = 10_000;

// A signed decimal with thousands separators, or a word.
const NUMBER_OR_WORD = /[-−]?\d+(?:,\d{3})*(?:\.\d+)?|[a-z]+/gi;

/**
 * The non-negative integer that `text` commits to, in plain digits, or undefined.
 *
 * Digits and English words up to twenty count ("7", "seven", "There are 7.", "1,000"). Two different numbers ("between 3 and
 * 5"), a fraction ("2.5") or a negative number are no answer.
 */
export function parseInteger(text: string): string | undefined {
  const found = new Set<string>();
  for (const [token] of text.slice(0, LONGEST_RESPONSE).matchAll(NUMBER_OR_WORD)) {
    if (/^[a-z]/i.test(token)) {
      const value = NUMBER_WORDS.get(token.toLowerCase());
      if (value !== undefined) found.add(value);
    } else {
      if (!/^\d[\d,]*$/.test(token)) return undefined;
      found.add(token.replaceAll(',', '').replace(/^0+(?=\d)/, ''));
    }
  }
  const [only] = found;
  return found.size === 1 ? only : undefined;
}

/** Lower case, single spaces, no final full stop; undefined where nothing is left. For answers that are words. */
export function parsePhrase(text: string): string | undefined {
  const phrase = text.slice(0, LONGEST_RESPONSE).trim().toLowerCase().replace(/\s+/g, ' ').replace(/ ?\.$/, '');
  return phrase === '' ? undefined : phrase;
}
