/**
 * The programs of docs/guide/qwen-vl.md: its ```ts blocks in one folder, beside the model, the adapter and the picture they name.
 *
 * The first block is `setup.ts`, which the others import. They run outside the repository with the built packages installed.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Program } from '../../../tensor-core/test/guide/programs.js';

const repository = path.resolve(import.meta.dirname, '../../../..');
const packages = ['tensor-core', 'wasm-backend', 'qwen-vl', 'latent-reasoning'];
const files = {
  model: 'examples/tiny-livr/model',
  adapter: 'examples/tiny-livr/adapter',
  'counting.png': 'examples/counting.png',
};

const tsconfig = {
  compilerOptions: {
    target: 'es2024',
    lib: ['es2024', 'dom', 'dom.asynciterable'],
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [path.join(repository, 'node_modules/@types')],
  },
  include: ['*.ts'],
};

const fileOf = (i: number): string => (i === 0 ? 'setup.ts' : `${i}.ts`);

export async function installGuide(programs: readonly Program[]): Promise<string> {
  const root = await mkdtemp(path.join(os.tmpdir(), 'qwen-vl-guide-'));
  await mkdir(path.join(root, 'node_modules/@mindseye'), { recursive: true });
  const links = [
    ...packages.map((name) => [`node_modules/@mindseye/${name}`, `packages/${name}`] as const),
    ...Object.entries(files),
  ];
  for (const [from, to] of links) await symlink(path.join(repository, to), path.join(root, from), 'junction');
  await writeFile(path.join(root, 'package.json'), '{ "type": "module" }');
  await writeFile(path.join(root, 'tsconfig.json'), JSON.stringify(tsconfig));
  for (const [i, { code }] of programs.entries()) await writeFile(path.join(root, fileOf(i)), code);
  return root;
}

async function run(root: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  if (stderr !== '') throw new Error(stderr);
  // Where the programs lie is different on every machine.
  return stdout.replaceAll(`${root}${path.sep}`, '');
}

/** What program `i` prints. Throws with its own message when it fails or warns. */
export const runGuideProgram = (root: string, i: number): Promise<string> => run(root, [fileOf(i)]);

/** Type-checks all programs as strictly as the packages themselves. */
export const checkGuide = (root: string): Promise<string> =>
  run(root, [path.join(repository, 'node_modules/typescript/bin/tsc'), '-p', '.', '--pretty', 'false']);
