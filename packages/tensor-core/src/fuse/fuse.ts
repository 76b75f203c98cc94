/**
 * Fusion: elementwise steps and reductions that feed each other become one `fusedExpression` step.
 *
 * Steps are visited in order. Each fusible step starts as a group of its own and takes in the groups that write its operands,
 * nearest first, as long as
 *
 * - the form holds the result (`build-expression.ts`): producers of the same space, single elements, at most one reduction
 *   over any axes with what comes before and after it. A producer that is broadcast is not computed once per copy;
 * - nobody else reads a value of the group before the group has run (a group runs at the place of its last member), so
 *   the order of everything else stays as it is;
 * - all members are forward work or all are recomputed work; a barrier is never looked through;
 * - it has at most `mostBindings` operands and results, and `mostNodes` nodes;
 * - memory does not grow (`live-bytes.ts`);
 * - the device supports the expression. It should refuse what it would run slower than the steps one by one, such as a map
 *   with results of its own before a reduction to a single element, on a device that folds those with few threads.
 *
 * A value that is also read outside is written as one more result. A step that nothing joins stays as it is.
 */
import type { Device } from '../device.js';
import type { Op } from '../op.js';
import type { PlanStep, Program } from '../plan/program.js';
import { sameShape } from '../shape.js';
import { type Group, type GroupStep, buildExpression } from './build-expression.js';
import { sectionsOf } from './expression.js';
import { fusedExpressionOp } from './expression-op.js';
import { type ProgramLeaves, leavesOf } from './leaves.js';
import { type LiveBytes, type MergeRange, trackLiveBytes } from './live-bytes.js';

/** What every WebGPU adapter can bind at once. */
const mostBindings = 8;
const mostNodes = 64;

type FusionDevice = Pick<Device, 'supports' | 'limits'>;

/** The program with groups of steps replaced by fused expressions. Values keep their numbers; some are not there any more. */
export function fuseProgram(program: Program, device: FusionDevice): Program {
  const leaves = leavesOf(program);
  const groups = groupSteps(program, leaves, device);
  return { ...program, steps: emitSteps(program, leaves, groups, device) };
}

interface PlacedGroup extends Group {
  /** The place where the group runs: its last member. */
  readonly last: number;
}

/** The group of every fusible step. */
function groupSteps(program: Program, leaves: ProgramLeaves, device: FusionDevice): (PlacedGroup | undefined)[] {
  const groupOf: (PlacedGroup | undefined)[] = program.steps.map((_, step) =>
    leaves.leaves[step]!.length === 0
      ? undefined
      : { members: [step], last: step, ...(leaves.kinds[step] === 'reduction' && { reduction: step }) },
  );
  const placeOf = (step: number): number => groupOf[step]?.last ?? step;
  const live = trackLiveBytes(program, leaves, placeOf, device.limits?.viewAlignment);
  const fusion: Fusion = { program, leaves, device, live, placeOf };
  program.steps.forEach((_, step) => {
    const tried = new Set<PlacedGroup>();
    for (;;) {
      const group = groupOf[step];
      const producer = group && nearestProducer(group, leaves, groupOf, tried);
      if (!producer) return;
      tried.add(producer);
      const merged = merge(fusion, producer, group);
      if (merged) for (const member of merged.members) groupOf[member] = merged;
    }
  });
  return groupOf;
}

/** The group that wrote an operand of `group` last, of those not tried yet. */
function nearestProducer(
  group: PlacedGroup,
  { leaves, writers }: ProgramLeaves,
  groupOf: readonly (PlacedGroup | undefined)[],
  tried: ReadonlySet<PlacedGroup>,
): PlacedGroup | undefined {
  let nearest: PlacedGroup | undefined;
  for (const member of group.members)
    for (const { value, constant } of leaves[member]!) {
      const writer = constant === undefined ? writers[value] : undefined;
      const producer = writer === undefined ? undefined : groupOf[writer];
      if (producer && producer !== group && !tried.has(producer) && producer.last > (nearest?.last ?? -1))
        nearest = producer;
    }
  return nearest;
}

interface Fusion {
  readonly program: Program;
  readonly leaves: ProgramLeaves;
  readonly device: FusionDevice;
  readonly live: LiveBytes;
  readonly placeOf: (step: number) => number;
}

/** Both groups as one, if every rule allows it. */
function merge(fusion: Fusion, producer: PlacedGroup, consumer: PlacedGroup): PlacedGroup | undefined {
  const { program, device, live } = fusion;
  if (producer.reduction !== undefined && consumer.reduction !== undefined) return undefined;
  const isRecomputed = (group: Group): boolean => program.steps[group.members[0]!]!.recomputed === true;
  if (isRecomputed(producer) !== isRecomputed(consumer)) return undefined;
  const reduction = producer.reduction ?? consumer.reduction;
  const merged: PlacedGroup = {
    members: [...producer.members, ...consumer.members].sort((a, b) => a - b),
    last: consumer.last,
    ...(reduction !== undefined && { reduction }),
  };
  const range = isConvex(fusion, producer, merged) ? rangeOf(fusion, producer, merged) : undefined;
  if (!range || !live.allows(range)) return undefined;
  const step = buildExpression(program, fusion.leaves, merged);
  if (!step || !fitsLimits(step) || !isSupported(step, program, device)) return undefined;
  live.commit(range);
  return merged;
}

