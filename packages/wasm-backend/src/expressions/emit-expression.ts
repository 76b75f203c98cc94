/**
 * The function of an expression: nested loops with the innermost one in vectors of four (see `loopNest` of the core).
 *
 *   no reduction                  for kept…: for vectors of the last kept loop: map, store
 *   the last axis is reduced      for kept…: for reduced…: for vectors of the last reduced loop: map, fold;   epilogue of one
 *   the last axis is kept         for kept…: for groups of vectors of the last kept loop: (for reduced…: map, fold;  epilogue)
 *
 * The third walks the rows of a matrix once per group of columns, a cache line wide, and needs no memory for sums.
 * Outputs may lie on operands of the same elements: all operands at a place are loaded before anything is stored there.
 */
import type { ExpressionNode, FusedExpression, TensorSpec } from '@mindseye/tensor-core';
import type { FunctionBuilder, Local, ModuleBuilder } from '../emit/index.js';
import type { Arithmetic } from '../kernels/tier.js';
import { type VectorLoop, forEachGroup, forEachVector, single } from '../kernels/vector-loop.js';
import { cursorsOf } from './element.js';
import { foldOf, ownElements } from './fold.js';
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
import { type Level, type Move, constantLocal, walk } from './walk.js';

/** Name of the exported function. */
export const functionName = 'expression';

interface Writing {
  readonly f: FunctionBuilder;
  readonly expression: FusedExpression;
  readonly operands: readonly TensorSpec[];
  readonly signature: Signature;
  /** Parameters by name. */
  readonly p: Readonly<Record<string, Local>>;
  readonly context: NodeContext;
}

/** Adds the function to a module that holds nothing else. */
export function emitExpression(
  module: ModuleBuilder,
  arithmetic: Arithmetic,
  expression: FusedExpression,
  operands: readonly TensorSpec[],
  signature: Signature,
): void {
  const host = { sin: module.import('sin', ['f64'], 'f64'), cos: module.import('cos', ['f64'], 'f64') };
  const parameters = Object.fromEntries(signature.parameters.map(({ name, type }) => [name, type]));
  module.function({ name: functionName, parameters, result: 'void', exported: true }, (f, p) => {
    const writing = { f, expression, operands, signature, p, context: { f, arithmetic, host } };
    if (!expression.reduction) writeMap(writing);
    else if (signature.nest.innermost === 'reduced') writeRowReduction(writing);
    else writeColumnReduction(writing);
  });
}

const pointerOf = ({ p }: Writing, name: string): Local<'i32'> => p[name] as Local<'i32'>;
const outputOf = (writing: Writing, output: number): Local<'i32'> => pointerOf(writing, outputName(output));

/** Vectors per round: few for long bodies, whose values would not fit the registers. */
function unrollOf({ expression: { map, reduction } }: Writing): number {
  const nodes = [...map, ...(reduction?.epilogue ?? [])].filter((node) => node.kind === 'apply');
  if (nodes.some(({ op }) => isLong(op))) return 1;
  return nodes.length <= 4 ? 4 : nodes.length <= 10 ? 2 : 1;
}

/** The size of the loop that is walked in vectors; 1 where there is no loop. */
function innermostCount(writing: Writing): Local<'i32'> {
  const { f, signature: { nest } } = writing;
  const last = nest[nest.innermost].length - 1;
  return last < 0 ? constantLocal(f, 'one', 1) : pointerOf(writing, sizeName(nest.innermost, last));
}

/** The loops of a list without the innermost, with what moves along them in a section (and the results, when named). */
function outerLevels(writing: Writing, list: LoopList, pointers: readonly SectionPointers[], results: boolean): Level[] {
  const { nest } = writing.signature;
  const loops = list === nest.innermost ? nest[list].slice(0, -1) : nest[list];
  const moveNamed = (pointer: Local<'i32'>, name: string): Move[] => {
    const stride = writing.p[name];
    return stride ? [{ pointer, stride: stride as Local<'i32'> }] : [];
  };
  return loops.map((_, i) => ({
    size: pointerOf(writing, sizeName(list, i)),
    moves: [
      ...pointers.flatMap(({ section, of }) =>
        [...of].flatMap(([operand, pointer]) => moveNamed(pointer, strideName(list, i, section, operand))),
      ),
      ...(results
        ? writing.expression.results.flatMap((_node, result) =>
            moveNamed(outputOf(writing, result), resultStrideName(list, i, result)),
          )
        : []),
    ],
  }));
}

