/**
 * The repository's example models and pictures, at the addresses the page reads:
 *
 *   examples/<model>/model/<file>     ->  models/<model>/<file>
 *   examples/<model>/adapter/<file>   ->  models/<model>/adapter/<file>
 *   examples/<picture>.png|jpg        ->  pictures/<picture>
 *   the list of all of these          ->  models/catalog.json
 *
 * The build copies them, the development server reads them where they lie. A folder that is not there is not in the list.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Plugin } from 'vite';

const CATALOG = 'models/catalog.json';
const MODEL_FILE = /\.(json|jinja|safetensors)$/;
const PICTURE_FILE = /\.(png|jpe?g)$/;

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.jinja': 'text/plain',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
};

/** Address of each file, relative to the page, with the path it is read from. */
type Files = ReadonlyMap<string, string>;

function filesIn(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map(({ name }) => name)
    .toSorted();
}

function modelFiles(examples: string, model: string): [address: string, file: string][] {
  return [
    ['model', ''],
    ['adapter', 'adapter/'],
  ].flatMap(([part, prefix]) => {
    const folder = path.join(examples, model, part!);
    return filesIn(folder, MODEL_FILE).map((name): [string, string] => [
      `models/${model}/${prefix}${name}`,
      path.join(folder, name),
    ]);
  });
}

function findFiles(examples: string): Files {
  const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const pictures = filesIn(examples, PICTURE_FILE);
  return new Map([
    ...folders.flatMap(({ name }) => modelFiles(examples, name)),
    ...pictures.map((name): [string, string] => [`pictures/${name}`, path.join(examples, name)]),
  ]);
}

const catalogOf = (files: Files): string => JSON.stringify({ files: [...files.keys()] }, null, 2);

/** @param examples folder of the examples; the repository's own when left out */
export function exampleFiles(examples: string = path.resolve(import.meta.dirname, '../../../examples')): Plugin {
  return {
    name: 'example-files',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const address = (request.url ?? '/').replace(/[?#].*/s, '').slice(1);
        const files = findFiles(examples);
        const file = files.get(address);
        if (file === undefined && address !== CATALOG) return next();
        response.setHeader('Content-Type', CONTENT_TYPES[path.extname(address)] ?? 'application/octet-stream');
        response.end(file === undefined ? catalogOf(files) : readFileSync(file));
      });
    },
    generateBundle() {
      const files = findFiles(examples);
      for (const [fileName, file] of files) this.emitFile({ type: 'asset', fileName, source: readFileSync(file) });
      this.emitFile({ type: 'asset', fileName: CATALOG, source: catalogOf(files) });
    },
  };
}
