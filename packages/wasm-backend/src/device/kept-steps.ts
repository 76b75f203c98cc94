/** Which steps of a plan want a form of an input kept, and the rooms they are given in a run. */
import type { Plan } from '@mindseye/tensor-core';
import type { DeviceMemory, WasmBuffer } from './device-memory.js';
import type { KeptForm } from './kept-forms.js';
import type { Step } from './step.js';

export interface KeptSteps {
  /** The form that a step is given in this run. */
  of(step: number, inputs: readonly WasmBuffer[]): KeptForm | undefined;
}

/** Undefined where no step wants one. Only inputs that the plan does not overwrite have kept forms. */
export function keptForms(plan: Plan, steps: readonly Step[], { kept }: DeviceMemory): KeptSteps | undefined {
  const donors = new Set(plan.donations.map(({ input }) => input));
  const wanted = steps.map(({ keeps }) => {
    const place = keeps && plan.places[keeps.value];
    if (place?.kind !== 'input' || donors.has(place.position)) return undefined;
    return { position: place.position, key: `${keeps!.key}@${place.byteOffset}`, byteLength: keeps!.byteLength };
  });
  if (wanted.every((form) => form === undefined)) return undefined;
  return {
    of(step, inputs) {
      const form = wanted[step];
      return form && kept.ask(inputs[form.position]!, form.key, form.byteLength);
    },
  };
}
