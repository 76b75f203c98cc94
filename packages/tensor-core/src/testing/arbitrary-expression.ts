/**
 * Random fused expressions with operands: for interpreters and code generators.
 *
 * A recipe is numbers only, so it shrinks well: steps drop out, rules move to the first. Interpreting it adds nodes rule by
 * rule (`expression-rules.ts`), then leaves out what no result needs. Operands have any broadcast shapes and mixed dtypes;
 * there may be a reduction over any axes (empty ones and none at all included) and an epilogue with operands of its own.
 */
import fc from 'fast-check';
import type { DType } from '../dtype.js';
import {
  type ExpressionNode,
  type ExpressionReduction,
  type FusedExpression,
  type NodeOf,
  stretches,
} from '../fuse/expression.js';
import type { HostTensor } from '../op.js';
import { reducedShape } from '../shape.js';
import { type ValueRange, arbitrarySeed, arbitraryShape, seededValue } from './arbitrary-values.js';
import {
  type ExpressionValues,
  type SectionBuilder,
  addCast,
  addConstant,
  addCopy,
  expressionRules,
} from './expression-rules.js';
import { type OpInvocation, invocation } from './op-cases/case.js';

export interface ExpressionOptions {
  readonly values?: ExpressionValues;
  /** Largest size of one axis. */
  readonly maxLength?: number;
  /** Largest number of rules in each section. */
  readonly maxSteps?: number;
  /** Reductions always, never, or either when left out. */
  readonly reduction?: boolean;
}

interface RecipeStep {
  readonly rule: number;
  /** Places of operands, counted back from the newest node that fits. */
  readonly places: readonly [number, number, number];
  readonly choice: number;
}

interface RecipeOperand {
  /** The axes that keep their size; the others are stretched. */
  readonly keep: readonly boolean[];
  /** Leading axes that are left out. */
  readonly drop: number;
  readonly dtype: DType;
  readonly seed: number;
  /** Cut to the reduced space, for the epilogue. */
  readonly isReduced: boolean;
}

interface Recipe {
  readonly shape: readonly number[];
  readonly operands: readonly RecipeOperand[];
  readonly steps: readonly RecipeStep[];
  readonly epilogue: readonly RecipeStep[];
  /** How many further nodes are written beside the newest. */
  readonly moreResults: number;
  readonly reduction:
    | (Pick<ExpressionReduction, 'kind' | 'keepDimensions'> & { readonly axes: readonly boolean[] })
    | null;
}

const dtypes: readonly DType[] = ['f32', 'f32', 'f32', 'f32', 'i32', 'u32', 'bool', 'f16', 'bf16'];

/** An application of `fusedExpression` that `infer` accepts, with at least one operand and at most eight bindings. */
export function arbitraryExpression(options: ExpressionOptions = {}): fc.Arbitrary<OpInvocation> {
  const { values = 'ordinary', maxLength = 6, maxSteps = 8, reduction } = options;
  const place = fc.nat(15);
  const step = fc.record({
    rule: fc.nat(expressionRules.length - 1),
    places: fc.tuple(place, place, place),
    choice: fc.nat(31),
  });
  const flags = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
  const operand = fc.record({
    keep: flags,
    drop: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4) }),
    dtype: values === 'smooth' ? fc.constant<DType>('f32') : fc.constantFrom(...dtypes),
    seed: arbitrarySeed(),
    isReduced: fc.boolean(),
  });
  const folding = fc.record({
    kind: fc.constantFrom('sum' as const, 'max' as const),
    keepDimensions: fc.boolean(),
    axes: flags,
  });
  const folds: Readonly<Record<string, fc.Arbitrary<Recipe['reduction']>>> = {
    true: folding,
    false: fc.constant(null),
    undefined: fc.option(folding),
  };
  return fc
    .record<Recipe>({
      shape: arbitraryShape({ maxLength, maxRank: 4, maxSize: 4096 }),
      operands: fc.array(operand, { minLength: 1, maxLength: 4 }),
      steps: fc.array(step, { minLength: 1, maxLength: maxSteps }),
      epilogue: fc.array(step, { maxLength: maxSteps }),
      moreResults: fc.nat(2),
      reduction: folds[String(reduction)]!,
    })
    .map((recipe) => interpret(recipe, values));
}

