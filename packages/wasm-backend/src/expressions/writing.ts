/** What the three forms of loop nest share: parameters by name, pointers of a section, passes over the innermost loop. */
import type { ExpressionNode, FusedExpression, TensorSpec } from '@mindseye/tensor-core';
import type { FunctionBuilder, Local } from '../emit/index.js';
import { i32 } from '../emit/index.js';
import type { Tier } from '../kernels/tier.js';
import { type VectorLoop, single } from '../kernels/vector-loop.js';
import { cursorsOf } from './element.js';
import { type NodeContext, isLong } from './node-code.js';
import { type OperandAccess, type SectionWriter, sectionWriter } from './section-writer.js';
import {
  type LoopList,
  type SectionName,
  type Signature,
  operandName,
  outputName,
  outputTypes,
  resultStrideName,
  sizeName,
  strideName,
} from './signature.js';
import type { Level, Move } from './walk.js';

type Pointer = Local<'i32'>;

/** One function under construction. */
export interface Writing {
  readonly f: FunctionBuilder;
  readonly tier: Tier;
  readonly expression: FusedExpression;
  readonly operands: readonly TensorSpec[];
  readonly signature: Signature;
  /** Parameters by name. */
  readonly p: Readonly<Record<string, Local>>;
  readonly context: NodeContext;
}

export const outputOf = ({ p }: Writing, output: number): Pointer => p[outputName(output)] as Pointer;

/** Nodes that are computed; undefined where one of them takes long. */
function shortNodes({ expression: { map, reduction } }: Writing): number | undefined {
  const applied = [...map, ...(reduction?.epilogue ?? [])].filter((node) => node.kind === 'apply');
  return applied.some(({ op }) => isLong(op)) || applied.length > 10 ? undefined : applied.length;
}

/** Whether what is computed for an element costs more than to add it up. */
export const isLongBody = (writing: Writing): boolean => shortNodes(writing) === undefined;

/**
 * Vectors per round: few for long bodies, whose values would not fit the registers. Rows that are reduced have an accumulator for
 * each, so that their number may not depend on the tier; a nest without a reduction has a pair at least where pairs are joined.
 */
export function unrollOf(writing: Writing): number {
  const nodes = shortNodes(writing);
  if (nodes === undefined) return writing.tier === 'revectorized' || writing.expression.reduction ? 2 : 1;
  return nodes > 4 ? 2 : 4;
}

/**
 * Vectors of a group of columns: the wider, the more cache lines of a row are read one after the other. Every column has an
 * accumulator of its own.
 */
export function columnsOf(writing: Writing): number {
  const nodes = shortNodes(writing);
  if (nodes === undefined) return writing.tier === 'revectorized' ? 2 : 1;
  if (nodes <= 1) return 16;
  return nodes > 4 ? 2 : 8;
}

/** The size of the loop that is walked in vectors; 1 where there is no loop. */
export function innermostCount({ f, signature: { nest }, p }: Writing): Pointer {
  const last = nest[nest.innermost].length - 1;
  return last < 0 ? f.let('one', i32.const(1)) : (p[sizeName(nest.innermost, last)] as Pointer);
}

/** The pointers of a section to its operands, by operand. */
export interface SectionPointers {
  readonly section: SectionName;
  readonly of: ReadonlyMap<number, Pointer>;
}

/** Pointers of their own for each section: an operand may be read by both. */
export function sectionPointers(
  { f, p }: Writing,
  section: SectionName,
  nodes: readonly ExpressionNode[],
): SectionPointers {
  const read = nodes.flatMap((node) => (node.kind === 'operand' ? [node.operand] : []));
  return { section, of: new Map(read.map((operand) => [operand, f.let('at', p[operandName(operand)] as Pointer)])) };
}

