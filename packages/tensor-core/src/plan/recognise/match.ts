/**
 * Matching a pattern against a program, backwards from one value.
 *
 * A pattern is itself a small program. Its inputs match any value of their spec (the same one wherever they stand), the
 * marked constant matches any constant and remembers it, and every other step matches a step of the same op, attributes and
 * operands; commutative ops also with their operands swapped.
 */
import { attributesKey, specKey } from '../../graph/key.js';
import type { PlanStep, Program } from '../program.js';
import type { Surroundings } from './patterns.js';

export interface Pattern extends Program {
  /** The value of `full` steps that stand for a number to be found. */
  readonly marked: number;
}

export interface Match {
  /** Value of the program for each input of the pattern. */
  readonly operands: readonly number[];
  /** The number found at the marked constant. */
  readonly captured?: number;
  /** The steps that the pattern covers, the root among them. */
  readonly covered: ReadonlySet<PlanStep>;
}

const commutative = new Set(['add', 'mul', 'maximum', 'minimum', 'equal', 'logicalAnd', 'logicalOr']);

interface State {
  readonly bound: ReadonlyMap<number, number>;
  readonly captured: number | undefined;
  readonly covered: ReadonlySet<PlanStep>;
}

/** The way in which `value` is the first output of the pattern, if it is. */
export function matchPattern(pattern: Pattern, value: number, around: Surroundings): Match | undefined {
  const writers = new Map(pattern.steps.flatMap((step) => step.outputs.map((output) => [output, step] as const)));
  const inputs = new Set(pattern.inputs);

  const match = (wanted: number, given: number, state: State): State | undefined => {
    const bound = state.bound.get(wanted);
    if (bound !== undefined) return bound === given ? state : undefined;
    if (specKey(pattern.values[wanted]!) !== specKey(around.values[given]!)) return undefined;
    const remember = (next: State): State => ({ ...next, bound: new Map(next.bound).set(wanted, given) });
    if (inputs.has(wanted)) return remember(state);
    const [theirs, ours] = [writers.get(wanted)!, around.writerOf(given)];
    if (!ours || ours.op.name !== theirs.op.name || ours.outputs.indexOf(given) !== theirs.outputs.indexOf(wanted))
      return undefined;
    if (isMarked(theirs, pattern.marked)) {
      const { value: found } = ours.attributes as { readonly value: number };
      return state.captured === undefined || state.captured === found
        ? remember({ ...state, captured: found })
        : undefined;
    }
    if (attributesKey(theirs.op, theirs.attributes) !== attributesKey(ours.op, ours.attributes)) return undefined;
    const covered = { ...state, covered: new Set(state.covered).add(ours) };
    const orders = commutative.has(ours.op.name) ? [ours.inputs, [...ours.inputs].reverse()] : [ours.inputs];
    for (const order of orders) {
      let next: State | undefined = covered;
      for (let i = 0; next && i < order.length; i++) next = match(theirs.inputs[i]!, order[i]!, next);
      if (next) return remember(next);
    }
    return undefined;
  };

  const state = match(pattern.outputs[0]!, value, { bound: new Map(), captured: undefined, covered: new Set() });
  if (!state) return undefined;
  const operands = pattern.inputs.map((input) => state.bound.get(input));
  if (operands.some((operand) => operand === undefined)) return undefined;
  return {
    operands: operands as number[],
    covered: state.covered,
    ...(state.captured !== undefined && { captured: state.captured }),
  };
}

const isMarked = ({ op, attributes }: PlanStep, marked: number): boolean =>
  op.name === 'full' && (attributes as { readonly value: number }).value === marked;
