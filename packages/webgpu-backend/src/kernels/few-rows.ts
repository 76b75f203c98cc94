/**
 * y[r, o] = Σ_k x[r, k] · w[o, k] + bias[o] for a few rows of x, as in decoding: every word of w is read once.
 *
 * A workgroup computes 4 columns of y with 16 invocations each, for all rows at once. An invocation takes every 16th word of
 * a row of w (two elements of f16 or bf16), so that neighbours read neighbouring words; a tree folds the 16 sums. Rows of w
 * that do not begin at a word are read element by element.
 */
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { type Dispatch, dispatch, input, output } from '../wgsl/dispatch.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Product, storedElement, weightFunctions, wordElements } from './product.js';

/** More rows than this go by tiles. */
export const mostRows = 4;

/** Rows that the shader computes: one alone, or four, of which those beyond the last are copies of it and not stored. */
const computedRows = (rows: number): number => (rows === 1 ? 1 : mostRows);

const columnsPerBlock = 4;
const parts = 16;
const invocations = columnsPerBlock * parts;

export function fewRowsDispatch({ name, m, n, k, weight, hasBias }: Product): Dispatch {
  const rows = computedRows(m);
  const uniforms = new Uniforms();
  const perWord = elementsPerWord(weight);
  const isWhole = k % perWord === 0;
  const unit = isWhole ? perWord : 1;
  const bias = hasBias ? [{ name: 'bias', type: 'f32' as const, from: input(2) }] : [];
  const eachRow = (statement: (row: number) => string): string =>
    Array.from({ length: rows }, (_, row) => statement(row)).join('\n');
  const elements = isWhole ? wordElements[weight]! : ['element'];
  const load = isWhole
    ? 'let word = b[column * units + at];'
    : `let place = column * units + at;
    let element = ${storedElement('b', weight, 'place')};`;
  return dispatch({
    name: `${name} few rows`,
    operands: [
      { name: 'a', type: 'f32', from: input(0) },
      { name: 'b', type: wgslTypeOf(weight), from: input(1) },
      ...bias,
      { name: 'y', type: 'f32', from: output() },
    ],
    uniforms,
    declarations: [...weightFunctions(weight), `var<workgroup> partial: array<f32, ${rows * invocations}>;`],
    invocations,
    workgroups: Math.ceil(n / columnsPerBlock),
    body: `  let columns = ${uniforms.u32(n)};
  let units = ${uniforms.u32(k / unit)};
  let depth = ${uniforms.u32(k)};
  let rows = ${uniforms.u32(m)};
${eachRow((row) => `  let x${row} = min(${row}u, rows - 1u) * depth;`)}
  let part = lane % ${parts}u;
  let column = block * ${columnsPerBlock}u + lane / ${parts}u;
  let isHere = column < columns;
  var sum: array<f32, ${rows}>;
  for (var at = part; isHere && at < units; at += ${parts}u) {
    ${load}
${elements.map((_, i) => `    let w${i} = ${elements[i]};`).join('\n')}
${eachRow((row) => `    sum[${row}] += ${elements.map((_, i) => `a[x${row} + at * ${unit}u + ${i}u] * w${i}`).join(' + ')};`)}
  }
${eachRow((row) => `  partial[${row * invocations}u + lane] = sum[${row}];`)}
  for (var half = ${parts / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (part < half) {
${eachRow((row) => `      partial[${row * invocations}u + lane] += partial[${row * invocations}u + lane + half];`)}
    }
  }
  if (isHere && part == 0u) {
${eachRow((row) => `    if (${row}u < rows) { y[${row}u * columns + column] = partial[${row * invocations}u + lane]${hasBias ? ' + bias[column]' : ''}; }`)}
  }`,
  });
}
