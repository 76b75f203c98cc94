/** The guide's programs, run as they are printed. `vitest run -u` writes what they print now into the guide. */
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkPrograms, installPrograms, programsOf, runProgram, withOutputs } from './programs.js';

const guide = fileURLToPath(new URL('../../../../docs/guide/tensor-core.md', import.meta.url));
const markdown = await readFile(guide, 'utf8');
const programs = programsOf(markdown);

describe('the guide', () => {
  let root = '';
  const outputs = new Map<number, Promise<string>>();
  const outputOf = (i: number): Promise<string> => {
    if (!outputs.has(i)) outputs.set(i, runProgram(root, i));
    return outputs.get(i)!;
  };
  const outputUnder = (heading: string): Promise<string> =>
    outputOf(programs.findIndex(({ title }) => title.startsWith(`${heading},`)));

  beforeAll(async () => {
    root = await installPrograms(programs);
  });
  afterAll(() => rm(root, { recursive: true }));

  it.each(programs.map(({ title }, i) => [title, i] as const))('%s: runs', async (_title, i) => {
    const output = await outputOf(i);
    if (programs[i]!.printed === undefined) expect(output).toBe('');
  });

  it('shows what its programs print', async () => {
    const printed = await Promise.all(programs.map((_, i) => outputOf(i)));
    await expect(withOutputs(markdown, printed)).toMatchFileSnapshot(guide);
  });

  it('type-checks', async () => {
    expect(await checkPrograms(root)).toBe('');
  });

  const lastLoss = (output: string): number => Number([...output.matchAll(/loss (\S+)$/gm)].at(-1)![1]);

  it('learns XOR: a loss below 0.001 and the right answers', async () => {
    const output = await outputUnder('XOR');
    expect(lastLoss(output)).toBeLessThan(0.001);
    expect(
      output
        .trim()
        .split('\n')
        .at(-1)!
        .split(' ')
        .map((answer) => Math.round(Number(answer))),
    ).toEqual([0, 1, 1, 0]);
  });

  it('finds the weights of the ridge regression', async () => {
    expect(await outputUnder('Ridge regression')).toContain('they differ by less than 1e-6: true');
  });

  it('teaches a transformer a sentence: a loss below 0.1, and the sentence', async () => {
    const output = await outputUnder('A transformer that learns a sentence');
    expect(lastLoss(output)).toBeLessThan(0.1);
    expect(output.trim().split('\n').at(-1)).toBe('a lazy graph holds no bytes;');
  });
});

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