const wholeRanges: Readonly<Record<ExpressionValues, ValueRange>> = {
  ordinary: 'positive',
  smooth: 'positive',
  extreme: 'words',
  anything: 'words',
};

function rangeOf(dtype: DType, values: ExpressionValues): ValueRange {
  if (dtype === 'i32' || dtype === 'u32') return wholeRanges[values];
  return values === 'extreme' || values === 'anything' ? 'special' : 'ordinary';
}

/** A section with the nodes that are written. */
interface Section {
  readonly builder: SectionBuilder;
  readonly results: number[];
}

function interpret(recipe: Recipe, values: ExpressionValues): OpInvocation {
  const { shape, reduction } = recipe;
  const axes = reduction ? shape.flatMap((_, axis) => (reduction.axes[axis] ? [axis] : [])) : [];
  const keepDimensions = reduction?.keepDimensions ?? false;
  const reducedSpace = reducedShape(shape, axes, keepDimensions);
  const operands = recipe.operands.map(({ keep, drop, dtype, seed, isReduced }) => {
    const space = isReduced && reduction ? reducedSpace : shape;
    const own = space.map((size, axis) => (keep[axis] ? size : 1)).slice(Math.min(drop, space.length));
    return seededValue(own, dtype, rangeOf(dtype, values), seed);
  });
  const request = { values, constants: [], operands };
  const map = buildSection({ ...request, space: shape, steps: recipe.steps });
  if (!reduction) {
    const section = { builder: map, results: newest(map, 1 + recipe.moreResults) };
    readAnOperand([section]);
    return pruned({ shape, constants: request.constants, map: section }, operands);
  }
  const of = reducible(map, reduction.kind);
  const { dtype } = map.nodes[of]!;
  // Sums of numbers of all magnitudes depend on their order, and a maximum has a kink.
  const kind = values === 'smooth' ? 'sum' : values === 'extreme' && dtype === 'f32' ? 'max' : reduction.kind;
  const exact = map.isExact[of]! && (dtype !== 'f32' || (kind === 'max' && values !== 'extreme'));
  const epilogue = buildSection({
    ...request,
    space: reducedSpace,
    steps: recipe.epilogue,
    reduced: { node: { kind: 'reduced', dtype }, exact },
  });
  const sections = [
    { builder: map, results: recipe.moreResults > 1 ? newest(map, 1) : [] },
    { builder: epilogue, results: newest(epilogue, 1) },
  ] as const;
  if (!neededNodes(epilogue.nodes, sections[1].results).has(0)) sections[1].results.push(0);
  readAnOperand(sections, of);
  const [first, second] = sections;
  return pruned(
    { shape, constants: request.constants, map: first, epilogue: second, fold: { kind, axes, keepDimensions, of } },
    operands,
  );
}

interface SectionRequest {
  readonly values: ExpressionValues;
  readonly constants: number[];
  readonly operands: readonly HostTensor[];
  readonly space: readonly number[];
  readonly steps: readonly RecipeStep[];
  readonly reduced?: { readonly node: ExpressionNode; readonly exact: boolean };
}

function buildSection({ values, constants, operands, space, steps, reduced }: SectionRequest): SectionBuilder {
  const builder: SectionBuilder = { values, constants, nodes: [], isExact: [], hidden: new Set() };
  if (reduced) {
    builder.nodes.push(reduced.node);
    builder.isExact.push(reduced.exact);
  }
  operands.forEach(({ shape, dtype }, operand) => {
    if (!stretches(shape, space)) return;
    builder.nodes.push({ kind: 'operand', operand, dtype });
    builder.isExact.push(true);
  });
  for (const { rule, places, choice } of steps) expressionRules[rule]!(builder, places, choice);
  return builder;
}

