/**
 * Full matches of Python's regular expressions, in bounded time.
 *
 * Adapter files name their layers by patterns of Python's `re`. A pattern comes from a stranger, so it is not given to the
 * backtracking engine of the host: it is parsed into the parts of `pattern-part.ts`.
 *
 * Understood: literals, `.`, classes, `\d \w \s \b \A \Z` and their negations, groups, `|`, `* + ? {m,n}` (lazy ones too:
 * which of two matches is found does not matter here), `^ $`, look-ahead and look-behind. Refused: back references, flags,
 * possessive and atomic parts, conditionals. Source: documentation of Python's `re`.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import {
  type PatternPart,
  PatternBudgetError,
  character,
  choice,
  look,
  matchesWhole,
  place,
  repeat,
  sequence,
} from './pattern-part.js';

const longestPattern = 4096;
const deepestGroup = 64;
const mostRepeats = 1000;
const cure = 'list the names of the modules instead';

/**
 * A matcher for one pattern.
 *
 * @param what the field that holds the pattern, for messages
 * @throws InvalidInputError when the pattern is too long or uses what is not understood; the matcher throws it when a match
 *   takes too many steps
 */
export function fullMatch(pattern: string, what = 'the pattern'): (text: string) => boolean {
  const named = `${what} ${JSON.stringify(pattern.slice(0, 80))}`;
  if (pattern.length > longestPattern)
    throw new InvalidInputError(`${named} has ${pattern.length} characters, the limit is ${longestPattern}: ${cure}`);
  const part = new Parser(pattern, named).parse();
  return (text) => {
    try {
      return matchesWhole(part, text);
    } catch (error) {
      if (!(error instanceof PatternBudgetError)) throw error;
      throw new InvalidInputError(`${named} takes too many steps to match: ${cure}`, { cause: error });
    }
  };
}

type CharacterTest = (own: string) => boolean;

const isWord = (own: string | undefined): boolean => own !== undefined && /\w/.test(own);
const atStart = (_text: string, at: number): boolean => at === 0;
const atEnd = (text: string, at: number): boolean => at === text.length;
const atEdge = (text: string, at: number): boolean => isWord(text[at - 1]) !== isWord(text[at]);

const places: ReadonlyMap<string, (text: string, at: number) => boolean> = new Map([
  ['A', atStart],
  ['Z', atEnd],
  ['b', atEdge],
  ['B', (text: string, at: number) => !atEdge(text, at)],
]);
const classes: ReadonlyMap<string, CharacterTest> = new Map([
  ['d', (own: string) => /\d/.test(own)],
  ['w', isWord],
  ['s', (own: string) => /\s/.test(own)],
  ['D', (own: string) => /\D/.test(own)],
  ['W', (own: string) => !isWord(own)],
  ['S', (own: string) => /\S/.test(own)],
]);
const controls: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['f', '\f'],
  ['v', '\v'],
]);
const signs: ReadonlyMap<string, readonly [least: number, most: number]> = new Map([
  ['*', [0, Number.POSITIVE_INFINITY]],
  ['+', [1, Number.POSITIVE_INFINITY]],
  ['?', [0, 1]],
]);
const looks: readonly (readonly [opening: string, behind: boolean, wanted: boolean])[] = [
  ['?=', false, true],
  ['?!', false, false],
  ['?<=', true, true],
  ['?<!', true, false],
];

class Parser {
  readonly #pattern: string;
  readonly #named: string;
  #at = 0;

  constructor(pattern: string, named: string) {
    this.#pattern = pattern;
    this.#named = named;
  }

  parse(): PatternPart {
    const part = this.#choice(0);
    return this.#at < this.#pattern.length ? this.#fail('has a ")" too many') : part;
  }

