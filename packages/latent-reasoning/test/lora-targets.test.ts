/** Which layers are adapted, with which rank and scale: PEFT's own choices, and patterns that must not hang. */
import { InvalidInputError, type ParameterShapes, parameterShapes } from '@mindseye/qwen-vl';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fullMatch, layerSettings, loraTargets } from '../src/index.js';
import { readPeftConfig } from '../src/lora/peft-config.js';
import { readJson, readModel } from './support/golden.js';

interface TargetCases {
  readonly defaults: object;
  readonly cases: readonly {
    readonly model: string;
    readonly config: object;
    readonly layers: Readonly<Record<string, readonly [rank: number, scale: number]>>;
  }[];
}

describe("PEFT's choice", async () => {
  const { defaults, cases } = await readJson<TargetCases>('lora-targets.json');
  const shapesOf = new Map<string, ParameterShapes>();
  for (const name of new Set(cases.map(({ model }) => model)))
    shapesOf.set(name, parameterShapes((await readModel(name)).config));
  test.each(cases)('of $config in $model', ({ model, config, layers }) => {
    const { config: own } = readPeftConfig({ peft_type: 'LORA', ...defaults, ...config }, 'case');
    const settings = layerSettings(own);
    const chosen = [...loraTargets(shapesOf.get(model)!, own).keys()].map((path) => [
      path,
      [settings.rank(path), settings.scale(path)],
    ]);
    expect(Object.fromEntries(chosen)).toEqual(layers);
    expect(chosen.length).toBeGreaterThan(0);
  });
});

test('a target that is no linear layer is refused, unless it is excluded', async () => {
  const shapes = parameterShapes((await readModel('tiny-tied')).config);
  const config = { rank: 1, alpha: 1, dropout: 0, targetModules: ['proj'] };
  expect(() => loraTargets(shapes, config)).toThrow(
    /target_modules names model\.visual\.patch_embed\.proj, which is no/,
  );
  const targets = loraTargets(shapes, { ...config, excludeModules: ['patch_embed.proj'] });
  expect([...targets.keys()].every((path) => /blocks\.\d+\.attn\.proj$/.test(path))).toBe(true);
  expect(targets.size).toBe(4);
});

describe('patterns', () => {
  /** Patterns that mean the same to Python and to JavaScript; repeats in repeats are few, for the sake of the reference. */
  const { pattern } = fc.letrec<{ pattern: string; atom: string; group: string }>((tie) => ({
    pattern: fc.array(tie('atom'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
    atom: fc.oneof(
      { depthSize: 'small', maxDepth: 3, withCrossShrink: true },
      fc
        .tuple(
          fc.constantFrom('a', 'b', '\\.', '.', '[ab]', '[^a]', '\\d', '\\w', '[a-b.]'),
          fc.constantFrom('', '', '*', '+', '?', '*?', '{2}', '{1,2}', '{0,}'),
        )
        .map((parts) => parts.join('')),
      fc.constantFrom('\\b', '\\B', '^', '$'),
      fc.tuple(tie('group'), fc.constantFrom('', '?', '??', '{1,2}', '{2}', '{0}')).map((parts) => parts.join('')),
      fc.tuple(fc.constantFrom('?=', '?!', '?<=', '?<!'), tie('pattern')).map(([look, inner]) => `(${look}${inner})`),
    ),
    group: fc.oneof(
      tie('pattern').map((inner) => `(${inner})`),
      fc.tuple(tie('pattern'), tie('pattern')).map(([one, other]) => `(?:${one}|${other})`),
    ),
  }));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '1'), maxLength: 6 });

  test('mean what they mean to a regular expression engine', () => {
    fc.assert(
      fc.property(pattern, fc.array(text, { maxLength: 8 }), (source, texts) => {
        const [own, reference] = [fullMatch(source), new RegExp(`^(?:${source})$`)];
        for (const each of texts) expect(own(each), `${source} on ${JSON.stringify(each)}`).toBe(reference.test(each));
      }),
      { numRuns: 500 },
    );
  });

  test('never crash or hang, whatever they are', () => {
    const hostile = fc.oneof(
      fc.string({ unit: fc.constantFrom(...Array.from('()[]{}|*+?\\^$.<>=!:Pab1,-')), maxLength: 40 }),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    fc.assert(
      fc.property(hostile, text, (source, each) => {
        try {
          fullMatch(source)(each);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('that make other engines backtrack for ever end', () => {
    const name = `${'a'.repeat(60)}!`;
    expect(fullMatch('(a+)+$')(name)).toBe(false);
    expect(fullMatch('(a|a|aa)*b')(name)).toBe(false);
    expect(fullMatch(`${'(a*)*'.repeat(5)}b`)(name)).toBe(false);
    const nested = `${'('.repeat(60)}a${'{0,1000})'.repeat(60)}`;
    expect(() => fullMatch(nested)('a'.repeat(5000))).toThrow(/takes too many steps to match: list the names/);
  });

  test.each([
    ['(?i)a', /uses "\(\?i\)", which is not understood/],
    ['(a)\\1', /uses "\\1", which is not understood/],
    ['a++', /repeats what is repeated already/],
    ['*a', /has nothing before "\*" to repeat/],
    ['(a', /has a "\(" without its "\)"/],
    ['a)', /has a "\)" too many/],
    ['[a', /ends in the middle/],
    ['[b-a]', /range that ends before it starts/],
    ['a{2000}', /up to 1000 are understood/],
    ['a\\', /ends in the middle/],
    ['('.repeat(100), /nests groups deeper than 64/],
    ['a'.repeat(5000), /has 5000 characters, the limit is 4096/],
  ])('%s is refused', (source, message) => {
    expect(() => fullMatch(source, 'target_modules')).toThrow(message);
    expect(() => fullMatch(source, 'target_modules')).toThrow(/^target_modules "[^\n]*: list the names of the modules/);
  });

  test('braces that count nothing are letters, a bracket first in a class is one', () => {
    expect(fullMatch('a{,}')('a{,}')).toBe(true);
    expect(fullMatch('a{x}')('a{x}')).toBe(true);
    expect(fullMatch('[]a]+')('a]')).toBe(true);
    expect(fullMatch('[a-]')('-')).toBe(true);
  });
});
