import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Plan, compile, createReferenceDevice, full, sizeOf, vectorJacobianProduct } from '../../src/index.js';
import type { Tensor, TensorSpec } from '../../src/index.js';
import { arenaAlignment, layOutArena } from '../../src/plan/arena.js';
import { byteLengthOf } from '../../src/plan/plan.js';
import { arbitraryGraph, buildGraph, graphLoss, toTensor } from '../../src/testing/index.js';

type Lifetimes = Parameters<typeof layOutArena>[0];

/** Steps that each read some earlier values and write one or two, with some values as inputs and outputs. */
const lifetimes: fc.Arbitrary<Lifetimes> = fc
  .record({
    inputs: fc.nat(3),
    steps: fc.array(
      fc.record({ reads: fc.array(fc.nat(30), { maxLength: 3 }), writes: fc.integer({ min: 1, max: 2 }) }),
      { maxLength: 25 },
    ),
    sizes: fc.array(fc.nat(300), { minLength: 60, maxLength: 60 }),
    outputs: fc.array(fc.nat(30), { maxLength: 4 }),
  })
  .map(({ inputs, steps, sizes, outputs }) => {
    const values: TensorSpec[] = [];
    const next = (): number => values.push({ shape: [sizes[values.length]!], dtype: 'f32' }) - 1;
    const inputValues = Array.from({ length: inputs }, next);
    const built = steps.map(({ reads, writes }) => {
      const from = values.length === 0 ? [] : reads.map((read) => read % values.length);
      return { inputs: from, outputs: Array.from({ length: writes }, next) };
    });
    return {
      values,
      inputs: inputValues,
      steps: built,
      outputs: values.length === 0 ? [] : outputs.map((place) => place % values.length),
    };
  });

/** First and last step of each value, by definition: written at birth, needed until the last read, outputs to the end. */
function lives({ steps, inputs, outputs, values }: Lifetimes): { readonly born: number; readonly dies: number }[] {
  return values.map((_, value) => {
    const born = inputs.includes(value) ? -1 : steps.findIndex((step) => step.outputs.includes(value));
    const lastRead = steps.findLastIndex((step) => step.inputs.includes(value));
    return { born, dies: outputs.includes(value) ? steps.length : Math.max(born, lastRead) };
  });
}

function checkLayout(request: Lifetimes, arena: ReturnType<typeof layOutArena>): void {
  const { values, inputs, steps } = request;
  const spans = lives(request);
  values.forEach((spec, value) => {
    const start = arena.offsets[value];
    expect(start === undefined, `value ${value} is outside the arena`).toBe(inputs.includes(value));
    if (start === undefined) return;
    expect(start % arenaAlignment).toBe(0);
    expect(start + byteLengthOf(spec)).toBeLessThanOrEqual(arena.byteLength);
    for (let other = value + 1; other < values.length; other++) {
      const at = arena.offsets[other];
      const together = spans[value]!.born <= spans[other]!.dies && spans[other]!.born <= spans[value]!.dies;
      if (at === undefined || !together || sizeOf(spec.shape) === 0 || sizeOf(values[other]!.shape) === 0) continue;
      const apart = start + byteLengthOf(spec) <= at || at + byteLengthOf(values[other]!) <= start;
      expect(apart, `values ${value} and ${other} overlap`).toBe(true);
    }
  });
  arena.lastUses.forEach((gone, step) => {
    const expected = values.flatMap((_, value) => (spans[value]!.dies === step ? [value] : []));
    expect([...gone].sort((a, b) => a - b)).toEqual(expected);
  });
  expect(arena.lastUses).toHaveLength(steps.length);
}

describe('arena layout', () => {
  it('never lets two live values overlap, and knows every last use', () => {
    fc.assert(
      fc.property(lifetimes, (request) => checkLayout(request, layOutArena(request))),
      { numRuns: 500 },
    );
  });

  it('holds for the plans of random training graphs, fused and decomposed', () => {
    fc.assert(
      fc.property(arbitraryGraph(), fc.boolean(), (recipe, decomposeFused) => {
        const build = (inputs: readonly Tensor[]): Tensor[] => {
          const loss = graphLoss(buildGraph(recipe, inputs));
          return [loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
        };
        const plan: Plan = compile(build, { device: createReferenceDevice({ decomposeFused }) }).plan(
          recipe.inputs.map(toTensor),
        );
        checkLayout(plan, plan.arena);
        for (const step of plan.steps) for (const value of step.inputs) expect(value).toBeLessThan(plan.values.length);
      }),
      { numRuns: 100 },
    );
  });

  it('reuses the bytes of a chain', () => {
    const steps = Array.from({ length: 50 }, (_, i) => ({ inputs: [i], outputs: [i + 1] }));
    const values = Array.from({ length: 51 }, (): TensorSpec => ({ shape: [64], dtype: 'f32' }));
    const arena = layOutArena({ values, steps, inputs: [0], outputs: [50] });
    expect(arena.byteLength).toBe(2 * 256);
    expect(arena.lastUses[10]).toEqual([10]);
  });
});
