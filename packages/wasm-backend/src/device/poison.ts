/**
 * Bytes 255 wherever a run must not read: NaN as f32, an index that no table has as i32.
 *
 * Before a run the arena and new outputs are filled, before a step the scratch, and after a value's last use its bytes in
 * the arena, unless a result of the same step has taken them over. For tests; a run costs several times what it does without.
 */
import { type Plan, byteSizeOf, sizeOf } from '@mindseye/tensor-core';
import type { WasmBuffer } from './device-memory.js';

const poisonByte = 0xff;

export interface Poison {
  beforeRun(working: number, outputs: readonly WasmBuffer[]): void;
  beforeStep(scratch: number, byteLength: number): void;
  afterStep(step: number, working: number): void;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The bytes of a value in the arena, or undefined where it lies elsewhere. */
function rangeOf({ places, values }: Plan, value: number): Range | undefined {
  const place = places[value];
  const { shape, dtype } = values[value]!;
  if (place?.kind !== 'arena') return undefined;
  return { start: place.byteOffset, end: place.byteOffset + sizeOf(shape) * byteSizeOf(dtype) };
}

export function poisonOf(plan: Plan, memory: WebAssembly.Memory): Poison {
  const fill = (start: number, byteLength: number): unknown =>
    new Uint8Array(memory.buffer, start, byteLength).fill(poisonByte);
  const dead = plan.steps.map(({ outputs }, step) => {
    const written = outputs.flatMap((value) => rangeOf(plan, value) ?? []);
    const free = ({ start, end }: Range): boolean => written.every((other) => other.end <= start || end <= other.start);
    return plan.lastUses[step]!.flatMap((owner) => rangeOf(plan, owner) ?? []).filter(free);
  });
  return {
    beforeRun(working, outputs) {
      fill(working, plan.arena.byteLength);
      for (const { pointer, byteLength } of outputs) fill(pointer, byteLength);
    },
    beforeStep: fill,
    afterStep(step, working) {
      for (const { start, end } of dead[step]!) fill(working + start, end - start);
    },
  };
}
