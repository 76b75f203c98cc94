/**
 * Makers for ops that act on one element at a time.
 *
 * Unary: y[i] = compute(x[i]). Binary: operands broadcast, y[i] = compute(a[i'], b[i'']), and each gradient is summed
 * back over the axes its operand was stretched along. An op file supplies the maths; this file owns the loops.
 */
import { type DType, type HostArray, byteSizeOf } from '../dtype.js';
import { ShapeError } from '../errors.js';
import type { HostTensor, Op, Overwrite } from '../op.js';
import { broadcastAxes, broadcastShapes, broadcastStrides, formatShape, sameShape } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { formatSpec, formatSpecs } from './operands.js';
import { reshape } from './reshape.js';
import { sum } from './sum.js';

export type NoAttributes = Readonly<Record<string, never>>;

/** `cotangent` of a broadcast result, summed down to the operand's own shape. */
export function sumToShape(cotangent: Tensor, shape: readonly number[]): Tensor {
  const axes = broadcastAxes(shape, cotangent.shape);
  return axes.length === 0 ? cotangent : reshape(sum(cotangent, axes), shape);
}

/** The common shape of broadcast operands, or a ShapeError that names the op and all of them. */
export function broadcastOperands(name: string, operands: readonly TensorSpec[]): readonly number[] {
  const what = `${name} of ${formatSpecs(operands)}`;
  return operands.map(({ shape }) => shape).reduce((common, shape) => broadcastShapes(common, shape, what));
}

/**
 * An op on one element at a time may write over every operand that has an element of the same size at the same place.
 *
 * @param place of the output.
 */
export function overwritesElements(inputs: readonly TensorSpec[], output: TensorSpec, place = 0): readonly Overwrite[] {
  const fits = (input: TensorSpec): boolean =>
    sameShape(input.shape, output.shape) && byteSizeOf(input.dtype) === byteSizeOf(output.dtype);
  return inputs.flatMap((spec, input) => (fits(spec) ? [{ output: place, input }] : []));
}

/** Declarations, not constants: op files call the makers while modules that import each other are still loading. */
function onlyF32(dtype: DType): boolean {
  return dtype === 'f32';
}

interface UnaryDefinition {
  readonly name: string;
  readonly compute: (x: number) => number;
  /** dtype of the result; the operand's own when left out. */
  readonly result?: DType;
  readonly accepts?: (dtype: DType) => boolean;
  /** dL/dx from dL/dy; left out for ops without a gradient. */
  readonly derivative?: (x: Tensor, y: Tensor, cotangent: Tensor) => Tensor;
  readonly stopsGradient?: boolean;
}

export function defineUnary({
  name,
  compute,
  result,
  accepts = onlyF32,
  derivative,
  stopsGradient,
}: UnaryDefinition): Op<NoAttributes> {
  return {
    name,
    infer([x]) {
      if (!accepts(x!.dtype))
        throw new ShapeError(`${name} does not take ${x!.dtype} (shape ${formatShape(x!.shape)}): cast it first`);
      return [{ shape: x!.shape, dtype: result ?? x!.dtype }];
    },
    reference({ inputs: [x], outputs: [y] }) {
      const from = x!.data;
      const to = y!.data;
      for (let i = 0; i < to.length; i++) to[i] = compute(from[i]!);
    },
    scalar: () => compute,
    overwrites: ([x]) => overwritesElements([x!], { shape: x!.shape, dtype: result ?? x!.dtype }),
    ...(derivative && { vjp: ({ inputs: [x], outputs: [y], cotangents: [dy] }) => [derivative(x!, y!, dy!)] }),
    ...(stopsGradient && { stopsGradient }),
  };
}

interface BinaryDefinition {
  readonly name: string;
  readonly compute: (a: number, b: number) => number;
  /** `compute` on i32 and u32 where doubles would not wrap around modulo 2^32. */
  readonly computeWhole?: (a: number, b: number) => number;
  readonly result?: DType;
  readonly accepts?: (dtype: DType) => boolean;
  /** [dL/da, dL/db] before summing over broadcast axes. */
  readonly derivatives?: (a: Tensor, b: Tensor, y: Tensor, cotangent: Tensor) => readonly [Tensor, Tensor];
  readonly stopsGradient?: boolean;
}

export function isNumeric(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'i32' || dtype === 'u32';
}

export function defineBinary({
  name,
  compute,
  computeWhole = compute,
  result,
  accepts = isNumeric,
  derivatives,
  stopsGradient,
}: BinaryDefinition): Op<NoAttributes> {
  const computeFor = (dtype: DType): ((a: number, b: number) => number) => (dtype === 'f32' ? compute : computeWhole);
  const outputOf = (a: TensorSpec, b: TensorSpec): TensorSpec => ({
    shape: broadcastOperands(name, [a, b]),
    dtype: result ?? a.dtype,
  });
  return {
    name,
    infer([a, b]) {
      if (a!.dtype !== b!.dtype || !accepts(a!.dtype)) {
        throw new ShapeError(`${name} does not take ${formatSpec(a!)} with ${formatSpec(b!)}: cast one of them`);
      }
      return [outputOf(a!, b!)];
    },
    reference({ inputs: [a, b], outputs: [y] }) {
      broadcastLoop(a!, b!, y!, computeFor(a!.dtype));
    },
    scalar: ([dtype]) => computeFor(dtype!),
    overwrites: ([a, b]) => overwritesElements([a!, b!], outputOf(a!, b!)),
    ...(derivatives && {
      vjp: ({ inputs: [a, b], outputs: [y], cotangents: [dy] }) => {
        const [da, db] = derivatives(a!, b!, y!, dy!);
        return [sumToShape(da, a!.shape), sumToShape(db, b!.shape)];
      },
    }),
    ...(stopsGradient && { stopsGradient }),
  };
}

function broadcastLoop(a: HostTensor, b: HostTensor, y: HostTensor, compute: (a: number, b: number) => number): void {
  const [left, right, to] = [a.data, b.data, y.data];
  if (sameShape(a.shape, b.shape)) {
    for (let i = 0; i < to.length; i++) to[i] = compute(left[i]!, right[i]!);
    return;
  }
  forEachBroadcast(y, [a, b], (i, [ia, ib]) => {
    to[i] = compute(left[ia!]!, right[ib!]!);
  });
}

/** Calls `visit(i, offsets)` for every element i of `result`, with the offset of the element each operand contributes. */
export function forEachBroadcast(
  result: TensorSpec & { readonly data: HostArray },
  operands: readonly TensorSpec[],
  visit: (index: number, offsets: readonly number[]) => void,
): void {
  const { shape } = result;
  const strides = operands.map((operand) => broadcastStrides(operand.shape, shape));
  const offsets = operands.map(() => 0);
  const index = shape.map(() => 0);
  for (let i = 0; i < result.data.length; i++) {
    visit(i, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      const wraps = index[axis] === shape[axis];
      for (let operand = 0; operand < operands.length; operand++) {
        const stride = strides[operand]![axis]!;
        offsets[operand]! += wraps ? stride * (1 - shape[axis]!) : stride;
      }
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}
