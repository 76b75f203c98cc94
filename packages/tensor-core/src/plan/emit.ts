/**
 * Emitting the steps of a program one application at a time.
 *
 * An application that equals an earlier one becomes that one (common subexpressions, found by key), and what `simplify`
 * knows better is replaced. Barriers are never merged: that is what they are for.
 */
import { decoderOf, encoderOf } from '../dtype.js';
import { attributesKey } from '../graph/key.js';
import { type Op, fullOp } from '../op.js';
import type { GraphNode, TensorSpec } from '../tensor.js';
import type { PlanStep } from './program.js';
import { type KnownValue, simplify, stored } from './simplify.js';

export interface EmitterOptions {
  /** Merge common subexpressions, fold constants and drop what changes nothing. */
  readonly simplifies: boolean;
  /** f32 constants are carried in 64 bits. */
  readonly wide: boolean;
}

type Knowledge = Omit<KnownValue, 'value' | keyof TensorSpec>;

const neverMerged = new Set(['barrier']);

export class Emitter {
  readonly values: KnownValue[] = [];
  readonly steps: PlanStep[] = [];
  /** When the node behind each step was built. */
  readonly created: Map<PlanStep, number> = new Map();
  readonly #options: EmitterOptions;
  readonly #merged = new Map<string, readonly KnownValue[]>();
  #node: GraphNode | undefined;

  constructor(options: EmitterOptions) {
    this.#options = options;
  }

  /** The node that the next applications come from. */
  set node(node: GraphNode) {
    this.#node = node;
  }

  newValue({ shape, dtype }: TensorSpec, knowledge: Knowledge = {}): KnownValue {
    const value: KnownValue = { value: this.values.length, shape, dtype, ...knowledge };
    this.values.push(value);
    return value;
  }

  /** The outputs of one application that the device computes. */
  emit(op: Op, inputs: readonly KnownValue[], attributes: object, specs: readonly TensorSpec[]): readonly KnownValue[] {
    const { simplifies, wide } = this.#options;
    const [spec] = specs;
    const better = simplifies && specs.length === 1 ? simplify(op, inputs, spec!, attributes, wide) : undefined;
    switch (better?.kind) {
      case 'same':
        return [better.value];
      case 'constant': {
        const value = decoderOf(spec!.dtype)(better.value);
        return this.emit(fullOp as Op, [], { shape: spec!.shape, dtype: spec!.dtype, value }, specs);
      }
      case 'apply':
        return this.emit(better.op, better.inputs, better.attributes, specs);
      case undefined:
        return this.#merge(op, inputs, attributes, specs);
    }
  }

  #merge(
    op: Op,
    inputs: readonly KnownValue[],
    attributes: object,
    specs: readonly TensorSpec[],
  ): readonly KnownValue[] {
    if (!this.#options.simplifies || neverMerged.has(op.name)) return this.#append(op, inputs, attributes, specs);
    const key = `${op.name}(${inputs.map(({ value }) => value).join()})${attributesKey(op, attributes)}`;
    const known = this.#merged.get(key);
    if (known) return known;
    const results = this.#append(op, inputs, attributes, specs);
    this.#merged.set(key, results);
    return results;
  }

  #append(
    op: Op,
    inputs: readonly KnownValue[],
    attributes: object,
    specs: readonly TensorSpec[],
  ): readonly KnownValue[] {
    const knowledge = specs.length === 1 ? this.#knowledge(op, inputs, attributes, specs[0]!) : {};
    const results = specs.map((spec) => this.newValue(spec, knowledge));
    const { recomputed, origin, created = 0 } = this.#node ?? {};
    const step: PlanStep = {
      op,
      inputs: inputs.map(({ value }) => value),
      outputs: results.map(({ value }) => value),
      attributes,
      ...(recomputed && { recomputed }),
      ...(origin !== undefined && { origin }),
    };
    this.steps.push(step);
    this.created.set(step, created);
    return results;
  }

  #knowledge(op: Op, inputs: readonly KnownValue[], attributes: object, { dtype }: TensorSpec): Knowledge {
    if (op !== (fullOp as Op)) return { from: { op, inputs, attributes } };
    const { value } = attributes as { readonly value: number };
    return { constant: stored(encoderOf(dtype)(value), dtype, this.#options.wide) };
  }
}
