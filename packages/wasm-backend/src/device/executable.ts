/**
 * A plan, ready to run on the bytes of a device.
 *
 * Before the first step the outputs have their roots, the working range is large enough for the arena and for the scratch of
 * every step, and the guards that look at inputs have passed. So a step can fail only on what another step computed, and the
 * plan overwrites donors after the last step that can: a rejected run has changed no input.
 */
import {
  type DeviceBuffer,
  type Executable,
  type HostArray,
  type Place,
  type Plan,
  attributed,
  checkGuard,
  byteLengthOf,
} from '@mindseye/tensor-core';
import { registerCleaner } from '../threads/environment.js';
import { isBanked } from './banks.js';
import type { DeviceMemory, WasmBuffer } from './device-memory.js';
import { heapAlignment } from './heap.js';
import { poisonOf } from './poison.js';
import { bankedRoots } from './banked-roots.js';
import { keptForms } from './kept-steps.js';
import { type StepContext, type StepMachine, prepareSteps } from './step.js';

export interface Machine extends StepMachine {
  readonly memory: DeviceMemory;
  /** Overwrite memory that holds no value, so that reading it shows. */
  readonly poison: boolean;
}

const align = (bytes: number): number => Math.ceil(bytes / heapAlignment) * heapAlignment;

export function lowerPlan(plan: Plan, machine: Machine): Executable {
  const { kernels, memory, poison } = machine;
  const steps = prepareSteps(plan, machine);
  const scratchAt = align(plan.arena.byteLength);
  const scratchBytes = steps.reduce((most, step) => Math.max(most, step.scratchBytes), 0);
  const workingBytes = scratchAt + align(scratchBytes);
  memory.reserve(workingBytes);

  const donorOf = new Map(plan.donations.map(({ input, output }) => [output, input]));
  const fresh = plan.outputs.flatMap((_, position) => (donorOf.has(position) ? [] : [position]));
  const freshBytes = fresh.map((position) => byteLengthOf(plan.values[plan.outputs[position]!]!));
  const checked = new Set(plan.guards.map(({ step }) => step));
  /** What a step checks right before it runs, because it looks at what other steps compute. */
  const late = plan.steps.map((step, i) => (step.op.guard && !checked.has(i) ? step : undefined));
  const traps = poison ? poisonOf(plan, kernels.memory) : undefined;
  const cleanRegisters = kernels.tier === 'revectorized' ? registerCleaner() : undefined;
  const forms = keptForms(plan, steps, memory);
  /** Address of every value; runs do not overlap, so one list serves all. */
  const pointers = plan.places.map(() => 0);

  const run = (inputs: readonly WasmBuffer[], results: readonly WasmBuffer[]): void => {
    const banked = bankedRoots(plan, steps, inputs, results, memory);
    const working = memory.reserve(workingBytes + (banked?.byteLength ?? 0));
    const written = banked?.place(working + workingBytes) ?? results;
    plan.places.forEach((place, value) => {
      if (place) pointers[value] = baseOf(place, working, inputs, written) + place.byteOffset;
    });
    const context: StepContext = { pointers, scratch: working + scratchAt, memo: new Map(), kept: undefined };
    const read = (value: number): HostArray => memory.view(pointers[value]!, plan.values[value]!);
    for (const guard of plan.guards) checkGuard(plan, guard, read);
    traps?.beforeRun(
      working,
      fresh.map((position) => written[position]!),
    );
    const runStep = (i: number): void => {
      context.kept = forms?.of(i, inputs);
      if (banked) banked.runStep(i, pointers, () => steps[i]!.run(context));
      else steps[i]!.run(context);
      cleanRegisters?.();
    };
    steps.forEach((_, i) => {
      if (late[i]) checkGuard(plan, late[i], read);
      traps?.beforeStep(context.scratch, scratchBytes);
      const { origin } = plan.steps[i]!;
      if (origin === undefined) runStep(i);
      else attributed(origin, () => runStep(i));
      traps?.afterStep(i, working);
    });
    copyOutputs(written);
    banked?.store();
  };

  const copyOutputs = (results: readonly Pick<WasmBuffer, 'pointer' | 'byteLength'>[]): void => {
    if (plan.copies.length === 0) return;
    const bytes = new Uint8Array(kernels.memory.buffer);
    for (const position of plan.copies) {
      const [from, { pointer, byteLength }] = [pointers[plan.outputs[position]!]!, results[position]!];
      if (isBanked(from)) memory.transfer(pointer, from, byteLength);
      else if (from !== pointer) bytes.copyWithin(pointer, from, from + byteLength);
    }
  };

  /** The outputs after one run; nothing is kept of a run that fails. */
  const start = (inputs: readonly WasmBuffer[]): readonly WasmBuffer[] => {
    const roots = memory.allocateAll(freshBytes);
    const results: WasmBuffer[] = [];
    fresh.forEach((position, i) => (results[position] = roots[i]!));
    for (const [position, input] of donorOf) {
      results[position] = inputs[input]!;
      memory.kept.drop(inputs[input]!);
    }
    memory.kept.beginRun();
    try {
      run(inputs, results);
    } catch (error) {
      memory.kept.endRun(false);
      for (const root of roots) memory.release(root);
      throw error;
    }
    memory.kept.endRun(true);
    return results;
  };

  return {
    workingBytes,
    run(given: readonly DeviceBuffer[]) {
      try {
        return Promise.resolve(start(given as readonly WasmBuffer[]));
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
  };
}

/** Address of what a place is counted from. */
function baseOf(
  place: Place,
  working: number,
  inputs: readonly WasmBuffer[],
  results: readonly Pick<WasmBuffer, 'pointer'>[],
): number {
  if (place.kind === 'arena') return working;
  return (place.kind === 'input' ? inputs : results)[place.position]!.pointer;
}