  #choice(depth: number): PatternPart {
    if (depth > deepestGroup) this.#fail(`nests groups deeper than ${deepestGroup}`);
    const options = [this.#sequence(depth)];
    while (this.#take('|')) options.push(this.#sequence(depth));
    return choice(options);
  }

  #sequence(depth: number): PatternPart {
    const parts: PatternPart[] = [];
    while (this.#at < this.#pattern.length && !'|)'.includes(this.#peek()))
      parts.push(this.#repeated(this.#atom(depth)));
    return sequence(parts);
  }

  #atom(depth: number): PatternPart {
    const own = this.#next();
    if (own === '(') return this.#group(depth + 1);
    if (own === '[') return this.#class();
    if (own === '\\') return this.#escape();
    if (own === '.') return character((other) => other !== '\n');
    if (own === '^') return place(atStart);
    if (own === '$') return place(atEnd);
    if (signs.has(own)) this.#fail(`has nothing before "${own}" to repeat`);
    return character((other) => other === own);
  }

  #group(depth: number): PatternPart {
    const found = looks.find(([opening]) => this.#take(opening));
    const name = found ? null : /^\?P<\w{1,64}>/.exec(this.#pattern.slice(this.#at, this.#at + 80));
    if (name) this.#at += name[0].length;
    else if (!found && !this.#take('?:') && this.#peek() === '?')
      this.#fail(`uses "(${this.#pattern.slice(this.#at, this.#at + 3)}", which is not understood`);
    const part = this.#choice(depth);
    if (!this.#take(')')) this.#fail('has a "(" without its ")"');
    return found ? look(part, found[1], found[2]) : part;
  }

  #escape(): PatternPart {
    const own = this.#next();
    const test = places.get(own);
    if (test) return place(test);
    const escaped = this.#escaped(own);
    return character(typeof escaped === 'string' ? (other) => other === escaped : escaped);
  }

  /** What a backslash before `own` means, in and outside a class. */
  #escaped(own: string): string | CharacterTest {
    const meant = classes.get(own) ?? controls.get(own);
    if (meant !== undefined) return meant;
    return /[A-Za-z0-9]/.test(own) ? this.#fail(`uses "\\${own}", which is not understood`) : own;
  }

  #class(): PatternPart {
    const negated = this.#take('^');
    const tests: CharacterTest[] = [];
    // A bracket right at the beginning stands for itself.
    do tests.push(this.#member());
    while (this.#peek() !== ']');
    this.#next();
    return character((own) => tests.some((test) => test(own)) !== negated);
  }

  #member(): CharacterTest {
    const from = this.#memberCharacter();
    if (typeof from !== 'string') return from;
    if (this.#peek() !== '-' || this.#pattern[this.#at + 1] === ']') return (own) => own === from;
    this.#next();
    const to = this.#memberCharacter();
    if (typeof to !== 'string' || to < from) return this.#fail('has a class with a range that ends before it starts');
    return (own) => own >= from && own <= to;
  }

  #memberCharacter(): string | CharacterTest {
    const own = this.#next();
    return own === '\\' ? this.#escaped(this.#next()) : own;
  }

  #repeated(part: PatternPart): PatternPart {
    const counts = this.#counts();
    if (!counts) return part;
    const [least, most] = counts;
    if (least > most || least > mostRepeats || (Number.isFinite(most) && most > mostRepeats))
      this.#fail(`repeats {${least},${most}} times; up to ${mostRepeats} are understood`);
    this.#take('?');
    if (this.#counts()) this.#fail('repeats what is repeated already');
    return repeat(part, least, most);
  }

  #counts(): readonly [least: number, most: number] | undefined {
    const sign = signs.get(this.#peek());
    if (sign) {
      this.#at++;
      return sign;
    }
    const found = /^\{(\d{0,6})(,?)(\d{0,6})\}/.exec(this.#pattern.slice(this.#at, this.#at + 16));
    // Braces that count nothing are letters in Python.
    if (!found || (found[1] === '' && found[3] === '')) return undefined;
    this.#at += found[0].length;
    const least = Number(found[1]);
    const open = found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3]);
    return [least, found[2] === '' ? least : open];
  }

  #peek(): string {
    return this.#pattern[this.#at] ?? '';
  }

  #next(): string {
    return this.#pattern[this.#at++] ?? this.#fail('ends in the middle of a group, a class or an escape');
  }

  #take(text: string): boolean {
    if (!this.#pattern.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #fail(problem: string): never {
    throw new InvalidInputError(`${this.#named} ${problem}: ${cure}`);
  }
}
