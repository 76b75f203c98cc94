import { expect, test } from 'vitest';
import { packageOf, parseSource, relativeTarget } from '../sources.ts';

test('finds every way to import, and which of them vanish', () => {
  const { imports } = parseSource(
    'x.ts',
    `import { a } from './a.js'; import type { B } from './b.js'; import './c.js';
     export { d } from './d.js'; export * from './e.js'; export type { F } from './f.js';
     export const g = () => import('./g.js'); export const h = (name: string) => import(name);
     // import './comment.js'`,
  );
  expect(imports.map(({ specifier, isType }) => [specifier, isType])).toEqual([
    ['./a.js', false],
    ['./b.js', true],
    ['./c.js', false],
    ['./d.js', false],
    ['./e.js', false],
    ['./f.js', true],
    ['./g.js', false],
    ['<computed>', false],
  ]);
});

test('finds expressions in code, not in comments or strings', () => {
  const { expressions } = parseSource(
    'x.ts',
    `/* console.log */ const s = 'process.argv'; s.length; Math['random']();`,
  );
  expect([...expressions].toSorted()).toEqual(['Math', 'Math.random', 's', 's.length']);
});

test('names of packages and files', () => {
  expect(packageOf('@scope/name/sub/path')).toBe('@scope/name');
  expect(packageOf('name/sub')).toBe('name');
  expect(relativeTarget('a/b.ts', '../c/d.js')).toBe('c/d.ts');
});
