/**
 * What all fuzz tests share: hostile values, mutated JSON and text, and a runner that prints its seed.
 *
 * A mutation starts from a good file, because a file that is wrong from its first byte on tests only the first check. Mutants
 * are made of JSON text, so that keys such as `__proto__` arrive as `JSON.parse` makes them: own properties.
 *
 * Every run draws a new seed and prints it; `FUZZ_SEED=<seed>` in the environment runs the same cases again.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Keys that every object inherits, or that a careless copy would let change all objects. */
export const POISONED_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
] as const;

/** Numbers at the edges of what files, typed arrays and indices can hold. */
export const HOSTILE_NUMBERS: readonly number[] = [
  -1,
  -0,
  0.5,
  1e-308,
  2 ** 16,
  2 ** 21,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  1e21,
  Number.MAX_VALUE,
];

export const HOSTILE_STRINGS: readonly string[] = [
  '',
  ' ',
  '\u0000',
  '\n',
  '\u2028',
  '\u202e',
  '\ud800',
  '\udc00x',
  '../../../etc/passwd',
  'NaN',
  'null',
  '1e999',
  'x'.repeat(5000),
  '\u0301'.repeat(500),
  ...POISONED_KEYS,
];

/** Lists in lists, `depth` deep. */
export const nested = (depth: number): Json => {
  let value: Json = [];
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? { a: value } : [value];
  return value;
};

/** A value that no field expects, of any JSON type. */
export const hostileValue: fc.Arbitrary<Json> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Json>(...HOSTILE_NUMBERS, ...HOSTILE_STRINGS, null, true, false, [], {}) },
  fc.constantFrom(1, 10, 100, 1000).map(nested),
  fc.constantFrom(...POISONED_KEYS).map((key) => JSON.parse(`{${JSON.stringify(key)}: {"polluted": 1}}`) as Json),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
  fc.nat(300).map((length) => Array.from({ length }, (_value, index) => index)),
);

/** By way of text: a structured clone of values this deep overflows the stack. */
const copied = (value: Json): Json => JSON.parse(JSON.stringify(value)) as Json;

type Container = Json[] | Record<string, Json>;
const isContainer = (value: unknown): value is Container => typeof value === 'object' && value !== null;
const keysOf = (container: Container): string[] => Object.keys(container);
const put = (container: Container, key: string, value: Json): void => {
  Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
};

/** One change at the place that `path` walks to: each number picks a child, modulo their count. */
interface Mutation {
  readonly path: readonly number[];
  readonly kind: 'replace' | 'remove' | 'add' | 'rename' | 'repeat' | 'swap' | 'nudge';
  readonly value: Json;
  readonly key: string;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  path: fc.array(fc.nat(10_000), { minLength: 1, maxLength: 6 }),
  kind: fc.constantFrom('replace', 'replace', 'remove', 'add', 'rename', 'repeat', 'swap', 'nudge'),
  value: hostileValue,
  key: fc.oneof(fc.constantFrom<string>(...POISONED_KEYS, '', '0', '-1', 'length'), fc.string({ maxLength: 8 })),
});

/** How each kind changes one child; `value` and `key` are the mutation's. Values go in as copies: later changes may hit them. */
const CHANGES: Readonly<Record<Mutation['kind'], (parent: Container, child: string, mutation: Mutation) => void>> = {
  replace: (parent, child, { value }) => put(parent, child, copied(value)),
  remove(parent, child) {
    if (Array.isArray(parent)) parent.splice(Number(child), 1);
    else delete parent[child];
  },
  add(parent, _child, { key, value }) {
    if (Array.isArray(parent)) parent.push(copied(value));
    else put(parent, key, copied(value));
  },
  rename(parent, child, { key }) {
    if (Array.isArray(parent)) return;
    const value = parent[child]!;
    delete parent[child];
    put(parent, key, value);
  },
  repeat(parent, child, { key }) {
    const copy = copied((parent as Record<string, Json>)[child]!);
    if (Array.isArray(parent)) parent.push(copy);
    else put(parent, key, copy);
  },
  swap(parent, child, { path }) {
    const keys = keysOf(parent);
    const other = keys[path[0]! % keys.length]!;
    const values = parent as Record<string, Json>;
    const [a, b] = [values[child]!, values[other]!];
    put(parent, child, b);
    put(parent, other, a);
  },
  nudge(parent, child, { path }) {
    const value = (parent as Record<string, Json>)[child];
    const step = path[0]! % 2 === 0 ? 1 : -1;
    if (typeof value === 'number') put(parent, child, value + step);
    if (typeof value === 'string') put(parent, child, step > 0 ? `${value}x` : value.slice(0, -1));
    if (typeof value === 'boolean') put(parent, child, !value);
  },
};

