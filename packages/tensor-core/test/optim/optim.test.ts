import { describe, expect, it } from 'vitest';
import {
  type AdamWState,
  ShapeError,
  type Tensor,
  adamwDefaults,
  adamwInit,
  adamwRates,
  adamwUpdate,
  clipByGlobalNorm,
  createReferenceDevice,
  createSchedule,
  evaluate,
  full,
  globalNorm,
  slice,
  tensor,
} from '../../src/index.js';
import { type HostTensor, assertClose, readBack, toTensor } from '../../src/testing/index.js';
import { goldenJson, goldenTensors } from '../support/golden.js';

interface Pair<T> {
  readonly matrix: T;
  readonly vector: T;
}

const pair = <T>(build: (name: 'matrix' | 'vector') => T): Pair<T> => ({
  matrix: build('matrix'),
  vector: build('vector'),
});

describe('AdamW', () => {
  it.each([false, true])(
    'walks the path of torch.optim.AdamW for 50 steps (decomposed: %s)',
    async (decomposeFused) => {
      const device = createReferenceDevice({ decomposeFused });
      const { options, steps } = await goldenJson<{
        options: { lr: number; betas: [number, number]; eps: number; weight_decay: number };
        steps: number;
      }>('adamw');
      const golden = await goldenTensors('adamw');
      const settings = {
        beta1: options.betas[0],
        beta2: options.betas[1],
        epsilon: options.eps,
        weightDecay: options.weight_decay,
      };
      const at = (name: string, step: number): HostTensor => {
        const all = golden.get(name)!;
        const size = all.data.length / steps;
        return { shape: all.shape.slice(1), dtype: 'f32', data: all.data.slice(step * size, (step + 1) * size) };
      };
      let parameters: Pair<Tensor> = pair((name) => toTensor(golden.get(`${name}.initial`)!));
      let state: AdamWState<Pair<Tensor>> = adamwInit(parameters);
      for (let step = 0; step < steps; step++) {
        const gradients = pair((name) => toTensor(at(`${name}.gradients`, step)));
        ({ parameters, state } = adamwUpdate(
          parameters,
          gradients,
          state,
          adamwRates(step + 1, options.lr, settings),
          settings,
        ));
        await evaluate({ parameters, state: { ...state } }, { device });
        for (const name of ['matrix', 'vector'] as const)
          assertClose(
            await readBack(parameters[name]),
            at(`${name}.trajectory`, step),
            `${name} after step ${step + 1}`,
            { absolute: 2e-6, relative: 1e-5 },
          );
      }
      for (const name of ['matrix', 'vector'] as const) {
        assertClose(
          await readBack(state.firstMoment[name]),
          golden.get(`${name}.exp_avg`)!,
          `first moment of ${name}`,
          { relative: 1e-5, absolute: 1e-7 },
        );
        assertClose(
          await readBack(state.secondMoment[name]),
          golden.get(`${name}.exp_avg_sq`)!,
          `second moment of ${name}`,
          { relative: 1e-5, absolute: 1e-9 },
        );
      }
    },
  );

  it('has the defaults of PyTorch and counts steps from 1', async () => {
    expect(adamwDefaults).toEqual({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 });
    const rates = [...(await adamwRates(1, 0.5).data())];
    [0.5, 0.1, 0.001].forEach((value, i) => expect(rates[i]).toBeCloseTo(value, 7));
    for (const step of [0, -1, 1.5, Number.NaN])
      expect(() => adamwRates(step, 0.1)).toThrow(/adamwRates: step .* is not a whole number from 1 up/);
  });

  it('refuses trees that do not match', () => {
    const parameters = { w: full([2], 1), b: full([1], 0) };
    expect(() =>
      adamwUpdate<unknown>(parameters, { w: full([2], 1) }, adamwInit(parameters), adamwRates(1, 0.1)),
    ).toThrow(ShapeError);
    expect(() =>
      adamwUpdate<unknown>(parameters, { w: full([2], 1) }, adamwInit(parameters), adamwRates(1, 0.1)),
    ).toThrow(/2 parameters, but 1, 2, 2 gradients, first and second moments/);
    expect(() =>
      adamwUpdate(parameters, { w: full([3], 1), b: full([1], 0) }, adamwInit(parameters), adamwRates(1, 0.1)),
    ).toThrow(/adamwStep: parameter \[2\]/);
  });
});

describe('clipping by global norm', () => {
  it('equals torch.nn.utils.clip_grad_norm_', async () => {
    const device = createReferenceDevice();
    const { entries } = await goldenJson<{
      entries: { index: number; name: string; max_norm: number; total_norm: number }[];
    }>('clip-grad-norm');
    const golden = await goldenTensors('clip-grad-norm');
    expect(entries).toHaveLength(4);
    for (const { index, name, max_norm: maxNorm, total_norm: totalNorm } of entries) {
      const { gradients, norm } = clipByGlobalNorm(
        pair((key) => toTensor(golden.get(`${index}.${key}.before`)!)),
        maxNorm,
      );
      expect((await norm.item(device)) / (totalNorm || 1), name).toBeCloseTo(totalNorm === 0 ? 0 : 1, 6);
      for (const key of ['matrix', 'vector'] as const)
        assertClose(await readBack(gradients[key], device), golden.get(`${index}.${key}.after`)!, `${name}: ${key}`, {
          relative: 1e-6,
          absolute: 1e-9,
        });
    }
  });

  it('leaves small gradients as they are, and an empty tree has norm 0', async () => {
    const device = createReferenceDevice();
    const { gradients } = clipByGlobalNorm({ a: tensor([0.3, 0.4]) }, 1);
    expect([...(await gradients.a.data(device))]).toEqual([Math.fround(0.3), Math.fround(0.4)]);
    expect(await globalNorm([]).item(device)).toBe(0);
    expect(await slice(clipByGlobalNorm([tensor([3, 4])], 1).gradients[0]!, 0, 0, 1).item(device)).toBeCloseTo(0.6, 5);
  });
});

describe('the cosine schedule', () => {
  it('equals get_cosine_schedule_with_warmup of transformers', async () => {
    const { entries } = await goldenJson<{
      entries: { num_training_steps: number; num_warmup_steps: number; multipliers: number[] }[];
    }>('cosine-schedule');
    for (const { num_training_steps: totalSteps, num_warmup_steps: warmupSteps, multipliers } of entries) {
      const schedule = createSchedule('cosine', { totalSteps, warmupSteps });
      multipliers.forEach((multiplier, step) => expect(schedule(step)).toBeCloseTo(multiplier, 12));
    }
  });
});
