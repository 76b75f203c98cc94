/**
 * Simplification while steps are emitted: what an application equals without computing it at run time.
 *
 * Constants are `full` values, one number for all elements; they fold through every op that acts on one element at a time
 * and through ops that only move elements. Beyond that only identities that hold for every number, NaN and −0 included.
 */
import { type DType, allocateHost } from '../dtype.js';
import { type Op, fullOp } from '../op.js';
import { castOp } from '../ops/cast.js';
import { reshapeOp } from '../ops/reshape.js';
import { permuteOp } from '../ops/permute.js';
import { sameShape } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

/** A value while a program is being emitted. */
export interface KnownValue extends TensorSpec {
  readonly value: number;
  /** The stored number of every element, when all are the same and known. */
  readonly constant?: number;
  /** The application that gives the value, when it has one output; undefined for inputs. */
  readonly from?: { readonly op: Op; readonly inputs: readonly KnownValue[]; readonly attributes: object };
}

export type Simplified =
  | { readonly kind: 'same'; readonly value: KnownValue }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'apply'; readonly op: Op; readonly inputs: readonly KnownValue[]; readonly attributes: object };

interface Application {
  readonly inputs: readonly KnownValue[];
  readonly output: TensorSpec;
  readonly attributes: object;
}

type Rule = (application: Application) => Simplified | undefined;

/** Ops whose output holds the elements of input 0 in some order, or some of them. */
const moving = new Set(['reshape', 'permute', 'broadcastTo', 'slice', 'stopGradient']);

const same = (value: KnownValue): Simplified => ({ kind: 'same', value });

const unlessMoved: Rule = ({ inputs: [x], output }) => (sameShape(x!.shape, output.shape) ? same(x!) : undefined);

/** x ∘ c = x where the operand has the shape of the result. */
const neutral =
  (right: number, left?: number): Rule =>
  ({ inputs: [a, b], output }) => {
    if (Object.is(b!.constant, right) && sameShape(a!.shape, output.shape)) return same(a!);
    if (left !== undefined && Object.is(a!.constant, left) && sameShape(b!.shape, output.shape)) return same(b!);
    return undefined;
  };

const rules: Readonly<Record<string, Rule>> = {
  broadcastTo(application) {
    const {
      inputs: [x],
      attributes,
    } = application;
    const inner = x!.from?.op.name === 'broadcastTo' ? x!.from : undefined;
    return unlessMoved(application) ?? (inner && { kind: 'apply', op: inner.op, inputs: inner.inputs, attributes });
  },
  slice: unlessMoved,
  pad: unlessMoved,
  concat: (application) => (application.inputs.length === 1 ? same(application.inputs[0]!) : undefined),
  select: ({ inputs: [condition, a, b], output }) => {
    if (condition!.constant === undefined) return undefined;
    const chosen = condition!.constant === 0 ? b! : a!;
    return sameShape(chosen.shape, output.shape) ? same(chosen) : undefined;
  },
  stopGradient: ({ inputs: [x] }) => same(x!),
  mul: neutral(1, 1),
  div: neutral(1),
  // x + (−0) = x for every x; x + 0 turns −0 into 0.
  add: neutral(-0, -0),
  sub: neutral(0),
  neg: ({ inputs: [x] }) => (x!.from?.op.name === 'neg' ? same(x!.from.inputs[0]!) : undefined),
  logicalNot: ({ inputs: [x] }) => (x!.from?.op.name === 'logicalNot' ? same(x!.from.inputs[0]!) : undefined),
  cast: ({ inputs: [x], output }) => {
    if (x!.dtype === output.dtype) return same(x!);
    const [inner] = x!.from?.op === castOp ? x!.from.inputs : [];
    // A value widened to f32 and stored narrow again is what it was.
    return inner?.dtype === output.dtype && x!.dtype === 'f32' && (inner.dtype === 'f16' || inner.dtype === 'bf16')
      ? same(inner)
      : undefined;
  },
  reshape: ({ inputs: [x], output }) => {
    if (sameShape(x!.shape, output.shape)) return same(x!);
    if (x!.from?.op !== (reshapeOp as Op)) return undefined;
    const [inner] = x!.from.inputs;
    return sameShape(inner!.shape, output.shape)
      ? same(inner!)
      : { kind: 'apply', op: reshapeOp as Op, inputs: [inner!], attributes: { shape: output.shape } };
  },
  permute: ({ inputs: [x], attributes }) => {
    const { axes } = attributes as { readonly axes: readonly number[] };
    if (axes.every((axis, i) => axis === i)) return same(x!);
    if (x!.from?.op !== (permuteOp as Op)) return undefined;
    const inner = (x!.from.attributes as { readonly axes: readonly number[] }).axes;
    const joined = axes.map((axis) => inner[axis]!);
    const [source] = x!.from.inputs;
    return joined.every((axis, i) => axis === i)
      ? same(source!)
      : { kind: 'apply', op: permuteOp as Op, inputs: [source!], attributes: { axes: joined } };
  },
};

/**
 * What an application equals, or undefined when it has to be computed.
 *
 * @param wide f32 constants are carried in 64 bits (the f64 reference engine).
 */
export function simplify(
  op: Op,
  inputs: readonly KnownValue[],
  output: TensorSpec,
  attributes: object,
  wide: boolean,
): Simplified | undefined {
  if (op === (fullOp as Op)) return undefined;
  const constants = inputs.map(({ constant }) => constant);
  if (moving.has(op.name) && constants[0] !== undefined) return { kind: 'constant', value: constants[0] };
  if (op.scalar && constants.length > 0 && constants.every((constant) => constant !== undefined)) {
    const compute = op.scalar(
      inputs.map(({ dtype }) => dtype),
      attributes,
    );
    return { kind: 'constant', value: stored(compute(...constants), output.dtype, wide) };
  }
  return rules[op.name]?.({ inputs, output, attributes });
}

/** The number that an array of `dtype` holds after `value` was written to it. */
export function stored(value: number, dtype: DType, wide: boolean): number {
  if (wide && dtype === 'f32') return value;
  const cell = allocateHost(dtype, 1);
  cell[0] = value;
  return cell[0]!;
}
