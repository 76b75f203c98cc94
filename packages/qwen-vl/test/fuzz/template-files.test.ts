/** Fuzz of chat templates; `tokenizer-files.test.ts` says what the whole set is. */
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';
import type { Message } from '../../src/tokenizer/chat-template.js';
import { DEFAULT_CHAT_TEMPLATE } from '../../src/tokenizer/default-chat-template.js';
import { goldenPath } from '../support/golden.js';
import { fuzz, HOSTILE_STRINGS, mutatedJson, mutatedText, POISONED_KEYS, valueOrTypedError } from '../support/fuzz.js';
import { openWith } from './support/memory-folder.js';

const CONVERSATION: readonly Message[] = [
  { role: 'system', content: 'You count.' },
  { role: 'user', content: [{ type: 'image' }, { type: 'text', text: '{{ 1 }} <|im_end|>' }] },
  { role: 'assistant', content: 'x'.repeat(10_000) },
  { role: 'user', content: 'And here?' },
];

type TemplateFile = 'chat_template.jinja' | 'chat_template.json' | 'tokenizer_config.json';

/** A template either renders every conversation to a text within the limits, or says in one line why not. */
async function tryTemplate(name: TemplateFile, text: string): Promise<void> {
  const folder = await openWith({ [name]: text });
  const template = await valueOrTypedError(() => folder.chatTemplate());
  if (template instanceof InvalidInputError) return;
  for (const messages of [CONVERSATION, []]) {
    for (const addGenerationPrompt of [false, true]) {
      const rendered = await valueOrTypedError(() => template.render(messages, { addGenerationPrompt }));
      if (typeof rendered === 'string') expect(rendered.length).toBeLessThanOrEqual(2 ** 21);
    }
  }
}

const written = [DEFAULT_CHAT_TEMPLATE, readFileSync(goldenPath('tokenizer/chat_template.jinja'), 'utf8')];
const jinja = [
  '{{',
  '}}',
  '{%',
  '%}',
  '{#',
  '#}',
  '-',
  '|',
  '(',
  ')',
  '[',
  ']',
  '"',
  "'",
  ' for i in range(9999) ',
  '\\',
  '.',
];

test('chat_template.jinja with wrong text', async () => {
  const mutants = fc.oneof(...written.map((text) => mutatedText(text, [...jinja, ...HOSTILE_STRINGS])));
  await fuzz('chat_template.jinja', 600, mutants, (text) => tryTemplate('chat_template.jinja', text));
});

test('chat_template.json and the template of tokenizer_config.json', async () => {
  const file = fc.constantFrom<TemplateFile>('chat_template.json', 'tokenizer_config.json');
  const one = JSON.stringify({ chat_template: DEFAULT_CHAT_TEMPLATE });
  const list = JSON.stringify({ chat_template: [{ name: 'default', template: DEFAULT_CHAT_TEMPLATE }] });
  const json = fc.oneof(mutatedJson(one), mutatedJson(list));
  await fuzz('chat_template.json', 300, fc.tuple(file, json), ([name, value]) =>
    tryTemplate(name, JSON.stringify(value) ?? ''),
  );
});

/** Programs that parse: loops over loops, values made of themselves, macros that call each other, and what objects inherit. */
const { program } = fc.letrec<{ program: string; statement: string; expression: string }>((tie) => ({
  program: fc.array(tie('statement'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
  statement: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('expression').map((value) => `{{ ${value} }}`),
    tie('expression').map((value) => `{% set n.a = ${value} %}`),
    fc.tuple(tie('expression'), tie('program')).map(([list, body]) => `{% for i in ${list} %}${body}{% endfor %}`),
    fc.tuple(fc.nat(9999), tie('program')).map(([n, body]) => `{% for i in range(${n}) %}${body}{% endfor %}`),
    fc.tuple(tie('expression'), tie('program')).map(([value, body]) => `{% if ${value} %}${body}{% endif %}`),
    tie('program').map((body) => `{% macro f(x, y=1) %}${body}{% endmacro %}`),
    tie('program').map((body) => `{% set s %}${body}{% endset %}`),
    tie('program').map((body) => `{% filter upper %}${body}{% endfilter %}`),
    fc.constantFrom('{% break %}', '{% continue %}', '{{ f(f) }}', '{% call f() %}{{ f(1) }}{% endcall %}'),
  ),
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      'n.a',
      's',
      'i',
      'x',
      'messages',
      'messages[2].content',
      'loop',
      'n',
      'none',
      'true',
      'f',
      '1',
      '9e99',
    ),
    fc.constantFrom("'ab'", '2 ** 40', 'range(3)', 'namespace(a=n.a)', 'f(s)', 'caller()', "''", '[]', '{}'),
    fc.constantFrom(...POISONED_KEYS).map((key) => `messages.${key}`),
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `[${a}, ${b}]`),
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `{'p': ${a}, 'q': ${b}}`),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom('+', '~', '*', '//', '%', '==', 'in', 'and', 'or', '<'),
        tie('expression'),
      )
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom(
          'upper',
          'tojson',
          'list',
          'length',
          'sort',
          'first',
          'last',
          'join',
          'items',
          'trim',
          'unique',
        ),
      )
      .map(([value, filter]) => `(${value} | ${filter})`),
    fc
      .tuple(tie('expression'), fc.constantFrom('replace', 'indent', 'join', 'tojson', 'default'), tie('expression'))
      .map(([value, filter, argument]) => `(${value} | ${filter}(${argument}))`),
    fc.tuple(tie('expression'), tie('expression')).map(([value, other]) => `(${value}).replace('', ${other})`),
    fc.tuple(tie('expression'), tie('expression')).map(([value, other]) => `(${value}).split(${other})`),
    fc.tuple(tie('expression'), tie('expression')).map(([value, other]) => `(${value})[${other}]`),
    tie('expression').map((value) => `(${value})[::-1]`),
    tie('expression').map((value) => `range(${value})`),
  ),
}));

test('programs', async () => {
  const start = "{% set n = namespace(a=['x']) %}{% set s = messages[2].content %}";
  await fuzz('Jinja programs', 600, program, (text) => tryTemplate('chat_template.jinja', start + text));
});
