/**
 * From a lazy graph to a program for one device.
 *
 * Nodes are emitted in topological order. What the device refuses is emitted as its decomposition; what equals an earlier
 * application becomes that one (common subexpressions, found by key); what `simplify` knows better is replaced. Barriers are
 * never merged: that is what they are for.
 */
import { decoderOf, encoderOf } from '../dtype.js';
import type { Device } from '../device.js';
import { ShapeError, TensorStateError } from '../errors.js';
import { attributesKey } from '../graph/key.js';
import { topologicalOrder } from '../graph/visit.js';
import { type Op, fullOp } from '../op.js';
import type { GraphNode, Tensor, TensorSpec } from '../tensor.js';
import { sameShape, formatShape } from '../shape.js';
import { type SliceAttributes, sliceOp } from '../ops/slice.js';
import { concatOp } from '../ops/concat.js';
import { joinBoundaries, rangesOf, shardBoundaries } from './shards.js';
import { type PlanStep, type Program, withoutDeadSteps } from './program.js';
import { type KnownValue, simplify, stored } from './simplify.js';

export interface LowerRequest {
  readonly outputs: readonly Tensor[];
  /** Leaves in the order the executable will receive them: placeholders and materialised tensors. */
  readonly inputs: readonly Tensor[];
  readonly device: Pick<Device, 'supports' | 'name' | 'precision' | 'limits'>;
  /** Merge common subexpressions, fold constants and drop what changes nothing; on unless a fault is being looked for. */
  readonly simplifies?: boolean;
}

/** Value `value` is rows of an input that is too large for one binding. */
export interface Shard {
  readonly value: number;
  /** Position in `inputs`. */
  readonly input: number;
  readonly shard: number;
}

export interface LoweredProgram extends Program {
  readonly shards: readonly Shard[];
  /** For each step the number of the node it comes from: nodes built earlier have smaller numbers. */
  readonly created: readonly number[];
}

/** Ops whose applications stay apart even when they look the same. */
const neverMerged = new Set(['barrier']);