function mutate(root: Json, change: Mutation): void {
  let parent: unknown = root;
  for (const [depth, step] of change.path.entries()) {
    if (!isContainer(parent)) return;
    const keys = keysOf(parent);
    if (keys.length === 0) return;
    const child = keys[step % keys.length]!;
    const next = (parent as Record<string, Json>)[child];
    if (depth === change.path.length - 1 || !isContainer(next)) {
      CHANGES[change.kind](parent, child, change);
      return;
    }
    parent = next;
  }
}

/**
 * Copies of a good file's value with one to `most` changes anywhere in it, as `JSON.parse` would give them.
 * @param base the text of a file that is accepted
 */
export function mutatedJson(base: string, most: number = 4): fc.Arbitrary<unknown> {
  return fc.array(mutation, { minLength: 1, maxLength: most }).map((changes) => {
    const root = { root: JSON.parse(base) as Json };
    for (const change of changes) mutate(root.root, change);
    // The root itself is replaced now and then.
    const [first] = changes;
    return first!.kind === 'replace' && first!.path[0]! % 50 === 0 ? first!.value : root.root;
  });
}

/** Copies of a good text with up to `most` stretches cut, doubled, overwritten or moved, or the end missing. */
export function mutatedText(
  base: string,
  inserts: readonly string[] = HOSTILE_STRINGS,
  most: number = 4,
): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.nat(base.length),
    length: fc.oneof(fc.nat(4), fc.nat(base.length)),
    kind: fc.constantFrom<'cut' | 'double' | 'insert' | 'move' | 'end'>('cut', 'double', 'insert', 'move', 'end'),
    text: fc.oneof(fc.constantFrom(...inserts), fc.string({ unit: 'binary', maxLength: 6 })),
    to: fc.nat(base.length),
  });
  return fc.array(change, { minLength: 1, maxLength: most }).map((changes) => {
    let text = base;
    for (const { at, length, kind, text: inserted, to } of changes) {
      const [head, middle, tail] = [text.slice(0, at), text.slice(at, at + length), text.slice(at + length)];
      if (kind === 'cut') text = head + tail;
      if (kind === 'double') text = head + middle + middle + tail;
      if (kind === 'insert') text = head + inserted + middle + tail;
      if (kind === 'move') text = (head + tail).slice(0, to) + middle + (head + tail).slice(to);
      if (kind === 'end') text = head;
    }
    return text;
  });
}

/**
 * Runs what a stranger's file is given to. Whatever it does must be a value, or an InvalidInputError of one line that names
 * its source; anything else (a TypeError, a RangeError, a hang) fails the test.
 */
export async function valueOrTypedError<T>(run: () => T | Promise<T>): Promise<T | InvalidInputError> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    expect(error.message).not.toMatch(/[\n\r\u2028\u2029]/);
    expect(error.message.length).toBeLessThanOrEqual(700);
    expect(error.message.length).toBeGreaterThan(10);
    return error;
  }
}

/** Nothing that a file says may reach the prototypes of this program. */
function expectCleanPrototypes(): void {
  for (const prototype of [Object.prototype, Array.prototype, Function.prototype]) {
    expect(Object.keys(prototype)).toEqual([]);
  }
}

/**
 * Runs `check` on `cases` drawn inputs, printing the seed; a failing input is shrunk and shown by fast-check.
 * @param name what is fuzzed, as it appears in the printed line
 */
export async function fuzz<T>(
  name: string,
  cases: number,
  inputs: fc.Arbitrary<T>,
  check: (input: T) => void | Promise<void>,
): Promise<void> {
  const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.info(`fuzz ${name}: ${cases} cases, seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(inputs, async (input) => check(input)),
    { numRuns: cases, seed },
  );
  expectCleanPrototypes();
}
