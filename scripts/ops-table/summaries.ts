/**
 * What an op means, in one sentence, from the source it is written in.
 *
 * Op objects carry no prose, so the sentence is taken from where the author already put it: the doc comment of the exported
 * constant that names the op; else the head of its file; else the nearest doc comment above, which ops of one family share.
 * The op `<name>Backward` without a doc comment of its own is the gradient of `<name>`.
 */
import { parseSync } from 'vite';

type Program = ReturnType<typeof parseSync>['program'];
type Statement = Program['body'][number];

/** One source file. */
export interface SourceFile {
  readonly file: string;
  readonly code: string;
}

/** An exported constant that names an op, and the doc comments that may speak of it. */
interface Declaration {
  readonly file: string;
  readonly own: string | undefined;
  readonly head: string | undefined;
  readonly above: string | undefined;
}

interface DocComment {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The names of ops that an initialiser could define: `name: 'x'` of its object, or the first argument of a maker. */
function namesIn(initialiser: unknown): string[] {
  const { type, ...node } = initialiser as { readonly type: string } & Readonly<Record<string, unknown>>;
  if (type === 'CallExpression') {
    const [first] = node['arguments'] as readonly [{ readonly type: string; readonly value?: unknown }?];
    if (first?.type === 'Literal' && typeof first.value === 'string') return [first.value];
    return first ? namesIn(first) : [];
  }
  if (type === 'TSAsExpression' || type === 'TSSatisfiesExpression') return namesIn(node['expression']);
  if (type !== 'ObjectExpression') return [];
  const properties = node['properties'] as readonly {
    readonly key?: { readonly name?: string };
    readonly value?: { readonly value?: unknown };
  }[];
  const value = properties.find(({ key }) => key?.name === 'name')?.value?.value;
  return typeof value === 'string' ? [value] : [];
}

const exportedNames = (statement: Statement): string[] =>
  statement.type === 'ExportNamedDeclaration' && statement.declaration?.type === 'VariableDeclaration'
    ? statement.declaration.declarations.flatMap(({ init }) => (init ? namesIn(init) : []))
    : [];

/** The words of a doc comment, without its stars. */
const wordsOf = (comment: string): string =>
  comment
    .replace(/^\*/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim();

function declarationsIn({ file, code }: SourceFile): [name: string, declaration: Declaration][] {
  const { program, comments, errors } = parseSync(file, code);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  const docs: readonly DocComment[] = comments
    .filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
    .map(({ value, start, end }) => ({ text: wordsOf(value), start, end }));
  const isAtTop = ({ start }: DocComment): boolean =>
    program.body.every((statement) => start < statement.start || start >= statement.end);
  const [opening] = docs;
  const headEnds = program.body[0]?.start ?? 0;
  const head =
    opening && opening.end <= headEnds && program.body[0]!.type === 'ImportDeclaration' ? opening.text : undefined;
  return program.body.flatMap((statement, i) => {
    const before = program.body[i - 1]?.end ?? 0;
    const above = docs.filter((doc) => doc.end <= statement.start && isAtTop(doc) && doc.text !== head).at(-1);
    const own = above && above.start >= before ? above : undefined;
    return exportedNames(statement).map((name): [string, Declaration] => [
      name,
      { file, own: own?.text, head, above: above?.text },
    ]);
  });
}

/** Up to a full stop that is not one of an abbreviation. */
const sentence = /^.*?(?<!\b(?:al|cf|vs|e\.g|i\.e))\.(?= |$)/;

/** The first sentence of a text, or its first paragraph where that is shorter; without the mark at its end. */
export function firstSentence(text: string): string {
  const paragraph = text
    .split(/\n\s*\n/)[0]!
    .replaceAll(/\s+/g, ' ')
    .trim();
  return (sentence.exec(paragraph)?.[0] ?? paragraph).replace(/[.:;]$/, '');
}

/**
 * The sentence of every op in `names`.
 *
 * @throws Error that names the ops without one, and those that two constants define.
 */
export function opSummaries(names: Iterable<string>, files: readonly SourceFile[]): ReadonlyMap<string, string> {
  const declarations = new Map<string, Declaration>();
  const wanted = new Set(names);
  for (const [name, declaration] of files.flatMap(declarationsIn)) {
    if (!wanted.has(name)) continue;
    const other = declarations.get(name);
    if (other)
      throw new Error(`the op ${name} is defined in ${other.file} and again in ${declaration.file}: rename one`);
    declarations.set(name, declaration);
  }
  const textOf = (name: string): string | undefined => {
    const { own, head, above } = declarations.get(name) ?? {};
    if (own !== undefined) return firstSentence(own);
    const stem = name.endsWith('Backward') ? name.slice(0, -'Backward'.length) : '';
    if (wanted.has(stem)) return `Gradient of \`${stem}\``;
    const text = head ?? above;
    return text === undefined ? undefined : firstSentence(text);
  };
  const summaries = new Map<string, string>();
  const missing: string[] = [];
  for (const name of wanted) {
    const text = textOf(name);
    if (text) summaries.set(name, text);
    else missing.push(name);
  }
  if (missing.length > 0)
    throw new Error(
      `no sentence for ${missing.join(', ')}: put a doc comment on the exported constant with that name, or at the head of its file`,
    );
  return summaries;
}
