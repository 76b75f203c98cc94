import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, SEED, size, TIERS, values, valueSeed, worstError } from './support.js';

const SETTINGS = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 } as const;

/** torch.optim.AdamW in double precision. */
function reference(p: number, gradients: readonly number[]): { p: number; m: number; v: number } {
  const { learningRate, beta1, beta2, epsilon, weightDecay } = SETTINGS;
  let [m, v] = [0, 0];
  gradients.forEach((g, index) => {
    const t = index + 1;
    p *= 1 - learningRate * weightDecay;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const denominator = Math.sqrt(v) / Math.sqrt(1 - beta2 ** t) + epsilon;
    p -= ((learningRate / (1 - beta1 ** t)) * m) / denominator;
  });
  return { p, m, v };
}

describe.each(TIERS)('adamwStep, tier %s', (tier) => {
  const arena = arenaFor(tier);

  test('ten steps equal torch semantics', () => {
    fc.assert(
      fc.property(size(40), valueSeed, fc.constantFrom(1e-3, 1, 100), (count, seed, scale) => {
        const start = values(seed, count);
        const gradients = Array.from({ length: 10 }, (_, t) => values(seed + t + 1, count, scale));
        arena.reset();
        const state = {
          parameter: arena.f32(start),
          firstMoment: arena.f32(new Float32Array(count)),
          secondMoment: arena.f32(new Float32Array(count)),
        };
        gradients.forEach((gradient, index) => {
          const t = index + 1;
          const corrections = { correction1: 1 - SETTINGS.beta1 ** t, correction2: 1 - SETTINGS.beta2 ** t };
          arena.kernels.adamwStep({ ...state, gradient: arena.f32(gradient), count, ...SETTINGS, ...corrections });
        });
        arena.checkGuards();
        const expected = Array.from(start, (p, i) =>
          reference(
            p,
            gradients.map((g) => g[i] as number),
          ),
        );
        const tolerance = { absolute: 2e-6, relative: 2e-6 };
        expect(
          worstError(
            arena.read(state.parameter, count),
            expected.map(({ p }) => p),
            tolerance,
          ),
        ).toBeLessThanOrEqual(1);
        expect(
          worstError(
            arena.read(state.firstMoment, count),
            expected.map(({ m }) => m),
            { absolute: 1e-6 * scale, relative: 2e-6 },
          ),
        ).toBeLessThanOrEqual(1);
        expect(
          worstError(
            arena.read(state.secondMoment, count),
            expected.map(({ v }) => v),
            { absolute: 0, relative: 3e-6 },
          ),
        ).toBeLessThanOrEqual(1);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test('separate outputs leave the inputs alone and equal the in-place result', () => {
    const count = 11;
    arena.reset();
    const inputs = [values(1, count), values(2, count), values(3, count), values(4, count).map(Math.abs)] as const;
    const [parameter, gradient, firstMoment, secondMoment] = inputs.map((data) => arena.f32(data)) as [
      number,
      number,
      number,
      number,
    ];
    const [newParameter, newFirstMoment, newSecondMoment] = [
      arena.output(count),
      arena.output(count),
      arena.output(count),
    ];
    const operands = {
      parameter,
      gradient,
      firstMoment,
      secondMoment,
      count,
      ...SETTINGS,
      correction1: 0.1,
      correction2: 0.001,
    };
    arena.kernels.adamwStep({ ...operands, newParameter, newFirstMoment, newSecondMoment });
    [parameter, gradient, firstMoment, secondMoment].forEach((offset, i) =>
      expect(arena.read(offset, count)).toEqual(inputs[i]),
    );
    arena.kernels.adamwStep(operands);
    arena.checkGuards();
    expect(arena.read(parameter, count)).toEqual(arena.read(newParameter, count));
    expect(arena.read(firstMoment, count)).toEqual(arena.read(newFirstMoment, count));
    expect(arena.read(secondMoment, count)).toEqual(arena.read(newSecondMoment, count));
  });

  test('an array outside the memory is an error that names it', () => {
    const end = arena.kernels.memory.buffer.byteLength;
    const operands = { parameter: 0, gradient: 0, firstMoment: 0, secondMoment: end, count: 1, ...SETTINGS };
    expect(() => arena.kernels.adamwStep({ ...operands, correction1: 1, correction2: 1 })).toThrow(
      /adamwStep secondMoment/,
    );
  });
});
