/** Programs before and after fusion, run by the reference loops of their ops, with nothing in between. */
import type fc from 'fast-check';
import { expect } from 'vitest';
import { explainExpression } from '../../src/fuse/explain.js';
import type { FusedExpression } from '../../src/fuse/expression.js';
import { fuseProgram } from '../../src/fuse/fuse.js';
import { topologicalOrder } from '../../src/graph/visit.js';
import { lowerGraph } from '../../src/plan/lower.js';
import type { Program } from '../../src/plan/program.js';
import { peakOf, storageOf } from '../../src/plan/storage.js';
import { placeholder } from '../../src/tensor.js';
import type { DType, Device, HostTensor, Tensor } from '../../src/index.js';
import { arbitraryExpression, runReference, seededValue } from '../../src/testing/index.js';

/** A random application of `fusedExpression`. */
export interface Application {
  readonly inputs: readonly HostTensor[];
  readonly attributes: FusedExpression;
}

export const expressions = (options: Parameters<typeof arbitraryExpression>[0]): fc.Arbitrary<Application> =>
  arbitraryExpression(options) as fc.Arbitrary<Application>;

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
    const values = runReference(
      node.op,
      node.inputs.map((input) => known.get(input)!),
      node.attributes,
      precision,
    );
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

export type Supports = Device['supports'];

export const everything: Supports = ({ reference }) => reference !== undefined;
/** No kernels for fused ops: everything is primitives. */
export const onlyPrimitives: Supports = ({ name, decompose }) => name === 'fusedExpression' || decompose === undefined;

export interface Lowered {
  readonly program: Program;
  readonly fused: Program;
}

export function lower(
  build: (...inputs: Tensor[]) => readonly Tensor[],
  specs: readonly (readonly number[] | { readonly shape: readonly number[]; readonly dtype: DType })[],
  supports: Supports = onlyPrimitives,
  simplifies = true,
): Lowered {
  const inputs = specs.map((spec) => placeholder('dtype' in spec ? spec : { shape: spec, dtype: 'f32' }));
  const device = { name: 'test', supports };
  const program = lowerGraph({ outputs: build(...inputs), inputs, device, simplifies });
  return { program, fused: fuseProgram(program, device) };
}

/** One text per step: the expression of a fused one, the name of others. */
export const texts = ({ steps }: Program): string[] =>
  steps.map(({ op, attributes }) =>
    op.name === 'fusedExpression' ? explainExpression(attributes as FusedExpression) : op.name,
  );

/** Inputs of ordinary numbers. */
export const valuesFor = ({ values, inputs }: Program): HostTensor[] =>
  inputs.map((value, i) => seededValue(values[value]!.shape, values[value]!.dtype, 'ordinary', i + 1));

export function expectSameBits({ program, fused }: Lowered, inputs: readonly HostTensor[] = valuesFor(program)): void {
  expect(differences(runProgram(fused, inputs), runProgram(program, inputs))).toEqual([]);
}

export const peakBytesOf = (program: Program): number => peakOf(program, storageOf(program));

/** @param leafBytes by how much constants and stretches may go on living, where the device refuses to absorb them. */
export function expectWellFormed({ program, fused }: Lowered, leafBytes = 0): void {
  const written = fused.steps.flatMap(({ outputs }) => outputs);
  expect(new Set(written).size).toBe(written.length);
  expect(fused.steps.length).toBeLessThanOrEqual(program.steps.length);
  expect(peakBytesOf(fused)).toBeLessThanOrEqual(peakBytesOf(program) + leafBytes);
  const barriers = ({ steps }: Program): number => steps.filter(({ op }) => op.name === 'barrier').length;
  expect(barriers(fused)).toBe(barriers(program));
  for (const { op, inputs, outputs, attributes } of fused.steps) {
    const specs = op.infer(
      inputs.map((value) => fused.values[value]!),
      attributes,
    );
    expect(specs.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(outputs.map((value) => fused.values[value]));
    if (op.name === 'fusedExpression') expect(inputs.length + outputs.length).toBeLessThanOrEqual(8);
  }
}

/** a·b with b along the last axis, summed over `axes` when there are some, then doubled. */
export function sumOfProducts(shape: readonly number[], axes?: readonly number[]): FusedExpression {
  const map: FusedExpression['map'] = [
    { kind: 'operand', operand: 0, dtype: 'f32' },
    { kind: 'operand', operand: 1, dtype: 'f32' },
    { kind: 'apply', op: 'mul', attributes: {}, inputs: [0, 1], dtype: 'f32' },
  ];
  if (!axes) return { shape, constants: [], map, results: [2] };
  return {
    shape,
    constants: [2],
    map,
    results: [2],
    reduction: {
      kind: 'sum',
      axes,
      keepDimensions: false,
      of: 2,
      epilogue: [
        { kind: 'reduced', dtype: 'f32' },
        { kind: 'constant', constant: 0, dtype: 'f32' },
        { kind: 'apply', op: 'mul', attributes: {}, inputs: [0, 1], dtype: 'f32' },
      ],
      results: [2],
    },
  };
}