export function lowerGraph({ outputs, inputs, device, simplifies = true }: LowerRequest): LoweredProgram {
  const wide = device.precision === 'f64';
  const values: KnownValue[] = [];
  const steps: PlanStep[] = [];
  const createdOf = new Map<PlanStep, number>();
  const numbers = new Map<Tensor, KnownValue>();
  const merged = new Map<string, readonly KnownValue[]>();
  const shards: Shard[] = [];
  /** The pieces of values that are held in shards, and where they are cut. */
  const pieces = new Map<KnownValue, { readonly boundaries: readonly number[]; readonly parts: readonly KnownValue[] }>();
  let current: GraphNode | undefined;

  const newValue = ({ shape, dtype }: TensorSpec, rest: Omit<KnownValue, 'value' | keyof TensorSpec> = {}): KnownValue => {
    const value: KnownValue = { value: values.length, shape, dtype, ...rest };
    values.push(value);
    return value;
  };
  const valueOf = (tensor: Tensor): KnownValue => {
    const known = numbers.get(tensor);
    if (known === undefined)
      throw new TensorStateError(
        `the graph reads ${tensor.toString()}, which is no argument of the function being compiled`,
      );
    return known;
  };

  /** The outputs of one application that the device computes. */
  const emit = (op: Op, from: readonly KnownValue[], attributes: object, specs: readonly TensorSpec[]): readonly KnownValue[] => {
    if (simplifies && specs.length === 1) {
      const better = simplify(op, from, specs[0]!, attributes, wide);
      if (better?.kind === 'same') return [better.value];
      if (better?.kind === 'constant') {
        const value = decoderOf(specs[0]!.dtype)(better.value);
        return emit(fullOp as Op, [], { shape: specs[0]!.shape, dtype: specs[0]!.dtype, value }, specs);
      }
      if (better) return emit(better.op, better.inputs, better.attributes, specs);
    }
    const recomputed = current?.recomputed ?? false;
    const key = simplifies && !neverMerged.has(op.name) ? `${op.name}(${from.map(({ value }) => value).join()})${attributesKey(op, attributes)}` : undefined;
    const before = key === undefined ? undefined : merged.get(key);
    if (before) return before;
    const results = specs.map((spec) => newValue(spec, specs.length === 1 ? known(op, from, attributes, spec) : {}));
    const step: PlanStep = {
      op,
      inputs: from.map(({ value }) => value),
      outputs: results.map(({ value }) => value),
      attributes,
      ...(recomputed && { recomputed }),
      ...(current?.origin !== undefined && { origin: current.origin }),
    };
    steps.push(step);
    createdOf.set(step, current?.created ?? 0);
    if (key !== undefined) merged.set(key, results);
    return results;
  };
  const known = (op: Op, from: readonly KnownValue[], attributes: object, spec: TensorSpec): Omit<KnownValue, 'value' | keyof TensorSpec> => {
    if (op !== (fullOp as Op)) return { from: { op, inputs: from, attributes } };
    const { value } = attributes as { readonly value: number };
    return { constant: stored(encoderOf(spec.dtype)(value), spec.dtype, wide) };
  };

  const setAll = (tensors: readonly Tensor[], results: readonly KnownValue[]): void => {
    tensors.forEach((tensor, i) => {
      if (!numbers.has(tensor)) numbers.set(tensor, results[i]!);
    });
  };
  const placeAll = (results: readonly Tensor[], as: readonly Tensor[]): void => {
    for (const inner of topologicalOrder(results, (tensor) => numbers.has(tensor))) place(inner);
    setAll(as, results.map(valueOf));
  };

  /** An application to a value in shards: rows are picked from their shards, other ops read it in parts. */
  const placeOnShards = ({ op, inputs: from, attributes, outputs: results }: GraphNode, input: number): void => {
    const whole = valueOf(from[input]!);
    const { boundaries, parts } = pieces.get(whole)!;
    const [result] = results as readonly [Tensor];
    if (op === (sliceOp as Op)) return setAll(results, [rowsOf(whole, attributes as SliceAttributes, result)]);
    if (op.view && input === 0 && sameShape(whole.shape, result.shape)) {
      const others = from.slice(1).map(valueOf);
      const value = newValue(result);
      pieces.set(value, { boundaries, parts: parts.map((part) => emit(op, [part, ...others], attributes, [part])[0]!) });
      return setAll(results, [value]);
    }
    if (!op.splitRows)
      throw new ShapeError(
        `${op.name} reads ${describe(whole)}, which is larger than one binding of ${device.name} (${device.limits!.bindingBytes} bytes), and cannot read it in parts: slice it along axis 0, or use a device with larger bindings`,
      );
    const cuts = from.flatMap((tensor) => {
      const other = pieces.get(valueOf(tensor));
      return other && tensor.shape[0] === whole.shape[0] ? [other.boundaries] : [];
    });
    placeAll(op.splitRows(from, attributes, input, joinBoundaries(cuts)), results);
  };

  const rowsOf = (whole: KnownValue, { start, end }: SliceAttributes, result: TensorSpec): KnownValue => {
    const { boundaries, parts } = pieces.get(whole)!;
    const picked = rangesOf(boundaries, start[0]!, end[0]!).map((range) => {
      const spec = { shape: [range.to - range.from, ...result.shape.slice(1)], dtype: result.dtype };
      const box = { start: [range.from, ...start.slice(1)], end: [range.to, ...end.slice(1)] };
      return emit(sliceOp as Op, [parts[range.shard]!], box, [spec])[0]!;
    });
    return emit(concatOp as Op, picked, { axis: 0 }, [result])[0]!;
  };

  const place = (node: GraphNode): void => {
    if (node.outputs.every((output) => numbers.has(output))) return;
    const { op, attributes } = node;
    const large = pieces.size === 0 ? -1 : node.inputs.findIndex((input) => pieces.has(valueOf(input)));
    if (large >= 0 && (op.decompose === undefined || op.splitRows !== undefined)) return placeOnShards(node, large);
    if (large < 0 && device.supports(op, node.inputs, attributes))
      return setAll(node.outputs, emit(op, node.inputs.map(valueOf), attributes, node.outputs));
    if (!op.decompose)
      throw new ShapeError(`${device.name} has no kernel for ${op.name}, and the op has no decomposition`);
    placeAll(op.decompose(node.inputs, attributes), node.outputs);
  };

  const inputValues = inputs.map((input) => newValue(input));
  // A tensor keeps its first number: the same handle may be passed twice.
  setAll(inputs, inputValues);
  inputValues.forEach((whole, position) => {
    const boundaries = shardBoundaries(whole, device.limits?.bindingBytes);
    if (!boundaries) return;
    const parts = boundaries.slice(1).map((end, shard) => {
      const part = newValue({ shape: [end - boundaries[shard]!, ...whole.shape.slice(1)], dtype: whole.dtype });
      shards.push({ value: part.value, input: position, shard });
      return part;
    });
    pieces.set(whole, { boundaries, parts });
  });
  for (const node of topologicalOrder(outputs)) {
    current = node;
    place(node);
  }
  const program = withoutDeadSteps({
    values: values.map(({ shape, dtype }) => ({ shape, dtype })),
    inputs: inputValues.map(({ value }) => value),
    steps,
    outputs: outputs.map((output) => valueOf(output).value),
  });
  return { ...program, shards, created: program.steps.map((step) => createdOf.get(step)!) };
}

const describe = ({ dtype, shape }: TensorSpec): string => `${dtype}${formatShape(shape)}`;