/** The pointers of a section to its operands. */
interface SectionPointers {
  readonly section: SectionName;
  readonly of: ReadonlyMap<number, Local<'i32'>>;
}

function sectionPointers(writing: Writing, section: SectionName, nodes: readonly ExpressionNode[]): SectionPointers {
  const read = nodes.flatMap((node) => (node.kind === 'operand' ? [node.operand] : []));
  // Each section moves its own: an operand may be read by both.
  const of = read.map((operand) => [operand, writing.f.let('at', pointerOf(writing, operandName(operand)))] as const);
  return { section, of: new Map(of) };
}

/** Operands that are neighbours along the innermost loop. */
function movingOperands({ signature: { nest } }: Writing, section: SectionName): ReadonlySet<number> {
  const innermost = nest[nest.innermost].at(-1);
  return new Set(innermost?.[section].flatMap((stride, operand) => (stride === 0 ? [] : [operand])));
}

/** Cursors for one pass over the innermost loop: the pointers themselves stay at its start. */
interface Pass {
  readonly cursor: (operand: number) => Local<'i32'>;
  readonly loop: Pick<VectorLoop, 'cursors' | 'halfCursors' | 'byteCursors'>;
  readonly outputs: readonly Local<'i32'>[];
  /** Puts all cursors at the start of the loop. */
  reset(): void;
}

function passOver(writing: Writing, pointers: SectionPointers, outputs: readonly number[], consumes: boolean): Pass {
  const { f, operands, expression } = writing;
  const moving = movingOperands(writing, pointers.section);
  const own = new Map([...pointers.of].filter(([operand]) => moving.has(operand)).map(([operand]) => [operand, f.local('i32', 'cursor')] as const));
  // Outputs that are written from front to back are their own cursors.
  const written = outputs.map((output) => (consumes ? outputOf(writing, output) : f.local('i32', 'written')));
  const types = outputTypes(expression);
  return {
    cursor: (operand) => own.get(operand)!,
    loop: cursorsOf([
      ...[...own].map(([operand, pointer]) => ({ dtype: operands[operand]!.dtype, pointer })),
      ...outputs.map((output, i) => ({ dtype: types[output]!, pointer: written[i]! })),
    ]),
    outputs: written,
    reset() {
      for (const [operand, cursor] of own) f.set(cursor, pointers.of.get(operand)!);
      if (!consumes) outputs.forEach((output, i) => f.set(written[i]!, outputOf(writing, output)));
    },
  };
}

/** How a section reaches its operands in a pass. */
const accessIn =
  (writing: Writing, pointers: SectionPointers, pass: Pass): ((operand: number) => OperandAccess) =>
  (operand) => {
    const moves = movingOperands(writing, pointers.section).has(operand);
    return { moves, pointer: moves ? pass.cursor(operand) : pointers.of.get(operand)! };
  };

const placesOf = (results: readonly number[], from = 0): number[] => results.map((_, i) => from + i);

function writeMap(writing: Writing): void {
  const { f, expression: { map, results }, p, context } = writing;
  const pointers = sectionPointers(writing, 'map', map);
  const pass = passOver(writing, pointers, placesOf(results), true);
  const access = accessIn(writing, pointers, pass);
  const writer = sectionWriter(context, { section: 'map', nodes: map, parameters: p, access, fixedLanes: single });
  const loop = { ...pass.loop, count: innermostCount(writing), unroll: unrollOf(writing) };
  walk(f, outerLevels(writing, 'kept', [pointers], false), () => {
    pass.reset();
    writer.writeFixed();
    forEachVector(f, loop, (lanes) => {
      writer.write(lanes);
      storeAll(writer, results, pass.outputs, lanes);
    });
  });
}

function storeAll(
  writer: SectionWriter,
  results: readonly number[],
  outputs: readonly Local<'i32'>[],
  lanes: Parameters<SectionWriter['store']>[0],
): void {
  results.forEach((node, i) => writer.store(lanes, node, outputs[i]!));
}

/** What both forms of reduction have in common. */
function reductionParts(writing: Writing) {
  const { f, expression: { map, results, reduction } } = writing;
  const { kind, of, epilogue } = reduction!;
  const unroll = unrollOf(writing);
  return {
    reduction: reduction!,
    unroll,
    fold: foldOf(kind, map[of]!.dtype)!(f, unroll),
    reduced: f.local('v128', 'reduced'),
    mapPointers: sectionPointers(writing, 'map', map),
    epiloguePointers: sectionPointers(writing, 'epilogue', epilogue),
    epilogueOutputs: placesOf(reduction!.results, results.length),
  };
}

