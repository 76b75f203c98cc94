/**
 * A JSON parser for text from strangers.
 *
 * It differs from `JSON.parse` in four ways: objects become Maps, so that no key can touch a prototype; a repeated key is an error
 * rather than "the last one wins"; `__proto__` is an error, so that a later copy into a plain object is safe too; and nesting and
 * the number of values are bounded. Work and memory are linear in the text.
 *
 * Source: RFC 8259; it accepts exactly that grammar, less what is said above and less strings with unpaired surrogates.
 */
import { quote } from './errors.js';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

export interface StrictJsonLimits {
  /** Deepest nesting of objects and arrays. */
  readonly maxDepth: number;
  /** Most values of any kind in the whole text. */
  readonly maxValues: number;
}

export type StrictJsonFault = 'syntax' | 'key' | 'limit';

/** Says what is wrong and at which character. */
export class StrictJsonError extends Error {
  override readonly name = 'StrictJsonError';
  readonly fault: StrictJsonFault;

  constructor(fault: StrictJsonFault, problem: string, position: number) {
    super(`${problem} at character ${position}`);
    this.fault = fault;
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const MAX_NUMBER_CHARACTERS = 64;
const literals: readonly (readonly [string, JsonValue])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

class Parser {
  readonly #text: string;
  readonly #limits: StrictJsonLimits;
  #at = 0;
  #values = 0;

  constructor(text: string, limits: StrictJsonLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length)
      throw this.#fail('syntax', `unexpected ${this.#seen()} after the end of the value`);
    return value;
  }

  #value(depth: number): JsonValue {
    if (++this.#values > this.#limits.maxValues)
      throw this.#fail('limit', `more than ${this.#limits.maxValues} values`);
    if (depth > this.#limits.maxDepth) throw this.#fail('limit', `nesting deeper than ${this.#limits.maxDepth}`);
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    for (const [word, value] of literals) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth: number): ReadonlyMap<string, JsonValue> {
    const result = new Map<string, JsonValue>();
    this.#at++;
    if (this.#take('}')) return result;
    do {
      this.#skipSpace();
      const keyAt = this.#at;
      const key = this.#string();
      if (key === '__proto__') throw this.#fail('key', 'the key "__proto__" is not allowed', keyAt);
      if (result.has(key)) throw this.#fail('key', `the key ${quote(key)} appears twice`, keyAt);
      this.#expect(':');
      result.set(key, this.#value(depth + 1));
    } while (this.#take(','));
    this.#expect('}');
    return result;
  }

  #array(depth: number): readonly JsonValue[] {
    const result: JsonValue[] = [];
    this.#at++;
    if (this.#take(']')) return result;
    do result.push(this.#value(depth + 1));
    while (this.#take(','));
    this.#expect(']');
    return result;
  }

  #string(): string {
    const start = this.#at;
    if (this.#text[start] !== '"') throw this.#fail('syntax', `expected a string, found ${this.#seen()}`);
    let end = start + 1;
    let escaped = false;
    for (;;) {
      const code = this.#text.charCodeAt(end);
      if (code === 0x22) break;
      if (Number.isNaN(code)) throw this.#fail('syntax', 'unterminated string', start);
      if (code < 0x20) throw this.#fail('syntax', 'control character in a string', end);
      escaped ||= code === 0x5c;
      end += code === 0x5c ? 2 : 1;
    }
    this.#at = end + 1;
    if (!escaped) return this.#text.slice(start + 1, end);
    const value = this.#unescape(start, end + 1);
    if (!value.isWellFormed()) throw this.#fail('syntax', 'unpaired surrogate in a string', start);
    return value;
  }

  /** One string literal, delimited already; only its escapes can still be wrong. */
  #unescape(start: number, end: number): string {
    try {
      return JSON.parse(this.#text.slice(start, end)) as string;
    } catch {
      throw this.#fail('syntax', 'bad escape in a string', start);
    }
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const lexeme = NUMBER.exec(this.#text)?.[0];
    if (lexeme === undefined) throw this.#fail('syntax', `expected a value, found ${this.#seen()}`);
    if (lexeme.length > MAX_NUMBER_CHARACTERS) throw this.#fail('limit', `a number of ${lexeme.length} characters`);
    this.#at += lexeme.length;
    return Number(lexeme);
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#take(character)) throw this.#fail('syntax', `expected "${character}", found ${this.#seen()}`);
  }

  #seen(): string {
    const character = this.#text[this.#at];
    return character === undefined ? 'the end of the text' : quote(character);
  }

  #fail(fault: StrictJsonFault, problem: string, position: number = this.#at): StrictJsonError {
    return new StrictJsonError(fault, problem, position);
  }
}

/** Parses one JSON document. @throws StrictJsonError, never anything else. */
export function parseStrictJson(text: string, limits: StrictJsonLimits): JsonValue {
  return new Parser(text, limits).document();
}
