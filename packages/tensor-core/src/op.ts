/**
 * The contract of an op, and `apply`, which puts one on the graph.
 *
 * An op is one object in one file: what comes out (`infer`), what it computes (`reference`, plain loops), and how
 * gradients flow back (`vjp`, which returns graph). A fused op also owns `decompose`, the same value in other ops: the
 * oracle of its kernels, the fallback on a device without one, and its gradient where it has no `vjp` of its own.
 */
import { type DType, type HostArray, encoderOf } from './dtype.js';
import { GradientError, ShapeError } from './errors.js';
import { callingLine, trackedOrigin, withOrigin } from './graph/origin.js';
import { isRecomputing } from './graph/region.js';
import { type GraphNode, Tensor, type TensorLike, type TensorSpec } from './tensor.js';
import { formatSpec, formatSpecs } from './ops/operands.js';
import { checkShape } from './shape.js';

/** A dense row-major array with its shape, as the reference engine sees values. */
export interface HostTensor extends TensorSpec {
  readonly data: HostArray;
}

export interface ReferenceCall<Attributes> {
  readonly inputs: readonly HostTensor[];
  /** Zero-filled; the op writes its results here. */
  readonly outputs: readonly HostTensor[];
  readonly attributes: Attributes;
}

export interface VjpCall<Attributes> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** One per output; undefined where nothing downstream used that output. */
  readonly cotangents: readonly (Tensor | undefined)[];
  readonly attributes: Attributes;
  /** For each input, whether anything asks for its cotangent; the others may be left undefined. */
  readonly needed: readonly boolean[];
}

export interface GuardCall<Attributes> {
  readonly inputs: readonly TensorSpec[];
  /** The elements of the operands named in `operands`, in their order. */
  readonly data: readonly HostArray[];
  readonly attributes: Attributes;
}

/** What the contents of operands must satisfy for an op to run at all: indices inside a table, a start that fits. */
export interface Guard<Attributes> {
  /** Positions of the operands that are looked at. */
  readonly operands: readonly number[];
  /** Throws a RangeError that names the value. */
  check(call: GuardCall<Attributes>): void;
}

/** Output `output` may be written over the bytes of input `input`, element by element. */
export interface Overwrite {
  readonly output: number;
  readonly input: number;
}

export interface Op<Attributes extends object = object> {
  readonly name: string;
  /** Specs of the outputs, or a ShapeError that names the operands. */
  infer(inputs: readonly TensorSpec[], attributes: Attributes): readonly TensorSpec[];
  /** Plain loops over whole arrays. Every primitive has one. */
  reference?(call: ReferenceCall<Attributes>): void;
  /** Cotangents of the inputs; undefined for inputs that are not floats or are not differentiated by definition. */
  vjp?(call: VjpCall<Attributes>): readonly (Tensor | undefined)[];
  /** The same outputs in terms of other ops. Every fused op has one. */
  decompose?(inputs: readonly Tensor[], attributes: Attributes): readonly Tensor[];
  /** True when gradients end here by definition (`stopGradient`, comparisons). */
  readonly stopsGradient?: boolean;

  // What the plan compiler may know about an op. All optional: an op without them is planned as a black box.

  /**
   * For ops on one element at a time with broadcast operands: the number stored in the result, from the numbers stored in
   * the operands at the same place. An op with a `scalar` can become part of a fused expression.
   */
  scalar?(operands: readonly DType[], attributes: Attributes): (...values: number[]) => number;
  /** Byte offset of the output in input 0, for ops whose output is a contiguous part of input 0's bytes; else undefined. */
  view?(inputs: readonly TensorSpec[], attributes: Attributes): number | undefined;
  /** Outputs that may take over the bytes of an input that nothing reads afterwards. */
  overwrites?(inputs: readonly TensorSpec[], attributes: Attributes): readonly Overwrite[];
  readonly guard?: Guard<Attributes>;
  /** Floating-point operations; one per element of the outputs when left out. */
  flops?(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: Attributes): number;
  /** A text that is equal for equal attributes; JSON when left out. */
  attributesKey?(attributes: Attributes): string;
  /**
   * The same outputs with input `input` read only through `slice(input, 0, from, to)` between consecutive `boundaries`
   * (0 = first, … , rows = last): how an op works on a weight that is too large for one binding of a device.
   */
  splitRows?(
    inputs: readonly Tensor[],
    attributes: Attributes,
    input: number,
    boundaries: readonly number[],
  ): readonly Tensor[];
}