function writeRowReduction(writing: Writing): void {
  const { f, expression: { map, results }, p, context } = writing;
  const { reduction, unroll, fold, reduced, mapPointers, epiloguePointers, epilogueOutputs } = reductionParts(writing);
  const pass = passOver(writing, mapPointers, placesOf(results), false);
  const access = accessIn(writing, mapPointers, pass);
  const writer = sectionWriter(context, { section: 'map', nodes: map, parameters: p, access, fixedLanes: single });
  const epilogue = sectionWriter(context, {
    section: 'epilogue',
    nodes: reduction.epilogue,
    parameters: p,
    access: (operand) => ({ moves: false, pointer: epiloguePointers.of.get(operand)! }),
    fixedLanes: single,
    reduced,
  });
  const loop = { ...pass.loop, count: innermostCount(writing), unroll };
  const advance = cursorsOf(
    epilogueOutputs.map((output) => ({ dtype: outputTypes(writing.expression)[output]!, pointer: outputOf(writing, output) })),
  );
  walk(f, outerLevels(writing, 'kept', [mapPointers, epiloguePointers], true), () => {
    fold.start(unroll);
    walk(f, outerLevels(writing, 'reduced', [mapPointers], true), () => {
      pass.reset();
      writer.writeFixed();
      forEachVector(f, loop, (lanes) => {
        writer.write(lanes);
        const value = f.let('own', ownElements(reduction.kind, lanes, writer.value(reduction.of)));
        fold.add(lanes.copy, value);
        storeAll(writer, results, pass.outputs, lanes);
      });
    });
    f.set(reduced, fold.total());
    epilogue.writeFixed();
    epilogue.write(single);
    storeAll(epilogue, reduction.results, epilogueOutputs.map((output) => outputOf(writing, output)), single);
    stepOver(f, advance);
  });
}

function writeColumnReduction(writing: Writing): void {
  const { f, expression: { map, results }, p, context } = writing;
  const { reduction, unroll, fold, reduced, mapPointers, epiloguePointers, epilogueOutputs } = reductionParts(writing);
  const mapPass = passOver(writing, mapPointers, placesOf(results), false);
  const epiloguePass = passOver(writing, epiloguePointers, epilogueOutputs, true);
  // Below the reduced loops every pointer of the map moves from where the group of columns starts.
  const inner = movedPointers(writing, mapPointers, mapPass);
  const writer = sectionWriter(context, {
    section: 'map',
    nodes: map,
    parameters: p,
    access: (operand) => ({ moves: movingOperands(writing, 'map').has(operand), pointer: inner.pointers.of.get(operand)! }),
    fixedLanes: single,
  });
  const epilogue = sectionWriter(context, {
    section: 'epilogue',
    nodes: reduction.epilogue,
    parameters: p,
    access: accessIn(writing, epiloguePointers, epiloguePass),
    fixedLanes: single,
    reduced,
  });
  const loop = {
    cursors: [...mapPass.loop.cursors, ...epiloguePass.loop.cursors],
    halfCursors: [...mapPass.loop.halfCursors!, ...epiloguePass.loop.halfCursors!],
    byteCursors: [...mapPass.loop.byteCursors!, ...epiloguePass.loop.byteCursors!],
    count: innermostCount(writing),
    unroll,
  };
  walk(f, outerLevels(writing, 'kept', [mapPointers, epiloguePointers], true), () => {
    mapPass.reset();
    epiloguePass.reset();
    epilogue.writeFixed();
    forEachGroup(f, loop, (group) => {
      fold.start(group.length);
      inner.start();
      walk(f, inner.levels, () => {
        writer.writeFixed();
        for (const lanes of group) {
          writer.write(lanes);
          fold.add(lanes.copy, f.let('value', writer.value(reduction.of)));
          storeAll(writer, results, inner.outputs, lanes);
        }
      });
      for (const lanes of group) {
        f.set(reduced, fold.lanes(lanes.copy));
        epilogue.write(lanes);
        storeAll(epilogue, reduction.results, epiloguePass.outputs, lanes);
      }
    });
  });
}
