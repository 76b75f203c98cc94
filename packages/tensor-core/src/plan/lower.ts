/**
 * From a lazy graph to a program for one device.
 *
 * Nodes are emitted in topological order. What the device refuses is emitted as its decomposition. An input that is too
 * large for one binding of the device is a row of shards: row slices are taken from them, and other ops read it in parts.
 */
import type { Device } from '../device.js';
import { ShapeError, TensorStateError } from '../errors.js';
import { specKey } from '../graph/key.js';
import { topologicalOrder } from '../graph/visit.js';
import type { Op } from '../op.js';
import { concatOp } from '../ops/concat.js';
import { type SliceAttributes, sliceOp } from '../ops/slice.js';
import { sameShape } from '../shape.js';
import type { GraphNode, Tensor, TensorSpec } from '../tensor.js';
import { Emitter } from './emit.js';
import { type Program, withoutDeadSteps } from './program.js';
import { joinBoundaries, rangesOf, shardBoundaries } from './shards.js';
import type { KnownValue } from './simplify.js';

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

/** What the contents of some operands must satisfy, checked before a run where they are inputs of the plan. */
export interface PlanGuard {
  readonly op: Op;
  readonly inputs: readonly number[];
  readonly attributes: object;
  /** The step that would check it during the run; undefined for an op that runs in parts which do not check. */
  readonly step?: number;
  /** The source line that built the node, where origins are tracked. */
  readonly origin?: string;
}

export interface LoweredProgram extends Program {
  /** Guards of ops that run as their decompositions or in parts. */
  readonly guards: readonly PlanGuard[];
  readonly shards: readonly Shard[];
  /** For each step the number of the node it comes from: nodes built earlier have smaller numbers. */
  readonly created: readonly number[];
}

/** A value in pieces of whole rows, cut at `boundaries`. */
interface Pieces {
  readonly boundaries: readonly number[];
  readonly parts: readonly KnownValue[];
}

export function lowerGraph(request: LowerRequest): LoweredProgram {
  const { outputs, inputs, device, simplifies = true } = request;
  const emitter = new Emitter({ simplifies, wide: device.precision === 'f64' });
  const lowering = new Lowering(emitter, device);
  const given = inputs.map((input) => emitter.newValue(input));
  const shards = given.flatMap((whole, input) => lowering.placeInput(inputs[input]!, whole, input));
  for (const node of topologicalOrder(outputs)) {
    emitter.node = node;
    lowering.place(node);
  }
  const program = withoutDeadSteps({
    values: emitter.values.map(({ shape, dtype }) => ({ shape, dtype })),
    inputs: given.map(({ value }) => value),
    steps: emitter.steps,
    outputs: outputs.map((output) => lowering.valueOf(output).value),
  });
  return {
    ...program,
    shards,
    guards: lowering.guards,
    created: program.steps.map((step) => emitter.created.get(step)!),
  };
}

class Lowering {
  readonly guards: PlanGuard[] = [];
  readonly #emitter: Emitter;
  readonly #device: LowerRequest['device'];
  readonly #values = new Map<Tensor, KnownValue>();
  readonly #pieces = new Map<KnownValue, Pieces>();

  constructor(emitter: Emitter, device: LowerRequest['device']) {
    this.#emitter = emitter;
    this.#device = device;
  }

  valueOf(tensor: Tensor): KnownValue {
    const value = this.#values.get(tensor);
    if (value === undefined)
      throw new TensorStateError(
        `the graph reads ${tensor.toString()}, which is no argument of the function being compiled`,
      );
    return value;
  }

