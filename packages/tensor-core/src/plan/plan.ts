/**
 * A plan: the steps that compute some tensors from others, for one device, with every lifetime known beforehand.
 *
 * Values are numbered. A value is an input (held by a handle), an intermediate (lives in the arena from the step that
 * writes it to the last step that reads it) or an output (a new root, or the donor's buffer of a donated pair).
 * Nothing in a plan depends on tensor contents, so it is replayed with other inputs of the same specs.
 */
import { byteSizeOf } from '../dtype.js';
import type { Device } from '../device.js';
import { ShapeError, TensorStateError } from '../errors.js';
import { topologicalOrder } from '../graph/visit.js';
import type { Op } from '../op.js';
import { formatShape, sizeOf } from '../shape.js';
import type { GraphNode, Tensor, TensorSpec } from '../tensor.js';
import { type ArenaLayout, layOutArena } from './arena.js';

export interface PlanStep {
  readonly op: Op;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly attributes: object;
}

export interface Donation {
  /** Position in `plan.inputs` of the buffer given up. */
  readonly input: number;
  /** Position in `plan.outputs` of the value that takes it over. */
  readonly output: number;
}

export interface Plan {
  /** Shape and dtype of every value. */
  readonly values: readonly TensorSpec[];
  readonly inputs: readonly number[];
  readonly steps: readonly PlanStep[];
  readonly outputs: readonly number[];
  readonly donations: readonly Donation[];
  /** Byte offsets of the intermediates in a shared arena, and its size. */
  readonly arena: ArenaLayout;
  /** Bytes of new roots: outputs that take over no donor. */
  readonly outputBytes: number;
  /** The steps with their sizes, the arena and the peak, for a person. */
  explain(): string;
}

export const byteLengthOf = (spec: TensorSpec): number => sizeOf(spec.shape) * byteSizeOf(spec.dtype);

export interface PlanRequest {
  readonly outputs: readonly Tensor[];
  /** Leaves in the order the executable will receive them: placeholders and materialised tensors. */
  readonly inputs: readonly Tensor[];
  /** Inputs whose buffers outputs of the same spec may take over. */
  readonly donated?: ReadonlySet<Tensor>;
  readonly device: Pick<Device, 'supports' | 'name'>;
}

/** Lowers a graph: fused ops that the device refuses become their decompositions, and lifetimes become an arena. */
export function buildPlan({ outputs, inputs, donated = new Set(), device }: PlanRequest): Plan {
  const values: TensorSpec[] = [];
  const steps: PlanStep[] = [];
  const numbers = new Map<Tensor, number>();
  /** A new value. A tensor keeps its first number: an input may be one output of a node that runs again for another. */
  const number = (tensor: Tensor): number => {
    const value = values.push({ shape: tensor.shape, dtype: tensor.dtype }) - 1;
    if (!numbers.has(tensor)) numbers.set(tensor, value);
    return value;
  };
  const numberOf = (tensor: Tensor): number => {
    const known = numbers.get(tensor);
    if (known === undefined)
      throw new TensorStateError(
        `the graph reads ${tensor.toString()}, which is no argument of the function being compiled`,
      );
    return known;
  };
  const emit = (node: GraphNode): void => {
    if (node.outputs.every((output) => numbers.has(output))) return;
    const { op, attributes } = node;
    if (device.supports(op, node.inputs, attributes)) {
      const from = node.inputs.map(numberOf);
      steps.push({ op, inputs: from, outputs: node.outputs.map(number), attributes });
      return;
    }
    if (!op.decompose)
      throw new ShapeError(`${device.name} has no kernel for ${op.name}, and the op has no decomposition`);
    const results = op.decompose(node.inputs, attributes);
    for (const inner of topologicalOrder(results, (tensor) => numbers.has(tensor))) emit(inner);
    node.outputs.forEach((output, i) => {
      if (!numbers.has(output)) numbers.set(output, numberOf(results[i]!));
    });
  };
  inputs.forEach(number);
  for (const node of topologicalOrder(outputs)) emit(node);
  const results = outputs.map(numberOf);
  const inputNumbers = inputs.map(numberOf);
  const donations = pairDonations(inputs, outputs, donated);
  const arena = layOutArena({ values, steps, inputs: inputNumbers, outputs: results });
  const taken = new Set(donations.map(({ output }) => output));
  const outputBytes = outputs.reduce((sum, output, i) => sum + (taken.has(i) ? 0 : byteLengthOf(output)), 0);
  return {
    values,
    inputs: inputNumbers,
    steps,
    outputs: results,
    donations,
    arena,
    outputBytes,
    explain() {
      return explain(this);
    },
  };
}

/** Each donated input goes to the first output of the same spec that has no donor yet. */
function pairDonations(
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  donated: ReadonlySet<Tensor>,
): Donation[] {
  const pairs: Donation[] = [];
  const taken = new Set<number>();
  inputs.forEach((input, i) => {
    if (!donated.has(input)) return;
    const output = outputs.findIndex(
      (candidate, j) =>
        !taken.has(j) &&
        outputs.indexOf(candidate) === j &&
        candidate.dtype === input.dtype &&
        formatShape(candidate.shape) === formatShape(input.shape),
    );
    if (output < 0) return;
    taken.add(output);
    pairs.push({ input: i, output });
  });
  return pairs;
}

function explain(plan: Plan): string {
  const describe = (value: number): string =>
    `%${value} ${plan.values[value]!.dtype}${formatShape(plan.values[value]!.shape)}`;
  const lines = plan.steps.map(
    (step) =>
      `${step.outputs.map(describe).join(', ')} = ${step.op.name}(${step.inputs.map((value) => `%${value}`).join(', ')})`,
  );
  return [
    `inputs ${plan.inputs.map(describe).join(', ')}`,
    ...lines,
    `outputs ${plan.outputs.map((value) => `%${value}`).join(', ')}; ${plan.donations.length} donated`,
    `${plan.steps.length} steps, arena ${plan.arena.byteLength} bytes (peak at step ${plan.arena.peakStep}), new roots ${plan.outputBytes} bytes`,
  ].join('\n');
}
