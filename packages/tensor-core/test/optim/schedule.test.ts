import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSchedule, type ScheduleName, scheduleNames, warmupStepsFromRatio } from '../../src/optim/schedule.js';
import { goldenJson } from '../support/golden.js';

interface GoldenSchedule {
  readonly name: ScheduleName;
  readonly num_training_steps: number;
  readonly num_warmup_steps: number;
  readonly num_cycles?: number;
  readonly min_lr_rate?: number;
  readonly multipliers: readonly number[];
}

const minimumOf = (name: ScheduleName): { minimumRate?: number } =>
  name === 'cosine_with_min_lr' ? { minimumRate: 0.25 } : {};

describe('schedules', () => {
  it('equal those of transformers by their names', async () => {
    const { entries } = await goldenJson<{ entries: readonly GoldenSchedule[] }>('schedules');
    expect(new Set(entries.map(({ name }) => name)).size).toBe(scheduleNames.length - 1);
    for (const entry of entries) {
      const { name, num_training_steps: totalSteps, num_warmup_steps: warmupSteps } = entry;
      const schedule = createSchedule(name, {
        totalSteps,
        warmupSteps,
        ...(entry.num_cycles !== undefined && { cycles: entry.num_cycles }),
        ...(entry.min_lr_rate !== undefined && { minimumRate: entry.min_lr_rate }),
      });
      entry.multipliers.forEach((multiplier, step) => expect(schedule(step)).toBeCloseTo(multiplier, 12));
      if (name !== 'constant_with_warmup') continue;
      const constant = createSchedule('constant', { totalSteps, warmupSteps });
      entry.multipliers.forEach((multiplier, step) => expect(constant(step)).toBe(multiplier));
    }
  });

  it.each([
    ['cosine', [0, 0.5, 1, 0.96194, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.03806, 0]],
    ['linear', [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]],
    ['constant', [0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    ['cosine_with_min_lr', [0, 0.5, 1, 0.971455, 0.890165, 0.768506, 0.625, 0.481494, 0.359835, 0.278545, 0.25]],
  ] as const)('%s with N = 10, w = 2', (name, expected) => {
    const schedule = createSchedule(name, { totalSteps: 10, warmupSteps: 2, ...minimumOf(name) });
    expected.forEach((multiplier, step) => expect(schedule(step)).toBeCloseTo(multiplier, 5));
  });

  it('starts at 0 and climbs evenly through warm-up, then stays within [0, 1]', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...scheduleNames),
        fc.integer({ min: 1, max: 500 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (name, totalSteps, ratio) => {
          const warmupSteps = warmupStepsFromRatio(totalSteps, ratio);
          const schedule = createSchedule(name, { totalSteps, warmupSteps, ...minimumOf(name) });
          const values = Array.from({ length: totalSteps }, (_, step) => schedule(step));
          values.slice(0, warmupSteps).forEach((value, step) => expect(value).toBe(step / warmupSteps));
          const after = values.slice(warmupSteps);
          if (after.length > 0) expect(after[0]).toBe(1);
          after.forEach((value, i) => expect(value >= 0 && value <= (after[i - 1] ?? 1)).toBe(true));
        },
      ),
    );
  });

  it('rounds warm-up up, and takes more cosine waves', () => {
    expect([warmupStepsFromRatio(10, 0.11), warmupStepsFromRatio(10, 0), warmupStepsFromRatio(1000, 0.03)]).toEqual([
      2, 0, 30,
    ]);
    const two = createSchedule('cosine', { totalSteps: 8, cycles: 1 });
    expect([0, 2, 4, 6, 8].map((step) => Math.round(two(step) * 1e6) / 1e6)).toEqual([1, 0.5, 0, 0.5, 1]);
  });

  it('keeps the reference semantics past the last step', () => {
    expect(createSchedule('linear', { totalSteps: 4 })(9)).toBe(0);
    expect(createSchedule('cosine', { totalSteps: 4 })(5)).toBeCloseTo(0.146447, 5);
    expect(createSchedule('linear', { totalSteps: 4, warmupSteps: 6 })(6)).toBe(0);
  });

  it.each([
    [
      'unknown name',
      () => createSchedule('step' as ScheduleName, { totalSteps: 1 }),
      /unknown name "step"; use one of constant, constant_with_warmup, linear, cosine, cosine_with_min_lr/,
    ],
    ['inherited name', () => createSchedule('toString' as ScheduleName, { totalSteps: 1 }), /unknown name "toString"/],
    ['fractional steps', () => createSchedule('linear', { totalSteps: 1.5 }), /totalSteps is 1.5/],
    ['negative warm-up', () => createSchedule('linear', { totalSteps: 1, warmupSteps: -1 }), /warmupSteps is -1/],
    ['NaN cycles', () => createSchedule('cosine', { totalSteps: 1, cycles: NaN }), /cycles is NaN/],
    ['no minimum', () => createSchedule('cosine_with_min_lr', { totalSteps: 1 }), /minimumRate is undefined/],
    [
      'a minimum out of place',
      () => createSchedule('cosine', { totalSteps: 1, minimumRate: 0.1 }),
      /minimumRate is 0.1; cosine_with_min_lr needs one, cosine was asked for/,
    ],
    [
      'a minimum above 1',
      () => createSchedule('cosine_with_min_lr', { totalSteps: 1, minimumRate: 2 }),
      /minimumRate is 2; pass a number from 0 to 1/,
    ],
    ['negative step', () => createSchedule('linear', { totalSteps: 1 })(-1), /step is -1/],
    ['ratio above 1', () => warmupStepsFromRatio(10, 1.1), /ratio is 1.1/],
  ])('refuses: %s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});