/** The last `count` computed nodes. */
const newest = ({ nodes }: SectionBuilder, count: number): number[] =>
  nodes.flatMap(({ kind }, i) => (kind === 'apply' ? [i] : [])).slice(-count);

/** The newest node that the reduction takes, or one that is cast for it. */
function reducible(builder: SectionBuilder, kind: ExpressionReduction['kind']): number {
  const fits = ({ dtype }: ExpressionNode): boolean =>
    dtype !== 'f16' && dtype !== 'bf16' && (kind === 'max' || dtype !== 'bool');
  const found = builder.nodes.findLastIndex(fits);
  if (found >= 0) return found;
  if (builder.nodes.length === 0) return addConstant(builder, 'f32', 0);
  return addCast(builder, builder.nodes.length - 1, 'f32');
}

/** Writes something of an operand when nothing that is written reads one. */
function readAnOperand(sections: readonly Section[], of?: number): void {
  const isOperand = ({ kind }: ExpressionNode): boolean => kind === 'operand';
  const reads = sections.some(({ builder: { nodes }, results }, i) => {
    const roots = i === 0 && of !== undefined ? [...results, of] : results;
    return [...neededNodes(nodes, roots)].some((node) => isOperand(nodes[node]!));
  });
  if (reads) return;
  const { builder, results } = sections.find((section) => section.builder.nodes.some(isOperand))!;
  const operand = builder.nodes.findIndex(isOperand);
  results.push(addCopy(builder, operand));
}

/** The nodes that `roots` are computed from, and these. */
function neededNodes(nodes: readonly ExpressionNode[], roots: readonly number[]): Set<number> {
  const needed = new Set(roots);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (needed.has(i) && node.kind === 'apply') for (const input of node.inputs) needed.add(input);
  }
  return needed;
}

interface Draft {
  readonly shape: readonly number[];
  readonly constants: readonly number[];
  readonly map: Section;
  readonly epilogue?: Section;
  readonly fold?: Pick<ExpressionReduction, 'kind' | 'axes' | 'keepDimensions' | 'of'>;
}

/** The invocation without nodes, constants and operands that nothing needs. */
function pruned({ shape, constants, map, epilogue, fold }: Draft, operands: readonly HostTensor[]): OpInvocation {
  const usedConstants: number[] = [];
  const usedOperands: number[] = [];
  const numberIn = (list: number[], entry: number): number =>
    list.includes(entry) ? list.indexOf(entry) : list.push(entry) - 1;
  const rewrite: Partial<Record<ExpressionNode['kind'], (node: never, places: ReadonlyMap<number, number>) => object>> =
    {
      operand: ({ operand }: NodeOf<'operand'>) => ({ operand: numberIn(usedOperands, operand) }),
      constant: ({ constant }: NodeOf<'constant'>) => ({ constant: numberIn(usedConstants, constant) }),
      apply: ({ inputs }: NodeOf<'apply'>, places) => ({ inputs: inputs.map((input) => places.get(input)!) }),
    };
  const compact = (nodes: readonly ExpressionNode[], roots: readonly number[]) => {
    const order = [...neededNodes(nodes, roots)].sort((a, b) => a - b);
    const places = new Map(order.map((node, place) => [node, place]));
    const kept = order.map((i) => ({ ...nodes[i]!, ...rewrite[nodes[i]!.kind]?.(nodes[i] as never, places) }));
    return { kept: kept as ExpressionNode[], at: (list: readonly number[]) => list.map((node) => places.get(node)!) };
  };
  const body = compact(map.builder.nodes, fold ? [...map.results, fold.of] : map.results);
  const tail = epilogue && compact(epilogue.builder.nodes, epilogue.results);
  const expression: FusedExpression = {
    shape,
    constants: usedConstants.map((constant) => constants[constant]!),
    map: body.kept,
    results: body.at(map.results),
    ...(fold && {
      reduction: {
        ...fold,
        of: body.at([fold.of])[0]!,
        epilogue: tail!.kept,
        results: tail!.at(epilogue!.results),
      },
    }),
  };
  return invocation(
    usedOperands.map((operand) => operands[operand]!),
    expression,
  );
}
