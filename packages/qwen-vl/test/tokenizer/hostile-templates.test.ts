/** Templates that misbehave: one clear line each, within the work and the memory they are allowed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConversationError, InvalidInputError } from '../../src/errors.js';
import { ChatTemplate, type Message } from '../../src/tokenizer/chat-template.js';

const messages: readonly Message[] = [{ role: 'user', content: 'hi' }];
/** A long turn, for templates that take the user's text to make something larger of. */
const longTurn: readonly Message[] = [{ role: 'user', content: 'x'.repeat(2 ** 20) }];

const loop = (body: string, times: number = 9999): string => `{% for i in range(${times}) %}${body}{% endfor %}`;
/** Sixty lists, each of twice the one before: 2^60 entries as text. */
const doubled = (step: string): string => `{% set n = namespace(a=['x']) %}${loop(`{% set n.a = ${step} %}`, 60)}`;
const text = '{% set s = messages[0].content %}';

const work = /it does too much work/;
const size = /a value of more than 2097152 characters/;
const entries = /a list or mapping of more than 65536 entries/;
const argument = /gives one of replace, indent, join, tojson a number or a text above 64/;
const nesting = /it is nested more than 500 deep/;

const hostile: readonly (readonly [string, string, RegExp])[] = [
  ['a statement without parts', '{% for %}', /cannot be parsed/],
  ['a function that is not there', '{{ undefined_function() }}', /cannot be rendered/],
  ['a refusal', "{{ raise_exception('only one turn') }}", /cannot be rendered: only one turn/],
  ['a refusal that is a list', '{{ raise_exception(messages) }}', /the template refuses the conversation/],
  ['a huge range', loop('x', 1e9), /range of 1000000000 numbers/],
  ['a range that never ends', '{% for i in range(1, 10, 0) %}x{% endfor %}', /range of Infinity numbers/],
  ['a loop in a loop', loop(loop('x')), /more than 500000 steps/],
  ['a text that doubles', doubled('n.a|join ~ n.a|join').replace("['x']", "'ab'"), size],
  ['a list that doubles', doubled('n.a + n.a'), entries],
  ['a list of itself twice, as JSON', `${doubled('[n.a, n.a]')}{{ n.a|tojson }}`, size],
  ['a mapping of itself twice, as text', `${doubled("{'p': n.a, 'q': n.a}")}{{ n.a ~ 'x' }}`, size],
  ['a list of itself twice, compared', `${doubled('[n.a, n.a]')}{{ n.a == 'x' }}`, size],
  [
    'a list in a list in a list',
    `${loop('')}${doubled('[n.a]').replace('(60)', '(70)')}`,
    /nests values more than 64 deep/,
  ],
  ['a namespace inside itself', '{% set n = namespace() %}{% set n.a = [n] %}{{ n }}', /puts a namespace inside/],
  ['a macro that calls itself', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', nesting],
  ['a long sum', `{{ 1${'+1'.repeat(100_000)} }}`, nesting],
  ['a macro defined again and again', loop(`{% macro f(x) %}${'{{ 1 }}'.repeat(9000)}{% endmacro %}`), work],
  ['a wide indent', "{{ 'a\nb'|indent(500000000) }}", argument],
  ['a wide indent by name', '{{ messages|tojson(indent=500000000) }}', argument],
  ['every gap replaced by the text', `${text}{{ s.replace('', s) }}`, argument],
  ['the same by a filter', `${text}{{ s|replace('', s) }}`, argument],
  ['the same by a method kept in a variable', `${text}{% set f = s['repl' ~ 'ace'] %}{{ f('', s) }}`, argument],
  ['the same by a list of arguments', `${text}{{ s.replace(*['', s]) }}`, argument],
  ['every gap replaced by a short text', `${text}{{ s.replace('', '${'y'.repeat(64)}') }}`, size],
  ['a long separator', `${text}{{ s|join(**{'separator': s}) }}`, argument],
  ['long separators', `${text}{{ [1, 2]|tojson(separators=(s[:100], ': ')) }}`, argument],
  ['a text in a million pieces', `${text}{{ s.split('x')|length }}`, entries],
  ['a long text again and again', `${text}${loop('{% set t = s|upper %}')}`, work],
  [
    'the same by a method kept in a variable, in pieces',
    `${text}{% set f = s.split %}${loop("{% set t = f('z') %}")}`,
    work,
  ],
  ['a long text searched', `${text}${loop("{% set t = 'z' in s %}")}`, work],
  ['a long text reversed', `${text}${loop('{% set t = s[::-1] %}')}`, work],
  ['the conversation searched', loop("{% set t = messages|selectattr('content', 'upper') %}"), work],
  ['the conversation compared', loop("{% set t = messages == 'x' %}"), work],
  ['a list sorted', `{% set l = range(8192) %}${loop('{% set t = l|sort %}')}`, work],
  ['a long text in a filter', `${text}{% filter upper %}${'{{ s }}'.repeat(300)}{% endfilter %}`, work],
  ['parentheses', `{{ ${'('.repeat(100_000)} }}`, /cannot be parsed/],
  ['a long file', 'x'.repeat(2 ** 18 + 1), /more than 262144/],
  ['a run of whitespace', '\n '.repeat(100_000), /a run of more than 1000 whitespace characters/],
];

describe('chat templates', () => {
  test.each(hostile)('%s', (_name, source, message) => {
    let error: unknown;
    try {
      new ChatTemplate(source, 'chat_template.jinja').render(longTurn);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConversationError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toMatch(/^chat_template\.jinja [^\n]*$/);
  });

  test('what real templates do with long conversations is within the limits', () => {
    const source = [
      '{% macro content(m) %}{{ m.content | trim }}{% endmacro %}',
      '{% for m in messages %}{% set last = (messages | length) - 1 - loop.index0 %}',
      "{% if m.role == 'user' and '</think>' in m.content %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}",
      "{% else %}{{ content(m) | replace('a', 'b') }}{{ m.get('name', 'none') }}{{ messages[0].role }}{% endif %}",
      "{% endfor %}{{ ([] | first) or 'none' }}{{ messages[-1] | tojson(indent=2) }}",
    ].join('');
    const conversation = Array.from({ length: 500 }, (_value, i) => ({
      role: 'user' as const,
      content: 'a '.repeat(i),
    }));
    expect(new ChatTemplate(source).render(conversation).length).toBeGreaterThan(200_000);
    const rendered = new ChatTemplate().render([{ role: 'user', content: 'x'.repeat(2_000_000) }]);
    expect(rendered).toContain('x'.repeat(2_000_000));
  });

  test('any text is a template that renders or a ConversationError', () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom(
        '{{',
        '}}',
        '{%',
        '%}',
        'for m in messages',
        'endfor',
        'if',
        'endif',
        'set x = ',
        'messages',
        '|',
        'length',
        '[0]',
        '.',
        'range(5)',
        'macro',
        '"',
        "'",
        '(',
        ')',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        try {
          new ChatTemplate(parts.join(' ')).render(messages);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInputError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a checkpoint brings its template in one of three files, and the first counts', () => {
    const jinja = 'A';
    const chatTemplateJson = { chat_template: 'B' };
    const tokenizerConfig = {
      chat_template: [
        { name: 'tool_use', template: 'X' },
        { name: 'default', template: 'C' },
      ],
    };
    const render = (sources: Parameters<typeof ChatTemplate.fromSources>[0]): string =>
      ChatTemplate.fromSources(sources).render(messages);
    expect(render({ jinja, chatTemplateJson, tokenizerConfig })).toBe('A');
    expect(render({ chatTemplateJson, tokenizerConfig })).toBe('B');
    expect(render({ tokenizerConfig })).toBe('C');
    expect(render({ tokenizerConfig: { chat_template: 5 } })).toContain('<|im_start|>user\nhi<|im_end|>');
  });
});
