/**
 * Learning-rate schedules: step number -> multiplier of the base learning rate.
 *
 * With N total optimiser steps, w warm-up steps and s = 0, 1, 2, … the number of updates already made:
 *
 *   warm-up   s < w:  s / max(1, w)
 *   constant  s ≥ w:  1
 *   linear    s ≥ w:  max(0, (N - s) / max(1, N - w))
 *   cosine    s ≥ w:  max(0, ½ (1 + cos(π · 2c · (s - w) / max(1, N - w))))        c = cycles, ½ by default
 *
 * The first update uses s = 0, hence a learning rate of 0 whenever w > 0. Past N the cosine is not clamped and rises again,
 * as in the reference; a trainer stops at N.
 *
 * Source: transformers `optimization.py`, get_constant_schedule_with_warmup, get_linear_schedule_with_warmup and
 * get_cosine_schedule_with_warmup; `TrainingArguments.get_warmup_steps` for the ratio.
 */

export type ScheduleName = 'constant' | 'linear' | 'cosine';

/** Lengths of a schedule, all in optimiser steps (not micro-batches). */
export interface ScheduleOptions {
  /** N: optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** w: steps of linear warm-up from 0; 0 when omitted. */
  readonly warmupSteps?: number;
  /** Cosine only: how many waves fit between w and N; ½ (down to 0 once) when omitted. */
  readonly cycles?: number;
}

/** Step number (0 for the first update) to the multiplier of the base learning rate. */
export type Schedule = (step: number) => number;

type Decay = (sinceWarmup: number, decaySteps: number, cycles: number) => number;

/** The part after warm-up. `decaySteps` is N - w and may be 0 or negative when warm-up fills the run. */
const decays: Readonly<Record<ScheduleName, Decay>> = {
  constant: () => 1,
  linear: (sinceWarmup, decaySteps) => Math.max(0, (decaySteps - sinceWarmup) / Math.max(1, decaySteps)),
  cosine: (sinceWarmup, decaySteps, cycles) =>
    Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * (sinceWarmup / Math.max(1, decaySteps))))),
};

/** The names `createSchedule` takes, for option parsers and help texts. */
export const scheduleNames: readonly ScheduleName[] = Object.keys(decays) as ScheduleName[];

function requireStepCount(field: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`schedule: ${field} is ${value}; pass a non-negative integer of optimiser steps`);
  }
}

/**
 * A learning-rate schedule as a pure function of the step.
 * @throws RangeError for an unknown name, or step counts that are not non-negative integers (also from the returned function).
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions): Schedule {
  const { totalSteps, warmupSteps = 0, cycles = 0.5 } = options;
  if (!Object.hasOwn(decays, name)) {
    throw new RangeError(`schedule: unknown name ${JSON.stringify(name)}; use one of ${scheduleNames.join(', ')}`);
  }
  requireStepCount('totalSteps', totalSteps);
  requireStepCount('warmupSteps', warmupSteps);
  if (!Number.isFinite(cycles)) throw new RangeError(`schedule: cycles is ${cycles}; pass a finite number`);
  const decay = decays[name];
  return (step) => {
    requireStepCount('step', step);
    if (step < warmupSteps) return step / Math.max(1, warmupSteps);
    return decay(step - warmupSteps, totalSteps - warmupSteps, cycles);
  };
}

/** Warm-up steps of a run: ceil(totalSteps · ratio). @throws RangeError unless 0 ≤ ratio ≤ 1. */
export function warmupStepsFromRatio(totalSteps: number, ratio: number): number {
  requireStepCount('totalSteps', totalSteps);
  if (!(ratio >= 0 && ratio <= 1))
    throw new RangeError(`schedule: warm-up ratio is ${ratio}; pass a number from 0 to 1`);
  return Math.ceil(totalSteps * ratio);
}
