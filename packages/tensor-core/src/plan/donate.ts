/** Which output takes over the buffer of which donated input. */
import { specKey } from '../graph/key.js';
import type { Program } from './program.js';
import type { Storage } from './storage.js';

export interface Donation {
  /** Position in `plan.inputs` of the buffer given up. */
  readonly input: number;
  /** Position in `plan.outputs` of the value that takes it over. */
  readonly output: number;
}

/**
 * Each donated input goes to one output of the same spec: to itself where its bytes come out unchanged, else to the first
 * output in order that has no donor yet. So a buffer whose old bytes still have to come out somewhere is never a donor for
 * another value, and a state that goes in and comes out in the same order pairs up leaf by leaf.
 */
export function pairDonations(
  { values, inputs, outputs }: Program,
  storage: readonly Storage[],
  isDonated: (input: number) => boolean,
): Donation[] {
  const specOf = (value: number): string => specKey(values[value]!);
  const donors = inputs.flatMap((_, input) => (isDonated(input) ? [input] : []));
  const paired = new Set<number>();
  const pairs: Donation[] = [];
  const pair = (input: number, output: number): void => {
    paired.add(input);
    pairs.push({ input, output });
  };
  const taken = new Set<number>();
  for (const input of donors) {
    const value = inputs[input]!;
    const output = outputs.findIndex(
      (candidate) => storage[candidate]!.owner === value && specOf(candidate) === specOf(value),
    );
    if (output < 0) continue;
    taken.add(output);
    pair(input, output);
  }
  const read = new Set(outputs.map((value) => storage[value]!.owner));
  const waiting = new Map<string, number[]>();
  outputs.forEach((value, output) => {
    // A value that comes out twice takes one donor; its second root is a copy.
    if (taken.has(output) || outputs.indexOf(value) !== output) return;
    waiting.set(specOf(value), [...(waiting.get(specOf(value)) ?? []), output]);
  });
  for (const input of donors) {
    const output =
      paired.has(input) || read.has(inputs[input]!) ? undefined : waiting.get(specOf(inputs[input]!))?.shift();
    if (output !== undefined) pair(input, output);
  }
  return pairs.sort((a, b) => a.input - b.input);
}
