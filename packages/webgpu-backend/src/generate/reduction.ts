/**
 * Shaders for fused expressions with a reduction:  r[j] = fold over the reduced loops of map[i],  results = epilogue(r[j]).
 *
 * A workgroup of 256 invocations computes `results` results with `parts` invocations each. A part folds every parts-th
 * element, then a tree in workgroup memory folds the parts, which keeps the rounding error of a long sum near log n. Both
 * numbers are powers of two and uniforms: one shader serves every length. Where the reduced loops move fastest through the
 * operands, the parts of one result stand side by side, else the results do, so that neighbours read neighbouring words.
 * The order of folding is fixed: results repeat bit for bit.
 *
 * The map's own results are written on the way. Narrow results of the epilogue are put together in workgroup memory, since a
 * word is written by one invocation (`wgsl/map.ts`).
 */
import { type DType, type LoopNest, type ReductionKind, loopNest, reducedSpace, sizeOf } from '@mindseye/tensor-core';
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { type Dispatch, dispatch, output } from '../wgsl/dispatch.js';
import type { WgslFunctions } from '../wgsl/functions.js';
import { walkLoops } from '../wgsl/loops.js';
import { loadElement } from '../wgsl/map.js';
import { larger } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type ExpressionCall, operandsOf } from './call.js';
import { constantCode, sectionCode } from './nodes.js';

const invocations = 256;

/** Results that stand side by side where results move fastest: one 32-byte sector of f32. */
const fewestNeighbours = 8;

interface Fold {
  /** The result over no elements. */
  readonly identity: number;
  readonly code: (a: string, b: string) => string;
  readonly functions?: WgslFunctions;
}

const plus = (a: string, b: string): string => `${a} + ${b}`;
const most = (a: string, b: string): string => `max(${a}, ${b})`;

const folds: Readonly<Record<ReductionKind, Partial<Record<DType, Fold>>>> = {
  sum: {
    f32: { identity: 0, code: plus },
    i32: { identity: 0, code: plus },
    u32: { identity: 0, code: plus },
  },
  max: {
    f32: { identity: -Infinity, code: (a, b) => `larger(${a}, ${b})`, functions: larger },
    i32: { identity: -0x80000000, code: most },
    u32: { identity: 0, code: most },
    bool: { identity: 0, code: most },
  },
};

export const hasReduction = (kind: ReductionKind, dtype: DType): boolean => folds[kind][dtype] !== undefined;

const powerAtMost = (limit: number): number => 2 ** Math.floor(Math.log2(Math.max(1, limit)));
const powerAtLeast = (least: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, least)));

/** How the invocations of a workgroup are dealt out: `results` · `parts` = 256. */
function dealOut(nest: LoopNest, count: number, length: number, perWord: number): { results: number; parts: number } {
  const useful = powerAtLeast(length);
  const wanted = nest.innermost === 'reduced' ? useful : Math.min(useful, invocations / fewestNeighbours);
  // Few results leave invocations idle, so each gets more parts.
  const spare = Math.min(useful, powerAtMost(invocations / powerAtLeast(count)));
  const parts = Math.min(Math.max(wanted, spare), invocations / perWord);
  return { results: invocations / parts, parts };
}

