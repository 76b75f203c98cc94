/**
 * A guide's programs as files in one folder outside the repository, with the built packages installed beside them: what a reader
 * would have. The first program is `setup.ts`; the others import it, or have it loaded before them.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Program } from './programs.ts';

const repository = path.resolve(import.meta.dirname, '../..');

/** What a guide's programs find in their folder. */
export interface GuideFiles {
  /** Folders in `packages` that they import. */
  readonly packages: readonly string[];
  /** Further files and folders: their names there, and their places in the repository. */
  readonly files?: Readonly<Record<string, string>>;
  /** Whether the set-up is loaded before every program; else they import it. */
  readonly loadsSetup?: boolean;
}

export interface InstalledPrograms {
  readonly folder: string;
  /** What program `i` prints. Rejects with its own message when it fails or warns. */
  run(i: number): Promise<string>;
  /** Type-checks all programs as strictly as the packages themselves; the compiler's complaints. */
  check(): Promise<string>;
}

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

export async function installPrograms(
  programs: readonly Program[],
  { packages, files = {}, loadsSetup = false }: GuideFiles,
): Promise<InstalledPrograms> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'guide-'));
  await mkdir(path.join(folder, 'node_modules/@mindseye'), { recursive: true });
  const links = [
    ...packages.map((name) => [`node_modules/@mindseye/${name}`, `packages/${name}`] as const),
    ...Object.entries(files),
  ];
  for (const [from, to] of links) await symlink(path.join(repository, to), path.join(folder, from), 'junction');
  await writeFile(path.join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
  for (const [i, { code }] of programs.entries()) await writeFile(path.join(folder, fileOf(i)), code);

  const run = async (args: readonly string[], file?: string): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: folder });
    if (stderr !== '') throw new Error(stderr);
    // Where the programs lie is different on every machine, and a reader's have no numbers.
    const printed = stdout.replaceAll(`${folder}${path.sep}`, '');
    return file === undefined ? printed : printed.replaceAll(file, 'example.ts');
  };
  return {
    folder,
    run: (i) => run(i > 0 && loadsSetup ? ['--import', './setup.ts', fileOf(i)] : [fileOf(i)], fileOf(i)),
    check: () => run([path.join(repository, 'node_modules/typescript/bin/tsc'), '-p', '.', '--pretty', 'false']),
  };
}
