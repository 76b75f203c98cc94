/** Reads the repository's TypeScript: which files there are, what each imports, which expressions it contains. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseSync, Visitor } from 'vite';

export const ROOT: string = path.resolve(import.meta.dirname, '../..');

export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface Import {
  readonly specifier: string;
  /** True for `import type`: it leaves nothing in the JavaScript. */
  readonly isType: boolean;
}

export interface Source {
  /** Path relative to the package's src folder, with forward slashes. */
  readonly file: string;
  readonly imports: readonly Import[];
  /** Names of globals and `object.property` pairs that occur in code (not in comments or strings). */
  readonly expressions: ReadonlySet<string>;
}

export const packageNames = (): string[] =>
  readdirSync(path.join(ROOT, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);

export const manifestOf = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;

export function parseSource(file: string, code: string): Source {
  const { program, module, errors } = parseSync(file, code);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);

  const imports: Import[] = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    isType: entries.length > 0 && entries.every((entry) => entry.isType),
  }));
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType } of entries) {
      if (moduleRequest) imports.push({ specifier: moduleRequest.value, isType });
    }
  }

  const expressions = new Set<string>();
  new Visitor({
    ImportExpression(node) {
      // An import of a computed name cannot be followed, so it is recorded as what it is and no rule allows it.
      const specifier = node.source.type === 'Literal' ? String(node.source.value) : '<computed>';
      imports.push({ specifier, isType: false });
    },
    MemberExpression(node) {
      if (node.object.type !== 'Identifier') return;
      if (node.property.type === 'Identifier' && !node.computed) {
        expressions.add(`${node.object.name}.${node.property.name}`);
      } else if (node.property.type === 'Literal')
        expressions.add(`${node.object.name}.${String(node.property.value)}`);
      expressions.add(node.object.name);
    },
  }).visit(program);
  return { file, imports, expressions };
}

export function sourcesOf(packageName: string): Source[] {
  const src = path.join(ROOT, 'packages', packageName, 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => parseSource(file.replaceAll(path.sep, '/'), readFileSync(path.join(src, file), 'utf8')));
}

/** `./x.js` written in `dir/y.ts` names the source file `dir/x.ts`. */
export const relativeTarget = (from: string, specifier: string): string =>
  path.posix.join(path.posix.dirname(from), specifier).replace(/\.js$/, '.ts');

/** `@scope/name/sub` and `name/sub` to the package's name. */
export const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
