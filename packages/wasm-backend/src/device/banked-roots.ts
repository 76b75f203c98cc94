/**
 * Runs of a plan with roots in banks, where kernels cannot reach them.
 *
 * An output with a root of its own is computed in the working range and stored in its bank after the last step. What a step reads
 * of inputs is fetched into the working range right before it, unless the step reads banks itself, chunk by chunk; what it
 * writes over a donor is stored right after it.
 */
import { type Plan, byteLengthOf } from '@mindseye/tensor-core';
import { isBanked } from './banks.js';
import type { DeviceMemory, WasmBuffer } from './device-memory.js';
import { heapAlignment } from './heap.js';
import type { Step } from './step.js';

type Range = Pick<WasmBuffer, 'pointer' | 'byteLength'>;

export interface BankedRoots {
  /** Working bytes that the run needs for them. */
  readonly byteLength: number;
  /** Where outputs are written: their roots, or places from `working` on. */
  place(working: number): readonly Range[];
  /** Runs a step with what it reads at main addresses. */
  runStep(step: number, pointers: number[], run: () => void): void;
  /** Moves the outputs to their banks. */
  store(): void;
}

const align = (bytes: number): number => Math.ceil(bytes / heapAlignment) * heapAlignment;

/** Undefined where all roots of a run lie in the main memory. */
export function bankedRoots(
  plan: Plan,
  steps: readonly Step[],
  inputs: readonly WasmBuffer[],
  results: readonly WasmBuffer[],
  memory: DeviceMemory,
): BankedRoots | undefined {
  if (![...inputs, ...results].some(({ pointer }) => isBanked(pointer))) return undefined;
  const isInBank = (value: number): boolean => {
    const place = plan.places[value];
    return place?.kind === 'input' && isBanked(inputs[place.position]!.pointer);
  };
  const moves = plan.steps.map(({ inputs: read, outputs: written }, i) => ({
    fetched: [...new Set(read)].filter((value) => isInBank(value) && !steps[i]!.readsBanks?.has(value)),
    stored: written.filter(isInBank),
  }));
  const lengthOf = (value: number): number => byteLengthOf(plan.values[value]!);
  const inputBytes = moves.reduce((most, { fetched, stored }) => {
    return Math.max(
      most,
      [...fetched, ...stored].reduce((total, value) => total + align(lengthOf(value)), 0),
    );
  }, 0);
  const donated = new Set(plan.donations.map(({ output }) => output));
  const moved = results.flatMap(({ pointer }, position) =>
    isBanked(pointer) && !donated.has(position) ? [position] : [],
  );
  const outputBytes = moved.reduce((total, position) => total + align(results[position]!.byteLength), 0);
  let fetchInto = 0;
  let written: Range[] = [];
  return {
    byteLength: inputBytes + outputBytes,
    place(working) {
      fetchInto = working;
      let next = working + inputBytes;
      written = [...results];
      for (const position of moved) {
        const { byteLength } = results[position]!;
        written[position] = { pointer: next, byteLength };
        next += align(byteLength);
      }
      return written;
    },
    runStep(step, pointers, run) {
      const { fetched, stored } = moves[step]!;
      // The longest first: shorter ones at the same address are views of its beginning.
      const values = [...fetched, ...stored].toSorted((a, b) => lengthOf(b) - lengthOf(a));
      if (values.length === 0) return run();
      const banked = values.map((value) => pointers[value]!);
      // A result that takes over its operand's place does so here too.
      const places = new Map<number, number>();
      let next = fetchInto;
      values.forEach((value, i) => {
        const known = places.get(banked[i]!);
        if (known === undefined) {
          memory.transfer(next, banked[i]!, lengthOf(value));
          places.set(banked[i]!, next);
        }
        pointers[value] = known ?? next;
        next += align(lengthOf(value));
      });
      run();
      for (const value of stored) {
        const address = banked[values.indexOf(value)]!;
        memory.transfer(address, pointers[value]!, lengthOf(value));
      }
      values.forEach((value, i) => (pointers[value] = banked[i]!));
    },
    store() {
      for (const position of moved) {
        const { pointer, byteLength } = results[position]!;
        memory.transfer(pointer, written[position]!.pointer, byteLength);
      }
    },
  };
}