/** The loops of a list but for the innermost, with what moves along them: operands of sections, results of the map. */
export function levelsOf(
  { p, signature: { nest } }: Writing,
  list: LoopList,
  sections: readonly SectionPointers[],
  results: readonly Pointer[] = [],
): Level[] {
  const loops = list === nest.innermost ? nest[list].slice(0, -1) : nest[list];
  const move = (pointer: Pointer, name: string): Move[] => {
    const stride = p[name];
    return stride ? [{ pointer, stride: stride as Pointer }] : [];
  };
  return loops.map((_, i) => ({
    size: p[sizeName(list, i)] as Pointer,
    moves: [
      ...sections.flatMap(({ section, of }) =>
        [...of].flatMap(([operand, pointer]) => move(pointer, strideName(list, i, section, operand))),
      ),
      ...results.flatMap((pointer, result) => move(pointer, resultStrideName(list, i, result))),
    ],
  }));
}

/** Operands that are neighbours along the innermost loop. */
export function movingOperands({ signature: { nest } }: Writing, section: SectionName): ReadonlySet<number> {
  const strides = nest[nest.innermost].at(-1)?.[section] ?? [];
  return new Set(strides.flatMap((stride, operand) => (stride === 0 ? [] : [operand])));
}

/** Cursors for one pass over the innermost loop; the pointers themselves stay at its start. */
export interface Pass {
  readonly loop: Required<Pick<VectorLoop, 'cursors' | 'halfCursors' | 'byteCursors'>>;
  readonly access: (operand: number) => OperandAccess;
  readonly outputs: readonly Pointer[];
  /** Puts the cursors at the start of the loop. */
  reset(): void;
}

interface PassRequest {
  readonly pointers: SectionPointers;
  /** Positions of the outputs that are written along the loop. */
  readonly outputs: readonly number[];
  /** True for outputs that are written from front to back over all passes: they are their own cursors. */
  readonly runsOn: boolean;
}

export function passOver(writing: Writing, { pointers, outputs, runsOn }: PassRequest): Pass {
  const { f, operands, expression } = writing;
  const moving = movingOperands(writing, pointers.section);
  const cursors = new Map<number, Pointer>();
  for (const operand of pointers.of.keys()) if (moving.has(operand)) cursors.set(operand, f.local('i32', 'cursor'));
  const written = outputs.map((output) => (runsOn ? outputOf(writing, output) : f.local('i32', 'written')));
  const types = outputTypes(expression);
  return {
    loop: cursorsOf([
      ...[...cursors].map(([operand, pointer]) => ({ dtype: operands[operand]!.dtype, pointer })),
      ...outputs.map((output, i) => ({ dtype: types[output]!, pointer: written[i]! })),
    ]),
    access: (operand) => {
      const cursor = cursors.get(operand);
      return { moves: cursor !== undefined, pointer: cursor ?? pointers.of.get(operand)! };
    },
    outputs: written,
    reset() {
      for (const [operand, cursor] of cursors) f.set(cursor, pointers.of.get(operand)!);
      if (!runsOn) outputs.forEach((output, i) => f.set(written[i]!, outputOf(writing, output)));
    },
  };
}

/** A writer for one section of the expression. @param reduced variable that holds the reduction's value. */
export function writerOf(
  { context, expression: { map, reduction }, p }: Writing,
  section: SectionName,
  access: (operand: number) => OperandAccess,
  reduced?: Local<'v128'>,
): SectionWriter {
  return sectionWriter(context, {
    section,
    nodes: section === 'map' ? map : reduction!.epilogue,
    parameters: p,
    access,
    fixedLanes: single,
    ...(reduced && { reduced }),
  });
}

/** Writes results where a pass has its outputs. */
export function storeAll(
  writer: SectionWriter,
  results: readonly number[],
  outputs: readonly Pointer[],
  lanes: Parameters<SectionWriter['store']>[0],
): void {
  results.forEach((node, i) => writer.store(lanes, node, outputs[i]!));
}

/** Positions of a section's outputs, counted from `first`. */
export const positions = (results: readonly number[], first = 0): number[] => results.map((_, i) => first + i);