export function reductionDispatch({ name, expression, inputs, outputs }: ExpressionCall): Dispatch {
  const { map, results: mapResults, constants, reduction } = expression;
  const { kind, of, epilogue, results: lastResults } = reduction!;
  const reduced = map[of]!;
  const type = wgslTypeOf(reduced.dtype);
  const fold = folds[kind][reduced.dtype]!;
  const nest = loopNest(expression, inputs);
  const uniforms = new Uniforms();
  const count = sizeOf(reducedSpace(expression.shape, reduction!));
  const length = nest.reduced.reduce((size, loop) => size * loop.size, 1);
  const written = outputs.slice(mapResults.length);
  const together = Math.max(...written.map(({ dtype }) => elementsPerWord(dtype)));
  const { results, parts } = dealOut(nest, count, length, together);
  const size = { count: uniforms.u32(count), results: uniforms.u32(results), parts: uniforms.u32(parts) };

  // Accesses: the operands as the map reads them, as the epilogue reads them, and the results of the map.
  const accesses = 2 * inputs.length + 1;
  const loopsOf = (loops: LoopNest['kept']) =>
    loops.map((loop) => ({ size: loop.size, strides: [...loop.map, ...loop.epilogue, loop.result] }));
  const outer = walkLoops(uniforms, 'kept', 'j', loopsOf(nest.kept), accesses);
  const inner = walkLoops(uniforms, 'reduced', 'r', loopsOf(nest.reduced), accesses);
  const place = (access: number): string => `base${access} + ${inner.offsets[access]}`;
  const body = sectionCode({
    nodes: map,
    constants,
    uniforms,
    prefix: 'map',
    load: (operand, dtype) => loadElement(`in${operand}`, dtype, `offset${operand}`),
  });
  const tail = sectionCode({
    nodes: epilogue,
    constants,
    uniforms,
    prefix: 'last',
    load: (operand, dtype) => loadElement(`in${operand}`, dtype, `base${inputs.length + operand}`),
    reduced: 'partial[lane]',
  });
  const isReduced = nest.innermost === 'reduced';
  const readInMap = map.flatMap((node) => (node.kind === 'operand' ? [node.operand] : []));
  const bases = outer.offsets.map((offset, access) => `  let base${access} = ${offset};`).join('\n');
  const stored = lastResults.map((node, i) => ({
    name: `out${mapResults.length + i}`,
    dtype: written[i]!.dtype,
    value: `last${node}`,
  }));
  return dispatch({
    name,
    operands: [
      ...operandsOf(inputs),
      ...outputs.map(({ dtype }, i) => ({ name: `out${i}`, type: wgslTypeOf(dtype), from: output(i) })),
    ],
    uniforms,
    declarations: [
      ...body.functions,
      ...tail.functions,
      ...(fold.functions ? [fold.functions] : []),
      `var<workgroup> partial: array<${type}, ${invocations}>;`,
      ...stored.map((result) => (isNarrow(result.dtype) ? codesOf(result.name) : '')),
    ],
    invocations,
    workgroups: Math.ceil(count / results),
    body: `  let part = ${isReduced ? `lane % ${size.parts}` : `lane / ${size.results}`};
  let slot = ${isReduced ? `lane / ${size.parts}` : `lane % ${size.results}`};
  let j = block * ${size.results} + slot;
  let isHere = j < ${size.count};
${outer.statements}
${bases}
  var total = ${constantCode[reduced.dtype](uniforms, fold.identity)};
  for (var r = part; isHere && r < ${uniforms.u32(length)}; r += ${size.parts}) {
${inner.statements}
${[...new Set(readInMap)].map((operand) => `  let offset${operand} = ${place(operand)};`).join('\n')}
${body.statements}
${mapResults.map((node, i) => `  out${i}[${place(accesses - 1)}] = map${node};`).join('\n')}
    total = ${fold.code('total', `map${of}`)};
  }
  partial[lane] = total;
  for (var half = ${size.parts} / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (part < half) { partial[lane] = ${fold.code('partial[lane]', `partial[lane + half${isReduced ? '' : ` * ${size.results}`}]`)}; }
  }
  if (isHere && part == 0u) {
${tail.statements}
${stored.map((result) => store(result)).join('\n')}
  }
${stored.some(({ dtype }) => isNarrow(dtype)) ? assembleWords(stored, size.results, size.count) : ''}`,
  });
}

interface Stored {
  readonly name: string;
  readonly dtype: DType;
  readonly value: string;
}

const isNarrow = (dtype: DType): boolean => elementsPerWord(dtype) > 1;

/** Declares the place where narrow results wait for their neighbours. */
const codesOf = (name: string): string => `var<workgroup> ${name}Codes: array<u32, ${invocations}>;`;

const store = ({ name, dtype, value }: Stored): string =>
  isNarrow(dtype) ? `    ${name}Codes[slot] = ${value};` : `    ${name}[j] = ${value};`;

function assembleWords(stored: readonly Stored[], results: string, count: string): string {
  const words = stored.flatMap(({ name, dtype }) => {
    if (!isNarrow(dtype)) return [];
    const perWord = elementsPerWord(dtype);
    const codes = Array.from(
      { length: perWord },
      (_, i) => `(${name}Codes[${name}First + ${i}u] << ${(i * 32) / perWord}u)`,
    );
    return [
      `  let ${name}First = lane * ${perWord}u;
  if (${name}First < ${results} && block * ${results} + ${name}First < ${count}) {
    ${name}[(block * ${results} + ${name}First) / ${perWord}u] = ${codes.join(' | ')};
  }`,
    ];
  });
  return `  workgroupBarrier();\n${words.join('\n')}`;
}