let nodesCreated = 0;

/** The specs of the outputs; a ShapeError names the op, every operand, and the line that put them together. */
function inferred<Attributes extends object>(
  op: Op<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): readonly TensorSpec[] {
  try {
    return op.infer(inputs, attributes);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    if (!error.message.includes(op.name)) error.message = `${op.name}: ${error.message}`;
    if (inputs.some((input) => !error.message.includes(formatSpec(input))))
      error.message += `; the operands are ${formatSpecs(inputs)}`;
    throw withOrigin(error, callingLine());
  }
}

/** Puts `op` on the graph and returns its outputs. */
export function apply<Attributes extends object>(
  op: Op<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): readonly Tensor[] {
  const specs = inferred(op, inputs, attributes);
  const outputs: Tensor[] = [];
  const origin = trackedOrigin();
  const node: GraphNode = {
    op: op as Op,
    inputs,
    attributes,
    outputs,
    created: nodesCreated++,
    ...(isRecomputing() && { recomputed: true }),
    ...(origin !== undefined && { origin }),
  };
  for (const { shape, dtype } of specs) {
    checkShape(shape, op.name);
    outputs.push(new Tensor(shape, dtype, node));
  }
  return outputs;
}

/** `apply` for the ops with exactly one output. */
export function applyOne<Attributes extends object>(
  op: Op<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): Tensor {
  return apply(op, inputs, attributes)[0]!;
}

/** A number as a scalar constant on the graph. */
interface FullAttributes {
  readonly shape: readonly number[];
  readonly dtype: TensorSpec['dtype'];
  readonly value: number;
}

const wholeNumbers: Partial<Record<TensorSpec['dtype'], readonly [number, number]>> = {
  i32: [-0x80000000, 0x7fffffff],
  u32: [0, 0xffffffff],
  bool: [0, 1],
};

/** A tensor of one repeated value; the value is part of the graph, so pass run-time numbers as tensors instead. */
export const fullOp: Op<FullAttributes> = {
  name: 'full',
  infer(_inputs, { shape, dtype, value }) {
    const [low, high] = wholeNumbers[dtype] ?? [-Infinity, Infinity];
    if (wholeNumbers[dtype] && !(Number.isInteger(value) && value >= low && value <= high)) {
      throw new ShapeError(
        `${value} is no ${dtype} (a whole number from ${low} to ${high}): cast the other operand to f32 first`,
      );
    }
    return [{ shape, dtype }];
  },
  reference({ outputs: [y], attributes: { dtype, value } }) {
    y!.data.fill(encoderOf(dtype)(value));
  },
  vjp: () => [],
  flops: () => 0,
};

export function full(shape: readonly number[], value: number, dtype: TensorSpec['dtype'] = 'f32'): Tensor {
  return applyOne(fullOp, [], { shape, dtype, value });
}

/** `value` as a tensor, numbers becoming scalars of `dtype`. */
export const asTensor = (value: TensorLike, dtype: TensorSpec['dtype'] = 'f32'): Tensor =>
  value instanceof Tensor ? value : full([], value, dtype);

/** Throws unless every operand that is given is f32. Fused ops compute in f32 only. */
export function requireF32(what: string, operands: readonly (TensorSpec | undefined)[]): void {
  const given = operands.filter((operand) => operand !== undefined);
  if (given.some(({ dtype }) => dtype !== 'f32'))
    throw new ShapeError(`${what} computes in f32, got ${formatSpecs(given)}: cast the others first`);
}

/** The error of an op whose gradient was asked for and does not exist. */
export const noGradient = (op: Op): GradientError =>
  new GradientError(
    `${op.name} has no gradient: wrap its input in stopGradient(...) if none should flow, or give the op a vjp`,
  );
