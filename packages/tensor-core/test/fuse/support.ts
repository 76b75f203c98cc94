/** Programs and graphs run by the reference loops of their ops, with nothing in between. */
import { topologicalOrder } from '../../src/graph/visit.js';
import type { HostTensor } from '../../src/op.js';
import type { Program } from '../../src/plan/program.js';
import type { Tensor } from '../../src/index.js';
import { runReference } from '../../src/testing/index.js';

export type Precision = 'f32' | 'f64';

/** The values of `outputs`, where `inputs` stand for the tensors `parameters`. */
export function runGraph(
  outputs: readonly Tensor[],
  parameters: readonly Tensor[],
  inputs: readonly HostTensor[],
  precision: Precision = 'f32',
): HostTensor[] {
  const known = new Map<Tensor, HostTensor>(parameters.map((parameter, i) => [parameter, inputs[i]!]));
  for (const node of topologicalOrder(outputs, (tensor) => known.has(tensor))) {
    const values = runReference(node.op, node.inputs.map((input) => known.get(input)!), node.attributes, precision);
    node.outputs.forEach((output, i) => known.set(output, values[i]!));
  }
  return outputs.map((output) => known.get(output)!);
}

/** The outputs of a program. */
export function runProgram(
  { inputs: numbers, steps, outputs }: Program,
  inputs: readonly HostTensor[],
  precision: Precision = 'f32',
): HostTensor[] {
  const known = new Map<number, HostTensor>(numbers.map((value, i) => [value, inputs[i]!]));
  for (const step of steps) {
    const operands = step.inputs.map((value) => {
      const operand = known.get(value);
      if (!operand) throw new Error(`${step.op.name} reads %${value} before it is there`);
      return operand;
    });
    const values = runReference(step.op, operands, step.attributes, precision);
    step.outputs.forEach((value, i) => known.set(value, values[i]!));
  }
  return outputs.map((value) => known.get(value)!);
}

/** Places where two lists of values differ in any bit but those of a NaN. */
export function differences(actual: readonly HostTensor[], expected: readonly HostTensor[]): string[] {
  return expected.flatMap((value, output) => {
    const other = actual[output];
    if (!other || other.dtype !== value.dtype || other.shape.join() !== value.shape.join())
      return [`output ${output} is ${other?.dtype}[${other?.shape.join()}], not ${value.dtype}[${value.shape.join()}]`];
    return Array.from(value.data).flatMap((number, i) =>
      Object.is(number, other.data[i]) ? [] : [`output ${output} at ${i}: ${other.data[i]} instead of ${number}`],
    );
  });
}
