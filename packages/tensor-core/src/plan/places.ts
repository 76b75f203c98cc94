/**
 * Where the bytes of every value live during a run: in an input, in a new output, or in the arena.
 *
 * Outputs are written where they will stay. A donated output may be written right over its donor when nothing needs the old
 * bytes any more: nobody reads them later, the writing step itself may overwrite them (`op.overwrites`), and no later step
 * can still fail on the contents of an operand (`op.guard`), so that a rejected run has destroyed nothing. What cannot be
 * written in place is copied at the end of the run.
 */
import type { Device } from '../device.js';
import { type ArenaLayout, type Slot, layOutArena } from './arena.js';
import type { Donation } from './donate.js';
import type { PlanGuard, Shard } from './lower.js';
import type { PlanStep, Program } from './program.js';
import { type Lifetimes, type Storage, byteLengthOf, lifetimesOf } from './storage.js';

export type Place =
  /** Bytes of an input of the plan (or of one shard of it), from `byteOffset` on. */
  | { readonly kind: 'input'; readonly position: number; readonly byteOffset: number; readonly shard?: number }
  /** Bytes of a new root, output `position` of the plan. */
  | { readonly kind: 'output'; readonly position: number; readonly byteOffset: number }
  | { readonly kind: 'arena'; readonly byteOffset: number };

export interface Placement {
  /** For every value that a step reads or writes, or that comes out. */
  readonly places: readonly (Place | undefined)[];
  readonly arena: ArenaLayout;
  /** Outputs whose bytes lie elsewhere when the last step has run: they are copied then, new roots first, donors last. */
  readonly copies: readonly number[];
  /** Guards that look at inputs of the plan only. A device that overwrites donors checks them before anything runs. */
  readonly guards: readonly PlanGuard[];
}

export interface PlacementRequest {
  readonly program: Program;
  readonly storage: readonly Storage[];
  readonly shards: readonly Shard[];
  /** Of ops that are no steps of the program. */
  readonly guards: readonly PlanGuard[];
  readonly donations: readonly Donation[];
  readonly device: Pick<Device, 'canOverwrite'>;
}

export function placeValues({
  program,
  storage,
  shards,
  guards: others,
  donations,
  device,
}: PlacementRequest): Placement {
  const { values, inputs, steps } = program;
  const lifetimes = lifetimesOf(program, storage);
  const places: (Place | undefined)[] = values.map(() => undefined);
  inputs.forEach((value, position) => (places[value] ??= { kind: 'input', position, byteOffset: 0 }));
  for (const { value, input, shard } of shards)
    places[value] = { kind: 'input', position: input, byteOffset: 0, shard };
  const isInput = (value: number): boolean => places[storage[value]!.owner]?.kind === 'input';
  const { early, lastGuard } = guardedSteps(steps, isInput);
  const guards = [...early, ...others.filter((guard) => looksAt(guard, isInput))];

  const copies = placeOutputs({ program, storage, donations, device }, lifetimes, lastGuard, places);
  const arena = placeInArena(program, storage, lifetimes, places, device);
  values.forEach((_, value) => {
    const { owner, byteOffset } = storage[value]!;
    const place = places[owner];
    if (value !== owner && place) places[value] = { ...place, byteOffset: place.byteOffset + byteOffset };
  });
  return { places, arena, copies, guards };
}

/**
 * Gives every output a root of its own, or the bytes of its donor where those may be overwritten.
 *
 * @returns positions of the outputs whose bytes lie elsewhere: what is no value of its own, and what its donor cannot take yet.
 */