  /** Registers an input, in shards where it is too large for one binding. A handle that is passed twice keeps its first value. */
  placeInput(tensor: Tensor, whole: KnownValue, input: number): Shard[] {
    this.#setAll([tensor], [whole]);
    const boundaries = shardBoundaries(whole, this.#device.limits?.bindingBytes);
    if (!boundaries) return [];
    const parts = boundaries
      .slice(1)
      .map((end, i) =>
        this.#emitter.newValue({ shape: [end - boundaries[i]!, ...whole.shape.slice(1)], dtype: whole.dtype }),
      );
    this.#pieces.set(whole, { boundaries, parts });
    return parts.map(({ value }, shard) => ({ value, input, shard }));
  }

  place(node: GraphNode): void {
    const { op, inputs, attributes, outputs } = node;
    if (outputs.every((output) => this.#values.has(output))) return;
    const large = this.#pieces.size === 0 ? -1 : inputs.findIndex((input) => this.#pieces.has(this.valueOf(input)));
    if (large >= 0) {
      this.#placeOnPieces(node, large);
    } else if (this.#device.supports(op, inputs, attributes)) {
      const operands = inputs.map((input) => this.valueOf(input));
      this.#setAll(outputs, this.#emitter.emit(op, operands, attributes, outputs));
    } else {
      this.#decompose(node);
    }
  }

  #setAll(tensors: readonly Tensor[], values: readonly KnownValue[]): void {
    tensors.forEach((tensor, i) => {
      if (!this.#values.has(tensor)) this.#values.set(tensor, values[i]!);
    });
  }

  #decompose(node: GraphNode): void {
    const { op, inputs, attributes, outputs } = node;
    if (!op.decompose)
      throw new ShapeError(`${this.#device.name} has no kernel for ${op.name}, and the op has no decomposition`);
    this.#keepGuard(node);
    this.#placeAs(outputs, op.decompose(inputs, attributes));
  }

  #keepGuard({ op, inputs, attributes, origin }: GraphNode): void {
    if (!op.guard) return;
    const values = inputs.map((input) => this.valueOf(input).value);
    this.guards.push({ op, inputs: values, attributes, ...(origin !== undefined && { origin }) });
  }

  /** Places the graph of `results` and lets the tensors `as` stand for them. */
  #placeAs(as: readonly Tensor[], results: readonly Tensor[]): void {
    for (const inner of topologicalOrder(results, (tensor) => this.#values.has(tensor))) this.place(inner);
    this.#setAll(
      as,
      results.map((result) => this.valueOf(result)),
    );
  }

  /** An application to a value in pieces: rows come from their pieces, renaming keeps them, other ops read it in parts. */
  #placeOnPieces(node: GraphNode, input: number): void {
    const { op, inputs, attributes, outputs } = node;
    const whole = this.valueOf(inputs[input]!);
    const [result] = outputs as readonly [Tensor];
    if (op === (sliceOp as Op)) {
      this.#setAll(outputs, [this.#rows(whole, attributes as SliceAttributes, result)]);
    } else if (op.view && input === 0 && sameShape(whole.shape, result.shape)) {
      this.#setAll(outputs, [this.#renamed(node)]);
    } else if (op.splitRows) {
      const cuts = inputs.flatMap((tensor) => {
        const pieces = this.#pieces.get(this.valueOf(tensor));
        return pieces && tensor.shape[0] === whole.shape[0] ? [pieces.boundaries] : [];
      });
      this.#keepGuard(node);
      this.#placeAs(outputs, op.splitRows(inputs, attributes, input, joinBoundaries(cuts)));
    } else if (op.decompose) {
      this.#decompose(node);
    } else {
      const { name, limits } = this.#device;
      throw new ShapeError(
        `${op.name} reads ${specKey(whole)}, which is larger than one binding of ${name} (${limits!.bindingBytes} bytes), and cannot read it in parts: slice it along axis 0, or use a device with larger bindings`,
      );
    }
  }

  /** A view of all rows: the same view of each piece. */
  #renamed({ op, inputs, attributes, outputs }: GraphNode): KnownValue {
    const { boundaries, parts } = this.#pieces.get(this.valueOf(inputs[0]!))!;
    const others = inputs.slice(1).map((input) => this.valueOf(input));
    const value = this.#emitter.newValue(outputs[0]!);
    const renamed = parts.map((part) => this.#emitter.emit(op, [part, ...others], attributes, [part])[0]!);
    this.#pieces.set(value, { boundaries, parts: renamed });
    return value;
  }

  #rows(whole: KnownValue, { start, end }: SliceAttributes, result: TensorSpec): KnownValue {
    const { boundaries, parts } = this.#pieces.get(whole)!;
    const picked = rangesOf(boundaries, start[0]!, end[0]!).map((range) => {
      const spec = { shape: [range.to - range.from, ...result.shape.slice(1)], dtype: result.dtype };
      const box = { start: [range.from, ...start.slice(1)], end: [range.to, ...end.slice(1)] };
      return this.#emitter.emit(sliceOp as Op, [parts[range.shard]!], box, [spec])[0]!;
    });
    return picked.length === 1 ? picked[0]! : this.#emitter.emit(concatOp as Op, picked, { axis: 0 }, [result])[0]!;
  }
}
