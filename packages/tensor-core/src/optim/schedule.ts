/**
 * Learning-rate schedules: step number -> multiplier of the base learning rate.
 *
 * With N total optimiser steps, w warm-up steps and s = 0, 1, 2, … the number of updates already made:
 *
 *   warm-up              s < w:  s / max(1, w)
 *   constant             s ≥ w:  1
 *   constant_with_warmup         the same, by the name that transformers gives it
 *   linear               s ≥ w:  max(0, (N - s) / max(1, N - w))
 *   cosine               s ≥ w:  max(0, ½ (1 + cos(π · 2c · (s - w) / max(1, N - w))))        c = cycles, ½ by default
 *   cosine_with_min_lr   s ≥ w:  max(0, m + (1 - m) ½ (1 + cos(…as above…)))                   m = minimumRate
 *
 * The first update uses s = 0, hence a learning rate of 0 whenever w > 0. Past N the cosine is not clamped and rises again,
 * as in the reference; a trainer stops at N.
 *
 * Source: transformers `optimization.py`, get_constant_schedule_with_warmup, get_linear_schedule_with_warmup,
 * get_cosine_schedule_with_warmup and get_cosine_with_min_lr_schedule_with_warmup; `TrainingArguments.get_warmup_steps` for
 * the ratio. (`constant` of transformers ignores warm-up steps; here they are honoured if given.)
 */

/** Names of transformers' `lr_scheduler_type`. */
export type ScheduleName = 'constant' | 'constant_with_warmup' | 'linear' | 'cosine' | 'cosine_with_min_lr';

/** Lengths of a schedule, all in optimiser steps (not micro-batches). */
export interface ScheduleOptions {
  /** N: optimiser steps of the whole run. */
  readonly totalSteps: number;
  /** w: steps of linear warm-up from 0; 0 when omitted. */
  readonly warmupSteps?: number;
  /** Cosines only: how many waves fit between w and N; ½ (down once) when omitted. */
  readonly cycles?: number;
  /** m, `cosine_with_min_lr` only and required there: where it ends, as a multiple of the base learning rate. */
  readonly minimumRate?: number;
}

/** Step number (0 for the first update) to the multiplier of the base learning rate. */
export type Schedule = (step: number) => number;

interface DecayOptions {
  /** N - w; may be 0 or negative when warm-up fills the run. */
  readonly steps: number;
  readonly cycles: number;
  readonly minimumRate: number;
}

/** The part after warm-up. */
type Decay = (sinceWarmup: number, options: DecayOptions) => number;

const constant: Decay = () => 1;

const cosine: Decay = (sinceWarmup, { steps, cycles, minimumRate }) => {
  const wave = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * (sinceWarmup / Math.max(1, steps))));
  return Math.max(0, wave * (1 - minimumRate) + minimumRate);
};

const decays: Readonly<Record<ScheduleName, Decay>> = {
  constant,
  constant_with_warmup: constant,
  linear: (sinceWarmup, { steps }) => Math.max(0, (steps - sinceWarmup) / Math.max(1, steps)),
  cosine,
  cosine_with_min_lr: cosine,
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
 * @throws RangeError for an unknown name, step counts that are not non-negative integers (also from the returned function),
 *   or a `minimumRate` that is missing, misplaced or not from 0 to 1.
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions): Schedule {
  const { totalSteps, warmupSteps = 0, cycles = 0.5, minimumRate } = options;
  if (!Object.hasOwn(decays, name)) {
    throw new RangeError(`schedule: unknown name ${JSON.stringify(name)}; use one of ${scheduleNames.join(', ')}`);
  }
  requireStepCount('totalSteps', totalSteps);
  requireStepCount('warmupSteps', warmupSteps);
  if (!Number.isFinite(cycles)) throw new RangeError(`schedule: cycles is ${cycles}; pass a finite number`);
  if ((name === 'cosine_with_min_lr') !== (minimumRate !== undefined))
    throw new RangeError(
      `schedule: minimumRate is ${minimumRate}; cosine_with_min_lr needs one, ${name} was asked for`,
    );
  if (minimumRate !== undefined && !(minimumRate >= 0 && minimumRate <= 1))
    throw new RangeError(`schedule: minimumRate is ${minimumRate}; pass a number from 0 to 1`);
  const decay = decays[name];
  const decayOptions = { steps: totalSteps - warmupSteps, cycles, minimumRate: minimumRate ?? 0 };
  return (step) => {
    requireStepCount('step', step);
    if (step < warmupSteps) return step / Math.max(1, warmupSteps);
    return decay(step - warmupSteps, decayOptions);
  };
}

/** Warm-up steps of a run: ceil(totalSteps · ratio). @throws RangeError unless 0 ≤ ratio ≤ 1. */
export function warmupStepsFromRatio(totalSteps: number, ratio: number): number {
  requireStepCount('totalSteps', totalSteps);
  if (!(ratio >= 0 && ratio <= 1))
    throw new RangeError(`schedule: warm-up ratio is ${ratio}; pass a number from 0 to 1`);
  return Math.ceil(totalSteps * ratio);
}
