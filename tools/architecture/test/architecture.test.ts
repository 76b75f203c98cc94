import { describe, expect, test } from 'vitest';
import { BANNED, MAY_IMPORT } from '../rules.ts';
import { type Source, manifestOf, packageNames, packageOf, relativeTarget, sourcesOf } from '../sources.ts';

const isRelative = (specifier: string): boolean => specifier.startsWith('.');

/** Bare specifiers of `source`: neither relative, nor a subpath import of the package itself, nor built into Node. */
const bareImports = (source: Source): string[] =>
  source.imports
    .map(({ specifier }) => specifier)
    .filter((specifier) => !isRelative(specifier) && !specifier.startsWith('#') && !specifier.startsWith('node:'));

test('every package has a row in the map', () => {
  expect(packageNames().toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
});

describe.each(packageNames())('packages/%s', (name) => {
  const sources = sourcesOf(name);
  const manifest = manifestOf(`packages/${name}`);
  const allowed = new Set((MAY_IMPORT[name] ?? []).map((other) => `@mindseye/${other}`));

  test('imports only the packages its arrows allow', () => {
    const wrong = sources.flatMap((source) =>
      bareImports(source)
        .filter((specifier) => specifier.startsWith('@mindseye/') && !allowed.has(packageOf(specifier)))
        .map((specifier) => `${source.file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    expect(declared.filter((other) => other.startsWith('@mindseye/') && !allowed.has(other))).toEqual([]);
  });

  test('declares every library it imports', () => {
    const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
    const wrong = sources.flatMap((source) =>
      bareImports(source)
        .filter((specifier) => !declared.has(packageOf(specifier)))
        .map((specifier) => `${source.file} imports ${specifier}, which package.json does not declare`),
    );
    expect(wrong).toEqual([]);
  });

  test('relative imports name existing files with a .js suffix', () => {
    const files = new Set(sources.map(({ file }) => file));
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({ specifier }) => isRelative(specifier))
        .filter(({ specifier }) => !specifier.endsWith('.js') || !files.has(relativeTarget(source.file, specifier)))
        .map(({ specifier }) => `${source.file} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test('the browser entries reach no Node module', () => {
    const byFile = new Map(sources.map((source) => [source.file, source]));
    const entries = ['index.ts', 'testing/index.ts', 'gpu.browser.ts'].filter((entry) => byFile.has(entry));
    const wrong: string[] = [];
    const seen = new Set(entries);
    const queue = [...entries];
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      for (const { specifier, isType } of byFile.get(file)?.imports ?? []) {
        if (isType) continue;
        if (/^(node:|sharp$|webgpu$)/.test(specifier) || specifier.endsWith('/node'))
          wrong.push(`${file}: ${specifier}`);
        const target = isRelative(specifier) ? relativeTarget(file, specifier) : undefined;
        if (target === undefined || seen.has(target)) continue;
        seen.add(target);
        queue.push(target);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('touches nothing a library may not', () => {
    const wrong = sources.flatMap((source) =>
      Object.entries(BANNED)
        .filter(([expression]) => source.expressions.has(expression))
        .map(([expression, reason]) => `${source.file} uses ${expression}: ${reason}`),
    );
    expect(wrong).toEqual([]);
  });
});

test.each(['cli', 'playground'])('no package is private that apps/%s needs', (app) => {
  const needed = Object.keys(manifestOf(`apps/${app}`).dependencies ?? {}).filter((name) =>
    name.startsWith('@mindseye/'),
  );
  const hidden = needed.filter((name) => manifestOf(`packages/${name.slice('@mindseye/'.length)}`).private);
  expect(hidden).toEqual([]);
});
