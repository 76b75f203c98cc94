/**
 * A fused expression as one readable line: operands are a, b, c, …, shared parts are named t1, t2, …, the result of the
 * reduction is r.
 *
 *   max(a * 2 + b, 0) -> sum over axis 1 -> rsqrt(r * 0.01 + 0.000001)
 */
import { type ExpressionNode, type ExpressionSection, type FusedExpression, sectionsOf } from './expression.js';

interface Infix {
  readonly sign: string;
  readonly precedence: number;
}

const infix: Readonly<Record<string, Infix>> = {
  mul: { sign: '*', precedence: 4 },
  div: { sign: '/', precedence: 4 },
  add: { sign: '+', precedence: 3 },
  sub: { sign: '-', precedence: 3 },
  less: { sign: '<', precedence: 2 },
  lessEqual: { sign: '<=', precedence: 2 },
  equal: { sign: '==', precedence: 2 },
  logicalAnd: { sign: 'and', precedence: 1 },
  logicalOr: { sign: 'or', precedence: 1 },
};

/** Names that differ from the op's. */
const functionNames: Readonly<Record<string, string>> = { maximum: 'max', minimum: 'min', logicalNot: 'not' };

/** A piece of text and how tightly its outermost operator binds. */
interface Phrase {
  readonly text: string;
  readonly precedence: number;
}

const atom = (text: string): Phrase => ({ text, precedence: Infinity });

/** One line for a person. */
export function explainExpression(expression: FusedExpression): string {
  const { constants, reduction } = expression;
  const parts: string[] = [];
  let named = 0;
  const phrasesOf = ({ nodes, results }: ExpressionSection, alsoRead: readonly number[]): readonly Phrase[] => {
    const uses = nodes.map(() => 0);
    for (const node of nodes) if (node.kind === 'apply') for (const input of node.inputs) uses[input]!++;
    for (const node of [...results, ...alsoRead]) uses[node]!++;
    const phrases: Phrase[] = [];
    nodes.forEach((node, i) => {
      const phrase = phraseOf(node, phrases, constants);
      const isShared = node.kind === 'apply' && uses[i]! > 1;
      if (isShared) parts.push(`t${++named} = ${phrase.text}`);
      phrases.push(isShared ? atom(`t${named}`) : phrase);
    });
    return phrases;
  };
  const [map, epilogue] = sectionsOf(expression);
  const phrases = phrasesOf(map!, reduction ? [reduction.of] : []);
  const written = map!.results.map((node) => phrases[node]!.text);
  if (!reduction) return [...parts, written.join(', ')].join('; ');
  if (written.length > 0) parts.push(written.join(', '));
  const { kind, axes, of } = reduction;
  const folded = `${phrases[of]!.text} -> ${kind} over ${axesText(axes)}`;
  const isBare = epilogue!.nodes.length === 1;
  if (isBare) return [...parts, folded].join('; ');
  const before = parts.splice(0);
  const after = phrasesOf(epilogue!, []);
  const results = epilogue!.results.map((node) => after[node]!.text).join(', ');
  return [...before, `${folded} -> ${[...parts, results].join('; ')}`].join('; ');
}

function phraseOf(node: ExpressionNode, phrases: readonly Phrase[], constants: readonly number[]): Phrase {
  if (node.kind === 'operand') return atom(operandName(node.operand));
  if (node.kind === 'constant') return atom(numberText(constants[node.constant]!));
  if (node.kind === 'reduced') return atom('r');
  const inputs = node.inputs.map((input) => phrases[input]!);
  const operator = infix[node.op];
  if (operator) {
    const { sign, precedence } = operator;
    const [left, right] = [bracketed(inputs[0]!, precedence), bracketed(inputs[1]!, precedence + 1)];
    return { text: `${left} ${sign} ${right}`, precedence };
  }
  if (node.op === 'neg') return { text: `-${bracketed(inputs[0]!, 5)}`, precedence: 5 };
  const extra = Object.values(node.attributes as Record<string, unknown>).map(String);
  const values = inputs.map(({ text }) => text);
  return node.op === 'cast'
    ? atom(`${node.dtype}(${values.join()})`)
    : atom(`${functionNames[node.op] ?? node.op}(${[...values, ...extra].join(', ')})`);
}

const bracketed = ({ text, precedence }: Phrase, least: number): string => (precedence < least ? `(${text})` : text);

const axesText = (axes: readonly number[]): string =>
  axes.length === 0 ? 'no axes' : `${axes.length === 1 ? 'axis' : 'axes'} ${axes.join(', ')}`;

const operandName = (operand: number): string =>
  operand < 26 ? String.fromCharCode(97 + operand) : `operand${operand}`;

/** Seven digits: what an f32 shows. */
const numberText = (value: number): string => (Object.is(value, -0) ? '-0' : String(Number(value.toPrecision(7))));