function placeOutputs(
  { program, storage, donations, device }: Pick<PlacementRequest, 'program' | 'storage' | 'donations' | 'device'>,
  { born, dies }: Lifetimes,
  lastGuard: number,
  places: (Place | undefined)[],
): number[] {
  const { values, inputs, outputs, steps } = program;
  const donorOf = new Map(donations.map(({ input, output }) => [output, input]));
  const mayTakeOver = (owner: number, donor: number): boolean => {
    const [value, written] = [inputs[donor]!, born[owner]!];
    const isWanted = dies[value]! > written || outputs.some((output) => storage[output]!.owner === value);
    if (isWanted || written < lastGuard) return false;
    return dies[value]! < written || mayOverwrite(steps[written]!, owner, value, program, storage, device);
  };
  return outputs.flatMap((value, position) => {
    const { owner, byteOffset } = storage[value]!;
    const donor = donorOf.get(position);
    const isWhole = byteOffset === 0 && byteLengthOf(values[owner]!) === byteLengthOf(values[value]!);
    if (!isWhole) return [position];
    if (donor === undefined) places[owner] ??= { kind: 'output', position, byteOffset: 0 };
    else if (!places[owner] && mayTakeOver(owner, donor))
      places[owner] = { kind: 'input', position: donor, byteOffset: 0 };
    const place = places[owner];
    const isThere =
      (place?.kind === 'output' && place.position === position) ||
      (place?.kind === 'input' && place.position === donor && place.shard === undefined);
    return isThere ? [] : [position];
  });
}

/** Gives every other owner a slot; an output that may overwrite a dying operand takes over its slot. */
function placeInArena(
  program: Program,
  storage: readonly Storage[],
  { born, dies }: Lifetimes,
  places: (Place | undefined)[],
  device: PlacementRequest['device'],
): ArenaLayout {
  const { values, steps } = program;
  const slots: { byteLength: number; born: number; dies: number }[] = [];
  const slotOf = new Map<number, number>();
  steps.forEach((step, i) => {
    const free = new Set(step.inputs.map((value) => storage[value]!.owner).filter((owner) => dies[owner] === i));
    for (const value of step.outputs) {
      const { owner } = storage[value]!;
      if (slotOf.has(owner) || places[owner]) continue;
      const donor = [...free].find(
        (other) =>
          slotOf.has(other) &&
          byteLengthOf(values[other]!) === byteLengthOf(values[owner]!) &&
          mayOverwrite(step, owner, other, program, storage, device),
      );
      if (donor === undefined) {
        const slot = { byteLength: byteLengthOf(values[owner]!), born: born[owner]!, dies: dies[owner]! };
        slotOf.set(owner, slots.push(slot) - 1);
      } else {
        free.delete(donor);
        slotOf.set(owner, slotOf.get(donor)!);
        slots[slotOf.get(owner)!]!.dies = dies[owner]!;
      }
    }
  });
  const arena = layOutArena(slots as readonly Slot[]);
  for (const [value, slot] of slotOf) places[value] = { kind: 'arena', byteOffset: arena.offsets[slot]! };
  return arena;
}

/** Whether the step may write `output` over the bytes of `owner`: every operand that lies there allows it. */
function mayOverwrite(
  step: PlanStep,
  output: number,
  owner: number,
  { values }: Program,
  storage: readonly Storage[],
  device: PlacementRequest['device'],
): boolean {
  const { op, inputs, outputs, attributes } = step;
  if (!op.overwrites || !device.canOverwrite?.(op)) return false;
  const pairs = op.overwrites(
    inputs.map((value) => values[value]!),
    attributes,
  );
  return inputs.every((value, input) => {
    if (storage[value]!.owner !== owner) return true;
    const isWhole = storage[value]!.byteOffset === 0 && byteLengthOf(values[value]!) === byteLengthOf(values[owner]!);
    return isWhole && pairs.some((pair) => pair.input === input && pair.output === outputs.indexOf(output));
  });
}

/** The guards of steps that can be checked before the run, and the last step that may fail during it. */
function guardedSteps(
  steps: readonly PlanStep[],
  isInput: (value: number) => boolean,
): { readonly early: readonly PlanGuard[]; readonly lastGuard: number } {
  const early: PlanGuard[] = [];
  let lastGuard = -1;
  steps.forEach((given, step) => {
    if (!given.op.guard) return;
    if (looksAt(given, isInput)) early.push({ ...given, step });
    else lastGuard = step;
  });
  return { early, lastGuard };
}

/** Whether all operands that a guard looks at satisfy a condition. */
const looksAt = ({ op, inputs }: Pick<PlanGuard, 'op' | 'inputs'>, condition: (value: number) => boolean): boolean =>
  op.guard!.operands.every((operand) => condition(inputs[operand]!));
