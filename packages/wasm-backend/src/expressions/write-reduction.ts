/**
 * The two nests with a reduction.
 *
 *   rows      the innermost axis is reduced: its vectors are folded into accumulators, whose lanes are joined at the end; the
 *             epilogue is computed for one element at a time. V8 joins the map of neighbouring vectors where they are stored,
 *             so long maps have stores under a condition that never holds; the accumulators are not joined
 *   columns   the innermost axis is kept: a group of vectors of it is folded over all reduced loops, lane by lane, a few cache
 *             lines of every row at a time and without memory for sums; the epilogue is computed for the group
 */
import { byteSizeOf } from '@mindseye/tensor-core';
import { i32, v128 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { forEachCopy, forEachGroup, single } from '../kernels/vector-loop.js';
import { type Fold, foldOf, ownElements } from './fold.js';
import { outputTypes } from './signature.js';
import { walk } from './walk.js';
import {
  type Pass,
  type SectionPointers,
  type Writing,
  innermostCount,
  isLongBody,
  levelsOf,
  movingOperands,
  outputOf,
  passOver,
  positions,
  sectionPointers,
  storeAll,
  columnsOf,
  unrollOf,
  writerOf,
} from './writing.js';

const VECTOR_BYTES = 16;

interface ReductionParts {
  readonly unroll: number;
  readonly fold: Fold;
  /** Holds the value of the reduction when the epilogue is written. */
  readonly reduced: Local<'v128'>;
  readonly ofMap: SectionPointers;
  readonly ofEpilogue: SectionPointers;
  /** Positions of the epilogue's outputs. */
  readonly outputs: readonly number[];
}

function partsOf(writing: Writing, unroll: number): ReductionParts {
  const { f, expression } = writing;
  const { map, results, reduction } = expression;
  return {
    unroll,
    fold: foldOf(reduction!.kind, map[reduction!.of]!.dtype)!(f, unroll),
    reduced: f.local('v128', 'reduced'),
    ofMap: sectionPointers(writing, 'map', map),
    ofEpilogue: sectionPointers(writing, 'epilogue', reduction!.epilogue),
    outputs: positions(reduction!.results, results.length),
  };
}

const mapOutputs = (writing: Writing): Local<'i32'>[] =>
  positions(writing.expression.results).map((output) => outputOf(writing, output));

/**
 * Whether stores must be added for the map of neighbours to be joined: a short map costs less than its sum, and the taking apart
 * of joined vectors more than is won.
 */
const needsStores = (writing: Writing): boolean => {
  const { reduction, results } = writing.expression;
  return writing.tier === 'revectorized' && isLongBody(writing) && !results.includes(reduction!.of);
};

/** Stores of neighbours that never happen: no row has 2^32 - 1 elements. The last first, as in `writeLate`. */
function storeNever(writing: Writing, values: readonly Local<'v128'>[]): void {
  const { f } = writing;
  const at = outputOf(writing, 0);
  f.if(i32.eq(innermostCount(writing), -1), () => {
    f.do(...values.map((value, i) => v128.store(at, value, i * VECTOR_BYTES)).toReversed());
  });
}

export function writeRowReduction(writing: Writing): void {
  const { f, expression } = writing;
  const { kind, of, results: epilogueResults } = expression.reduction!;
  const { unroll, fold, reduced, ofMap, ofEpilogue, outputs } = partsOf(writing, unrollOf(writing));
  const pass = passOver(writing, { pointers: ofMap, outputs: positions(expression.results), runsOn: false });
  const map = writerOf(writing, 'map', pass.access);
  const ofOne = (operand: number) => ({ moves: false, pointer: ofEpilogue.of.get(operand)! });
  const epilogue = writerOf(writing, 'epilogue', ofOne, reduced);
  const loop = { ...pass.loop, count: innermostCount(writing), unroll };
  const types = outputTypes(expression);
  const written = outputs.map((output) => outputOf(writing, output));
  walk(f, levelsOf(writing, 'kept', [ofMap, ofEpilogue], mapOutputs(writing)), () => {
    fold.start(unroll);
    walk(f, levelsOf(writing, 'reduced', [ofMap], mapOutputs(writing)), () => {
      pass.reset();
      map.writeFixed();
      forEachGroup(f, loop, (group) => {
        const mapped: Local<'v128'>[] = [];
        forEachCopy(f, group, (lanes) => {
          map.write(lanes);
          mapped.push(f.let('own', ownElements(kind, lanes, map.value(of))));
          storeAll(map, expression.results, pass.outputs, lanes);
        });
        if (group.length > 1 && needsStores(writing)) storeNever(writing, mapped);
        mapped.forEach((value, copy) => fold.add(copy, value));
      });
    });
    f.set(reduced, fold.total());
    epilogue.writeFixed();
    epilogue.write(single);
    storeAll(epilogue, epilogueResults, written, single);
    written.forEach((pointer, i) => f.set(pointer, i32.add(pointer, byteSizeOf(types[outputs[i]!]!))));
  });
}

export function writeColumnReduction(writing: Writing): void {
  const { f, expression } = writing;
  const { of, results: epilogueResults } = expression.reduction!;
  const { unroll, fold, reduced, ofMap, ofEpilogue, outputs } = partsOf(writing, columnsOf(writing));
  const pass = passOver(writing, { pointers: ofMap, outputs: positions(expression.results), runsOn: false });
  const epiloguePass = passOver(writing, { pointers: ofEpilogue, outputs, runsOn: true });
  const descent = descend(writing, ofMap, pass);
  const moving = movingOperands(writing, 'map');
  const map = writerOf(writing, 'map', (operand) => ({
    moves: moving.has(operand),
    pointer: descent.pointers.of.get(operand)!,
  }));
  const epilogue = writerOf(writing, 'epilogue', epiloguePass.access, reduced);
  const loop = {
    cursors: [...pass.loop.cursors, ...epiloguePass.loop.cursors],
    halfCursors: [...pass.loop.halfCursors, ...epiloguePass.loop.halfCursors],
    byteCursors: [...pass.loop.byteCursors, ...epiloguePass.loop.byteCursors],
    count: innermostCount(writing),
    unroll,
  };
  walk(f, levelsOf(writing, 'kept', [ofMap, ofEpilogue], mapOutputs(writing)), () => {
    pass.reset();
    epiloguePass.reset();
    epilogue.writeFixed();
    forEachGroup(f, loop, (group) => {
      fold.start(group.length);
      descent.start();
      walk(f, levelsOf(writing, 'reduced', [descent.pointers], descent.outputs), () => {
        map.writeFixed();
        forEachCopy(f, group, (lanes) => {
          map.write(lanes);
          fold.add(lanes.copy, map.value(of));
          storeAll(map, expression.results, descent.outputs, lanes);
        });
      });
      forEachCopy(f, group, (lanes) => {
        f.set(reduced, fold.lanes(lanes.copy));
        epilogue.write(lanes);
        storeAll(epilogue, epilogueResults, epiloguePass.outputs, lanes);
      });
    });
  });
}

/** Pointers that go down the reduced loops from where a group of columns starts. */
interface Descent {
  readonly pointers: SectionPointers;
  readonly outputs: readonly Local<'i32'>[];
  start(): void;
}

function descend({ f }: Writing, { section, of }: SectionPointers, pass: Pass): Descent {
  const own = new Map([...of.keys()].map((operand) => [operand, f.local('i32', 'down')] as const));
  const outputs = pass.outputs.map(() => f.local('i32', 'down'));
  return {
    pointers: { section, of: own },
    outputs,
    start() {
      for (const [operand, pointer] of own) f.set(pointer, pass.access(operand).pointer);
      outputs.forEach((pointer, i) => f.set(pointer, pass.outputs[i]!));
    },
  };
}
