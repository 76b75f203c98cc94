/**
 * Tests the packages as their users get them: packs every public workspace, checks each tarball with publint and
 * are-the-types-wrong, installs all of them with npm in a blank project outside the repository, and there
 *
 *   - imports every entry from Node, and runs every command with --version;
 *   - type-checks an import of every entry under `nodenext` and under `bundler`, declarations included;
 *   - builds a page with Vite that imports every entry that runs in a browser, and looks into the bundle for code that
 *     only Node has.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT, type Workspace, workspaces } from './workspaces.ts';

/** Text that appears in an unminified bundle only if Node-only code was pulled in; the last is Vite's stand-in for it. */
const NODE_ONLY = [/dawn\.node/, /@img\/sharp/, /["']sharp["']/, /["']node:/, /vite_browser_external/];

const step = (text: string): void => console.log(`pack: ${text}`);

/** Runs a program to its end; on failure throws with the program's own output. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      cwd,
      maxBuffer: 64 << 20,
      shell: process.platform === 'win32',
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')} failed in ${cwd}\n${stdout}${stderr}`, { cause: error });
  }
}

interface Entry {
  readonly specifier: string;
  /** False for entries that exist under the `node` condition only. */
  readonly inBrowser: boolean;
}

const entriesOf = ({ name, exports }: Workspace): Entry[] =>
  Object.entries(exports)
    .filter(([subpath]) => subpath !== './package.json')
    .map(([subpath, target]) => ({
      specifier: name + subpath.slice(1),
      inBrowser: typeof target === 'object' && target !== null && 'default' in target,
    }));

/** A module that imports every entry whole and leaves each namespace on `entries`, so that nothing is shaken away. */
const importAll = (specifiers: readonly string[]): string =>
  [
    ...specifiers.map((specifier, i) => `import * as entry${i} from '${specifier}';`),
    `export const entries = { ${specifiers.map((specifier, i) => `'${specifier}': entry${i}`).join(', ')} };`,
    '',
  ].join('\n');

const tsconfig = (module: string, moduleResolution: string): string =>
  JSON.stringify({
    compilerOptions: {
      module,
      moduleResolution,
      target: 'es2024',
      lib: ['es2024', 'es2025.float16', 'esnext.disposable', 'dom'],
      types: ['node'],
      strict: true,
      noEmit: true,
      skipLibCheck: false,
    },
    files: ['all.ts'],
  });

async function pack(packages: readonly Workspace[], into: string): Promise<Map<string, string>> {
  const tarballs = new Map<string, string>();
  for (const { name, folder } of packages) {
    const before = new Set(await readdir(into));
    await run('pnpm', ['pack', '--pack-destination', into], folder);
    const made = (await readdir(into)).filter((file) => !before.has(file));
    if (made.length !== 1) throw new Error(`pnpm pack of ${name} made ${made.length} files in ${into}, expected 1`);
    tarballs.set(name, path.join(into, made[0]!));
  }
  return tarballs;
}

async function lint(packages: readonly Workspace[], tarballs: ReadonlyMap<string, string>): Promise<void> {
  for (const { name, exports } of packages) {
    const tarball = tarballs.get(name)!;
    await run('publint', ['run', '--strict', tarball], ROOT);
    // A package with a command and nothing to import has no types to be wrong.
    if (Object.keys(exports).some((subpath) => subpath !== './package.json')) {
      await run('attw', ['--profile', 'esm-only', tarball], ROOT);
    }
  }
}

/** Siblings must resolve to the tarballs, not to the registry: hence the overrides beside the dependencies. */
async function install(
  project: string,
  packages: readonly Workspace[],
  tarballs: ReadonlyMap<string, string>,
): Promise<void> {
  const root = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  const files = Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`]));
  const tools = Object.fromEntries(
    ['typescript', 'vite', '@types/node'].map((name) => [name, root.devDependencies[name] ?? '*']),
  );
  // Optional peers are what an entry needs beyond its package; whoever imports every entry installs every peer.
  const peers = Object.assign({}, ...packages.map(({ peerDependencies }) => peerDependencies)) as Record<
    string,
    string
  >;
  const manifest = { private: true, type: 'module', dependencies: { ...peers, ...tools, ...files }, overrides: files };
  await writeFile(path.join(project, 'package.json'), JSON.stringify(manifest, null, 2));
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier'], project);
}

async function importFromNode(project: string, entries: readonly Entry[]): Promise<void> {
  const code = `${importAll(entries.map(({ specifier }) => specifier))}
for (const [specifier, entry] of Object.entries(entries)) {
  if (Object.keys(entry).length === 0) throw new Error(specifier + ' exports nothing');
}
`;
  await writeFile(path.join(project, 'node.mjs'), code);
  await run(process.execPath, ['node.mjs'], project);
}

async function runCommands(project: string, packages: readonly Workspace[]): Promise<void> {
  for (const { bin, version } of packages) {
    for (const command of Object.keys(bin)) {
      const printed = (await run(path.join(project, 'node_modules/.bin', command), ['--version'], project)).trim();
      if (printed !== version) throw new Error(`${command} --version printed "${printed}", expected "${version}"`);
    }
  }
}

async function typecheck(project: string, entries: readonly Entry[]): Promise<void> {
  const code = `${importAll(entries.map(({ specifier }) => specifier))}
// @ts-expect-error: the types are really there, not an implicit any that would allow everything
entries['${entries[0]!.specifier}'].noSuchExport;
`;
  await writeFile(path.join(project, 'all.ts'), code);
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    await writeFile(path.join(project, 'tsconfig.json'), tsconfig(module, resolution));
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], project);
  }
}

async function bundle(project: string, entries: readonly Entry[]): Promise<void> {
  const inBrowser = entries.filter((entry) => entry.inBrowser).map(({ specifier }) => specifier);
  await writeFile(path.join(project, 'index.html'), '<script type="module" src="./page.js"></script>\n');
  await writeFile(path.join(project, 'page.js'), `${importAll(inBrowser)}globalThis.mindseye = entries;\n`);
  await run(
    process.execPath,
    ['node_modules/vite/bin/vite.js', 'build', '--target', 'es2023', '--minify', 'false'],
    project,
  );
  const assets = path.join(project, 'dist/assets');
  for (const file of await readdir(assets)) {
    const code = await readFile(path.join(assets, file), 'utf8');
    for (const pattern of NODE_ONLY) {
      const at = code.search(pattern);
      if (at >= 0)
        throw new Error(`the browser bundle has Node-only code (${pattern}): …${code.slice(at - 60, at + 60)}…`);
    }
  }
}

const packages = workspaces().filter((workspace) => !workspace.private);
const entries = packages.flatMap(entriesOf);
const scratch = await mkdtemp(path.join(os.tmpdir(), 'mindseye-pack-'));
try {
  const project = path.join(scratch, 'project');
  const tarballFolder = path.join(scratch, 'tarballs');
  await mkdir(project);
  await mkdir(tarballFolder);

  step(`packing ${packages.map(({ name }) => name).join(', ')}`);
  const tarballs = await pack(packages, tarballFolder);
  step('publint and are-the-types-wrong');
  await lint(packages, tarballs);
  step('npm install in a blank project');
  await install(project, packages, tarballs);
  step(`importing ${entries.length} entries from Node`);
  await importFromNode(project, entries);
  step('running the command');
  await runCommands(project, packages);
  step('type-checking under nodenext and bundler');
  await typecheck(project, entries);
  step('building a page with Vite');
  await bundle(project, entries);
  step('all good');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
