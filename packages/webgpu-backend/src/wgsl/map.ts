/**
 * A map: results of any dtypes, computed element by element, one element of each result from one body.
 *
 * Elements that share a word are written by one invocation: with f16, bf16 or bool among the results, an invocation computes
 * 2 or 4 elements in a row and puts their words together. So no two invocations ever write one word.
 */
import type { DType } from '@mindseye/tensor-core';
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { type BindingSource, type Dispatch, type DispatchDefinition, dispatch, loneInvocations } from './dispatch.js';

/** The element `index` (a name, or in brackets) of an array of words: a number, the code of an f16 or bf16, 0 or 1 for bool. */
export function loadElement(array: string, dtype: DType, index: string): string {
  const perWord = elementsPerWord(dtype);
  if (perWord === 1) return `${array}[${index}]`;
  const shift = `(${index} % ${perWord}u) * ${32 / perWord}u`;
  return `((${array}[${index} / ${perWord}u] >> (${shift})) & ${dtype === 'bool' ? '0xffu' : '0xffffu'})`;
}

export interface MapResult {
  /** Its name in the shader. */
  readonly name: string;
  readonly dtype: DType;
  readonly from: BindingSource;
  /** Expression of its element. */
  readonly value: string;
}

export interface MapDefinition extends Omit<DispatchDefinition, 'invocations' | 'workgroups'> {
  readonly results: readonly MapResult[];
  /** Elements of each result. */
  readonly count: number;
  /** Sees the number of the element as `i`. It may not return. */
  readonly body: string;
}

/** A dispatch that computes every element of the results; their bindings follow the operands. */
export function mapDispatch(definition: MapDefinition): Dispatch {
  const { operands, results, uniforms, count, body } = definition;
  const together = Math.max(...results.map(({ dtype }) => elementsPerWord(dtype)));
  const bound = results.map(({ name, dtype, from }) => ({ name, type: wgslTypeOf(dtype), from }));
  const wide = results.filter(({ dtype }) => elementsPerWord(dtype) === 1);
  const narrow = results.filter(({ dtype }) => elementsPerWord(dtype) > 1);
  const size = uniforms.u32(count);
  const stores = wide.map(({ name, value }) => `  ${name}[i] = ${value};`).join('\n');
  const start = `block * ${loneInvocations}u + lane`;
  return dispatch({
    ...definition,
    operands: [...operands, ...bound],
    invocations: loneInvocations,
    workgroups: Math.ceil(count / (loneInvocations * together)),
    body:
      together === 1
        ? `  let i = ${start};
  if (i >= ${size}) { return; }
${body}
${stores}`
        : `  let first = (${start}) * ${together}u;
  if (first >= ${size}) { return; }
  let end = min(first + ${together}u, ${size});
${narrow.map(({ name, dtype }) => `  var ${name}Words: array<u32, ${together / elementsPerWord(dtype)}>;`).join('\n')}
  for (var i = first; i < end; i++) {
${body}
${stores}
${narrow.map((result) => `  ${intoWord(result)}`).join('\n')}
  }
${narrow.map((result) => writeWords(result, together)).join('\n')}`,
  });
}

function intoWord({ name, dtype, value }: MapResult): string {
  const perWord = elementsPerWord(dtype);
  return `${name}Words[(i - first) / ${perWord}u] |= (${value}) << ((i % ${perWord}u) * ${32 / perWord}u);`;
}

const writeWords = ({ name, dtype }: MapResult, together: number): string => {
  const perWord = elementsPerWord(dtype);
  return Array.from(
    { length: together / perWord },
    (_, word) =>
      `  if (first + ${word * perWord}u < end) { ${name}[first / ${perWord}u + ${word}u] = ${name}Words[${word}]; }`,
  ).join('\n');
};