const resultOf = ({ program }: Fusion, member: number): number => program.steps[member]!.outputs[0]!;

/** True when everybody else who reads from the producer runs after the merged group. */
function isConvex(fusion: Fusion, producer: PlacedGroup, { members, last }: PlacedGroup): boolean {
  const { program, leaves, placeOf } = fusion;
  const inside = new Set(members);
  return producer.members.every((member) =>
    leaves.readers[resultOf(fusion, member)]!.every(
      (reader) => inside.has(reader) || reader === program.steps.length || placeOf(reader) > last,
    ),
  );
}

/** What the merge does to the lives of values. */
function rangeOf(fusion: Fusion, producer: PlacedGroup, merged: PlacedGroup): MergeRange {
  const { leaves } = fusion;
  const [own, inside] = [new Set(producer.members), new Set(merged.members)];
  const isReadOutside = (value: number, of: ReadonlySet<number>): boolean =>
    leaves.readers[value]!.some((reader) => !of.has(reader));
  const operands = producer.members.flatMap((member) =>
    leaves.leaves[member]!.flatMap(({ value, constant }) =>
      constant === undefined && !own.has(leaves.writers[value] ?? -1) ? [value] : [],
    ),
  );
  const stored = producer.members
    .map((member) => resultOf(fusion, member))
    .filter((value) => isReadOutside(value, own));
  return {
    from: producer.last,
    to: merged.last,
    firstMember: merged.members[0]!,
    operands,
    vanishing: stored.filter((value) => !isReadOutside(value, inside)),
    written: stored.filter((value) => isReadOutside(value, inside)),
    outputs: merged.members.map((member) => resultOf(fusion, member)).filter((value) => isReadOutside(value, inside)),
  };
}

const fitsLimits = ({ inputs, outputs, expression }: GroupStep): boolean =>
  inputs.length > 0 &&
  inputs.length + outputs.length <= mostBindings &&
  sectionsOf(expression).reduce((sum, { nodes }) => sum + nodes.length, 0) <= mostNodes;

const isSupported = ({ inputs, expression }: GroupStep, { values }: Program, device: FusionDevice): boolean =>
  device.supports(
    fusedExpressionOp as Op,
    inputs.map((value) => values[value]!),
    expression,
  );

/** The steps of the fused program: groups at the place of their last member, leaf steps before their first reader. */
function emitSteps(
  program: Program,
  leaves: ProgramLeaves,
  groupOf: readonly (PlacedGroup | undefined)[],
  device: FusionDevice,
): PlanStep[] {
  const { steps, outputs } = program;
  const emitted: PlanStep[] = [];
  const done = new Set<number>();
  const emit = (step: PlanStep): void => {
    step.inputs.forEach(emitLeaf);
    emitted.push(step);
  };
  const emitLeaf = (value: number): void => {
    const writer = leaves.writers[value];
    if (writer === undefined || leaves.kinds[writer] !== 'leaf' || done.has(writer)) return;
    done.add(writer);
    emit(steps[writer]!);
  };
  steps.forEach((step, i) => {
    const group = groupOf[i];
    if (leaves.kinds[i] === 'leaf' || (group && group.last !== i)) return;
    emit(group ? stepOf(group, program, leaves, device) : step);
  });
  outputs.forEach(emitLeaf);
  return emitted;
}

/** A group as a step. A single step stays itself, on the source of a stretch where that gives the same. */
function stepOf(group: PlacedGroup, program: Program, leaves: ProgramLeaves, device: FusionDevice): PlanStep {
  const last = program.steps[group.last]!;
  const alone = group.members.length === 1 ? withoutStretches(last, group.last, program, leaves) : undefined;
  if (alone) return alone;
  const step = buildExpression(program, leaves, group);
  if (!step || (group.members.length === 1 && !(fitsLimits(step) && isSupported(step, program, device)))) return last;
  const { inputs, outputs, expression } = step;
  return { ...last, op: fusedExpressionOp as Op, inputs, outputs, attributes: expression };
}

/** The step on its leaves, if the op gives the same on these as they are. */
function withoutStretches(
  step: PlanStep,
  place: number,
  { values }: Program,
  { kinds, leaves }: ProgramLeaves,
): PlanStep | undefined {
  if (leaves[place]!.some(({ constant }) => constant !== undefined)) return undefined;
  const inputs = leaves[place]!.map(({ value }) => value);
  if (inputs.every((value, i) => value === step.inputs[i])) return step;
  if (kinds[place] === 'reduction') return undefined;
  const [result] = step.op.infer(
    inputs.map((value) => values[value]!),
    step.attributes,
  );
  return sameShape(result!.shape, values[step.outputs[0]!]!.shape) ? { ...step, inputs } : undefined;
}
