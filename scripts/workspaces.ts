/** The workspaces of this repository, as their package.json files tell. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export const ROOT: string = path.resolve(import.meta.dirname, '..');

export interface Workspace {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly private: boolean;
  readonly scripts: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

const folders = (): string[] => [
  ...['packages', 'apps', 'tools'].flatMap((parent) =>
    readdirSync(path.join(ROOT, parent)).map((name) => path.join(ROOT, parent, name)),
  ),
  path.join(ROOT, 'bench'),
];

/** Every workspace, sorted by folder; missing fields of package.json are empty. */
export const workspaces = (): Workspace[] =>
  folders()
    .filter((folder) => existsSync(path.join(folder, 'package.json')))
    .toSorted()
    .map((folder) => {
      const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Partial<Workspace>;
      return {
        folder,
        name: manifest.name ?? folder,
        version: manifest.version ?? '0.0.0',
        private: manifest.private ?? false,
        scripts: manifest.scripts ?? {},
        exports: manifest.exports ?? {},
        bin: manifest.bin ?? {},
        peerDependencies: manifest.peerDependencies ?? {},
      };
    });
