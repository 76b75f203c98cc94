/** The programs of the Qwen2.5-VL guide, run as they are printed. `vitest run -u` writes what they print now into the guide. */
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programsOf, withOutputs } from '../../../tensor-core/test/guide/programs.js';
import { checkGuide, installGuide, runGuideProgram } from './qwen-vl-programs.js';

const guide = fileURLToPath(new URL('../../../../docs/guide/qwen-vl.md', import.meta.url));
const markdown = await readFile(guide, 'utf8');
const programs = programsOf(markdown);

describe('the guide', () => {
  let root = '';
  const outputs = new Map<number, Promise<string>>();
  const outputOf = (i: number): Promise<string> => {
    if (!outputs.has(i)) outputs.set(i, runGuideProgram(root, i));
    return outputs.get(i)!;
  };
  const outputUnder = (heading: string): Promise<string> =>
    outputOf(programs.findIndex(({ title }) => title.startsWith(`${heading},`)));

  beforeAll(async () => {
    root = await installGuide(programs);
  });
  afterAll(() => rm(root, { recursive: true }));

  it.each(programs.map(({ title }, i) => [title, i] as const))('%s: runs', async (_title, i) => {
    const output = await outputOf(i);
    if (programs[i]!.printed === undefined) expect(output).toBe('');
  });

  it('shows what its programs print', async () => {
    const printed: string[] = [];
    for (const i of programs.keys()) printed.push(await outputOf(i));
    await expect(withOutputs(markdown, printed)).toMatchFileSnapshot(guide);
  });

  it('type-checks', async () => {
    expect(await checkGuide(root)).toBe('');
  });

  it('names only what there is in the programs that need a hub or a browser', async () => {
    const there: Readonly<Record<string, object>> = {
      '@mindseye/qwen-vl': await import('@mindseye/qwen-vl'),
      '@mindseye/qwen-vl/node': await import('@mindseye/qwen-vl/node'),
    };
    const blocks = [...markdown.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!).join('');
    const imports = [...blocks.matchAll(/import \{ (.*?) \} from '(.*?)'/g)];
    const names = imports.flatMap(([, list, from]) => (list ?? '').split(', ').map((name) => ({ name, from: from! })));
    const known = names.filter(({ from }) => from in there);
    expect(known.length).toBeGreaterThan(4);
    for (const { name, from } of known) expect(there[from]).toHaveProperty(name);
  });

  it('counts right: six red circles, with latents and without an adapter', async () => {
    expect(await outputUnder('Ask')).toMatch(/\n6\n$/);
    expect(await outputUnder('Batch')).toMatch(/^Count the circles\. 7 true\n.* 1 true\n.* 0 true\n$/);
    expect(await outputUnder('Adapters')).toMatch(/answer 6\n/);
  });

  it('keeps what it has read', async () => {
    expect(await outputUnder('Keep a conversation')).toMatch(/, 0 of them held\n\d+ tokens, [1-9]\d* of them held/);
  });
});
