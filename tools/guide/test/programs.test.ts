import { describe, expect, it } from 'vitest';
import { programsOf, withOutputs } from '../programs.ts';

describe('the programs of a guide', () => {
  const example =
    '# Top\n```ts\nsetUp();\n```\nwords\n## Part\n```ts\none();\n```\n\n```text\nold\n```\n```sh\nls\n```\n';

  it('are its ts blocks with the text blocks below them', () => {
    expect(programsOf(example)).toEqual([
      { title: 'Top, line 2', code: 'setUp();\n', printed: undefined },
      { title: 'Part, line 7', code: 'one();\n', printed: 'old\n' },
    ]);
  });

  it('get their outputs replaced, and nothing else', () => {
    expect(withOutputs(example, ['', 'new\n'])).toBe(example.replace('old', 'new'));
  });
});
