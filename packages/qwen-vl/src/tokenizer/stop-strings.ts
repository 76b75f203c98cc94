/**
 * Stop strings over a stream of token ids: text comes out while it is certain not to belong to one.
 *
 * A stop string may begin and end inside tokens, so it is looked for in the decoded text, one UTF-16 unit at a time. For each
 * string the length of the longest of its beginnings that the text ends with is carried along (Knuth–Morris–Pratt). The
 * longest of these over all strings is held back, everything before it is given out:
 *
 *   text so far   …given out | held back      held back = a beginning of some stop string, shorter than it
 *
 * The first string to be completed stops the text; of several completed by one unit the longest counts, whose beginning is the
 * earliest. Work per unit is amortised O(number of strings); memory is the longest stop string.
 *
 * Source: Knuth, Morris, Pratt, "Fast pattern matching in strings", 1977; `StopStringCriteria` of transformers, which also
 * stops at the token that completes a string, but then leaves the string and the rest of that token in the output.
 */
import { quoteValue, TokenizerError } from '../errors.js';
import type { DecodeOptions, Tokenizer } from './tokenizer.js';

export interface StopStringOptions extends DecodeOptions {
  /** Give out the stop string too. What its last token says after it never comes out. Default false. */
  readonly includeStopString?: boolean;
}

/** What one token adds to the text. */
export interface StopStringPiece {
  /** Text that can be shown: whole characters, never the beginning of a stop string that may still come. */
  readonly text: string;
  /** A stop string is complete; the text has ended and later tokens add nothing. */
  readonly stopped: boolean;
}

/** The text of one sequence; see `stopStringMatcher`. */
export interface StopStringMatcher {
  /** Takes the next token. Ids outside the vocabulary add nothing. */
  push(id: number): StopStringPiece;
  /** The sequence has ended without more tokens: what was held back comes out. */
  end(): StopStringPiece;
  /** The stop string that ended the text, or undefined while none has. */
  readonly stopString: string | undefined;
}

const MAX_STRINGS = 256;
const MAX_LENGTH = 1024;

/** A stop string and, for each count of matched units, the next shorter beginning that the matched text also ends with. */
interface Pattern {
  readonly text: string;
  readonly shorter: readonly number[];
}

/** Units of the pattern matched after one more unit, when `count` (less than all) were matched before. */
function advance({ text, shorter }: Pattern, count: number, unit: string): number {
  let matched = count;
  while (matched > 0 && text[matched] !== unit) matched = shorter[matched]!;
  return text[matched] === unit ? matched + 1 : 0;
}

function compile(text: string): Pattern {
  if (text.length === 0 || text.length > MAX_LENGTH || !text.isWellFormed()) {
    throw new TokenizerError(
      `a stop string must have 1 to ${MAX_LENGTH} characters and no half of a surrogate pair, got ${quoteValue(text)}`,
    );
  }
  const shorter = [0, 0];
  const pattern = { text, shorter };
  for (let length = 2; length <= text.length; length++) {
    shorter.push(advance(pattern, shorter[length - 1]!, text[length - 1]!));
  }
  return pattern;
}

/**
 * Watches one sequence of generated ids for stop strings.
 * @param tokenizer decodes the ids; a special token that is not shown can still be (part of) a stop string
 * @param strings looked for as they are, without Unicode normalisation; none: a plain streaming decoder
 * @throws TokenizerError if a string is empty, longer than 1024 or not well-formed, or there are more than 256
 */
export function stopStringMatcher(
  tokenizer: Pick<Tokenizer, 'decodeStream' | 'idToToken' | 'specialTokenIds'>,
  strings: readonly string[],
  options: StopStringOptions = {},
): StopStringMatcher {
  if (strings.length > MAX_STRINGS) {
    throw new TokenizerError(`${strings.length} stop strings are more than ${MAX_STRINGS}; give fewer`);
  }
  const patterns = [...new Set(strings)].map(compile);
  const matched = patterns.map(() => 0);
  const decoder = tokenizer.decodeStream(options);
  /** What each unit that is held back will show: the unit itself, or nothing for one of a hidden token. */
  let held: string[] = [];
  let found: string | undefined;

  const take = (text: string, shown: boolean): string => {
    let out = '';
    for (let index = 0; index < text.length && found === undefined; index++) {
      const unit = text.charAt(index);
      held.push(shown ? unit : '');
      let longest = 0;
      for (const [which, pattern] of patterns.entries()) {
        const length = advance(pattern, matched[which]!, unit);
        matched[which] = length;
        longest = Math.max(longest, length);
        if (length === pattern.text.length && length > (found?.length ?? 0)) found = pattern.text;
      }
      if (found === undefined) {
        out += held.splice(0, held.length - longest).join('');
      } else {
        out += (options.includeStopString === true ? held : held.slice(0, held.length - found.length)).join('');
        held = [];
      }
    }
    return out;
  };
  const hidden = (id: number): string =>
    options.skipSpecialTokens === true && tokenizer.specialTokenIds.has(id) ? (tokenizer.idToToken(id) ?? '') : '';

  return {
    push(id) {
      if (found !== undefined) return { text: '', stopped: true };
      const name = hidden(id);
      const text = name === '' ? take(decoder.push(id), true) : take(name, false);
      return { text, stopped: found !== undefined };
    },
    end() {
      if (found !== undefined) return { text: '', stopped: true };
      let text = take(decoder.end(), true);
      text += held.join('');
      held = [];
      return { text, stopped: found !== undefined };
    },
    get stopString() {
      return found;
    },
  };
}
