/**
 * The programs of a guide: its ```ts blocks, each run as a file of its own, the way a reader would.
 *
 * The first block is the set-up that the guide asks for; it is loaded before every other. A block of ```text below a program
 * is what the program prints. Programs run outside the repository with the built package installed beside them.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

export interface Program {
  /** The heading it stands under, and its line in the guide. */
  readonly title: string;
  readonly code: string;
  /** What the guide says that it prints; undefined where it says nothing. */
  readonly printed: string | undefined;
}

const block = /^```(?<language>ts|text)\n(?<content>[\s\S]*?)^```$/gm;

export function programsOf(markdown: string): Program[] {
  const programs: { title: string; code: string; printed: string | undefined }[] = [];
  for (const { groups, index } of markdown.matchAll(block)) {
    const before = markdown.slice(0, index);
    const heading = /^#+ (.*)$/gm;
    if (groups!['language'] === 'ts')
      programs.push({
        title: `${[...before.matchAll(heading)].at(-1)?.[1] ?? 'no heading'}, line ${before.split('\n').length}`,
        code: groups!['content']!,
        printed: undefined,
      });
    else if (programs.length > 0) programs.at(-1)!.printed = groups!['content']!;
  }
  return programs;
}

/** The guide with what the programs really print. */
export function withOutputs(markdown: string, outputs: readonly string[]): string {
  let program = -1;
  return markdown.replace(block, (whole, language: string) => {
    if (language === 'ts') program++;
    return language === 'ts' ? whole : `\`\`\`text\n${outputs[program]!}\`\`\``;
  });
}

const packageFolder = path.resolve(import.meta.dirname, '../..');
const typescript = path.resolve(packageFolder, '../../node_modules/typescript/bin/tsc');

const tsconfig = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'dom'],
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: [],
  },
  include: ['**/*.ts'],
};

/** A folder with every program in a folder of its own, ready to run. */
export async function installPrograms(programs: readonly Program[]): Promise<string> {
  const root = await mkdtemp(path.join(os.tmpdir(), 'tensor-core-guide-'));
  await mkdir(path.join(root, 'node_modules/@mindseye'), { recursive: true });
  await symlink(packageFolder, path.join(root, 'node_modules/@mindseye/tensor-core'), 'junction');
  await writeFile(path.join(root, 'package.json'), '{ "type": "module" }');
  await writeFile(path.join(root, 'tsconfig.json'), JSON.stringify(tsconfig));
  for (const [i, { code }] of programs.entries()) {
    await mkdir(path.join(root, String(i)));
    await writeFile(path.join(root, String(i), 'example.ts'), code);
  }
  return root;
}

async function run(root: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  if (stderr !== '') throw new Error(stderr);
  return stdout;
}

/** What program `i` prints. Throws with its own message when it fails or warns. */
export const runProgram = (root: string, i: number): Promise<string> =>
  run(root, i === 0 ? ['0/example.ts'] : ['--import', './0/example.ts', `${i}/example.ts`]);

/** Type-checks all programs as strictly as the package itself. */
export const checkPrograms = (root: string): Promise<string> => run(root, [typescript, '-p', '.', '--pretty', 'false']);
