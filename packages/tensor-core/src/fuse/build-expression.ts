/**
 * From a group of fusible steps to one fused expression.
 *
 * Without a reduction all members form the map. With one, its ancestors in the group form the map and the others the
 * epilogue. A member has the shape of its section's space, or it is a stretch of the same or a single element that nobody
 * outside reads. Members are visited in program order, so equal pieces of a program give equal expressions.
 */
import type { Program } from '../plan/program.js';
import { type Shape, reducedShape, sameShape, sizeOf } from '../shape.js';
import type { ReduceAttributes } from '../ops/sum.js';
import { type ExpressionNode, type FusedExpression, stretches } from './expression.js';
import { type Leaf, type ProgramLeaves, reductionKindOf } from './leaves.js';

/** Steps that run as one. */
export interface Group {
  /** Fusible steps in program order. */
  readonly members: readonly number[];
  /** The member that is a reduction, if there is one. */
  readonly reduction?: number;
}

/** One application of `fusedExpression`, as the operands and results of a step. */
export interface GroupStep {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly expression: FusedExpression;
}

/** The expression of a group, or undefined when the form does not hold it. */
export function buildExpression(program: Program, leaves: ProgramLeaves, group: Group): GroupStep | undefined {
  const { values, steps } = program;
  const members = new Set(group.members);
  const resultOf = (member: number): number => steps[member]!.outputs[0]!;
  const isWritten = (member: number): boolean =>
    leaves.readers[resultOf(member)]!.some((reader) => !members.has(reader));
  const draft: Draft = { program, leaves, inputs: [], constants: [], constantOf: new Map() };
  if (group.reduction === undefined) {
    const shape = largestShape(group.members.map((member) => values[resultOf(member)]!.shape));
    const map = buildSection(draft, group.members, shape, new Map(), isWritten);
    if (!map) return undefined;
    const { constants, inputs } = draft;
    return { inputs, outputs: map.outputs, expression: { shape, constants, map: map.nodes, results: map.results } };
  }
  const { op, inputs: folded, attributes } = steps[group.reduction]!;
  const { axes, keepDimensions } = attributes as ReduceAttributes;
  const { shape } = values[folded[0]!]!;
  const above = ancestorsOf(group.reduction, members, leaves);
  const map = buildSection(
    draft,
    group.members.filter((member) => above.has(member)),
    shape,
    new Map(),
    isWritten,
  );
  if (!map) return undefined;
  const of = nodeOf(draft, map, leaves.leaves[group.reduction]![0]!);
  const reducedValue = resultOf(group.reduction);
  const space = reducedShape(shape, axes, keepDimensions);
  const below = group.members.filter((member) => member !== group.reduction && !above.has(member));
  const reducedNode: ExpressionNode = { kind: 'reduced', dtype: values[reducedValue]!.dtype };
  const tail = buildSection(draft, below, space, new Map([[reducedValue, reducedNode]]), isWritten);
  // What the map computed is not there any more when the epilogue runs.
  if (!tail || draft.inputs.some((value) => members.has(leaves.writers[value] ?? -1))) return undefined;
  const results = isWritten(group.reduction) ? [0, ...tail.results] : tail.results;
  const outputs = isWritten(group.reduction) ? [reducedValue, ...tail.outputs] : tail.outputs;
  return {
    inputs: draft.inputs,
    outputs: [...map.outputs, ...outputs],
    expression: {
      shape,
      constants: draft.constants,
      map: map.nodes,
      results: map.results,
      reduction: {
        kind: reductionKindOf(op)!,
        axes: [...axes],
        keepDimensions,
        of,
        epilogue: tail.nodes,
        results,
      },
    },
  };
}

/** What the sections of an expression share while it is built. */
interface Draft {
  readonly program: Program;
  readonly leaves: ProgramLeaves;
  readonly inputs: number[];
  readonly constants: number[];
  /** Places in `constants`, by the value that a `full` step makes. */
  readonly constantOf: Map<number, number>;
}

interface Section {
  readonly nodes: ExpressionNode[];
  /** Nodes by the value of the program that they are. */
  readonly places: Map<number, number>;
  readonly results: number[];
  readonly outputs: number[];
}

function buildSection(
  draft: Draft,
  members: readonly number[],
  space: Shape,
  given: ReadonlyMap<number, ExpressionNode>,
  isWritten: (member: number) => boolean,
): Section | undefined {
  const { values, steps } = draft.program;
  const section: Section = { nodes: [], places: new Map(), results: [], outputs: [] };
  for (const [value, node] of given) section.places.set(value, section.nodes.push(node) - 1);
  for (const member of members) {
    const { op, outputs, attributes } = steps[member]!;
    const value = outputs[0]!;
    const { shape, dtype } = values[value]!;
    const fits = isWritten(member) ? sameShape(shape, space) : isSpread(shape, space);
    if (!fits) return undefined;
    const inputs = draft.leaves.leaves[member]!.map((leaf) => nodeOf(draft, section, leaf));
    const place = section.nodes.push({ kind: 'apply', op: op.name, attributes, inputs, dtype }) - 1;
    section.places.set(value, place);
    if (!isWritten(member)) continue;
    section.results.push(place);
    section.outputs.push(value);
  }
  return section;
}

/** The node of an operand in a section; a new leaf node where it has none yet. */
function nodeOf(draft: Draft, { nodes, places }: Section, { value, constant }: Leaf): number {
  const known = places.get(value);
  if (known !== undefined) return known;
  const { dtype } = draft.program.values[value]!;
  const add = (list: number[], entry: number): number => list.push(entry) - 1;
  let node: ExpressionNode;
  if (constant === undefined) {
    const operand = draft.inputs.indexOf(value);
    node = { kind: 'operand', operand: operand < 0 ? add(draft.inputs, value) : operand, dtype };
  } else {
    const place = draft.constantOf.get(value) ?? add(draft.constants, constant);
    draft.constantOf.set(value, place);
    node = { kind: 'constant', constant: place, dtype };
  }
  const place = nodes.push(node) - 1;
  places.set(value, place);
  return place;
}

/** True when each element of `space` is one of `shape`, and computing it there costs no more, or next to nothing. */
function isSpread(shape: Shape, space: Shape): boolean {
  const size = sizeOf(shape);
  return (size === 1 || size === sizeOf(space)) && stretches(shape, space);
}

const largestShape = (shapes: readonly Shape[]): Shape =>
  shapes.reduce((largest, shape) =>
    sizeOf(shape) > sizeOf(largest) || (sizeOf(shape) === sizeOf(largest) && shape.length >= largest.length)
      ? shape
      : largest,
  );

/** The members that a member is computed from, without itself. */
function ancestorsOf(member: number, members: ReadonlySet<number>, { leaves, writers }: ProgramLeaves): Set<number> {
  const found = new Set<number>();
  const stack = [member];
  for (let next = stack.pop(); next !== undefined; next = stack.pop())
    for (const { value } of leaves[next]!) {
      const writer = writers[value];
      if (writer === undefined || !members.has(writer) || found.has(writer)) continue;
      found.add(writer);
      stack.push(writer);
    }
  return found;
}
