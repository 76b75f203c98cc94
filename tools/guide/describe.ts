/** The tests that every guide has: its programs run as they are printed, and print what is printed below them. */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type GuideFiles, type InstalledPrograms, installPrograms } from './install.ts';
import { programsOf, withOutputs } from './programs.ts';

/** What the program under a heading prints. */
export type OutputUnder = (heading: string) => Promise<string>;

/**
 * Registers them, inside a `describe`. `vitest run -u` writes what the programs print now into the guide.
 *
 * @param name of a file in docs/guide
 */
export function describeGuide(name: string, files: GuideFiles): { markdown: string; outputUnder: OutputUnder } {
  const guide = path.resolve(import.meta.dirname, '../../docs/guide', name);
  const markdown = readFileSync(guide, 'utf8');
  const programs = programsOf(markdown);
  let installed: InstalledPrograms;
  const outputs = new Map<number, Promise<string>>();
  const outputOf = (i: number): Promise<string> => {
    const output = outputs.get(i) ?? installed.run(i);
    outputs.set(i, output);
    return output;
  };

  beforeAll(async () => {
    installed = await installPrograms(programs, files);
  });
  afterAll(() => rm(installed.folder, { recursive: true }));

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
    expect(await installed.check()).toBe('');
  });

  return {
    markdown,
    outputUnder: (heading) => outputOf(programs.findIndex(({ title }) => title.startsWith(`${heading},`))),
  };
}
