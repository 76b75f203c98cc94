import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Plan,
  type Slot,
  type Tensor,
  compile,
  full,
  layOutArena,
  lifetimesOf,
  sizeOf,
  vectorJacobianProduct,
} from '../../src/index.js';
import { arenaAlignment } from '../../src/plan/arena.js';
import { byteLengthOf } from '../../src/plan/storage.js';
import { arbitraryGraph, buildGraph, createArenaDevice, graphLoss, toTensor } from '../../src/testing/index.js';

const slots: fc.Arbitrary<Slot[]> = fc.array(
  fc.record({ byteLength: fc.nat(3000), born: fc.nat(40), length: fc.nat(12) }).map(({ byteLength, born, length }) => ({
    byteLength,
    born,
    dies: born + length,
  })),
  { maxLength: 60 },
);

interface Range {
  readonly start: number;
  readonly end: number;
}

const overlap = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;

describe('arena layout', () => {
  it('never lets two live slots overlap, and knows the least that any layout needs', () => {
    fc.assert(
      fc.property(slots, (given) => {
        const { offsets, byteLength, liveBytes, peakStep } = layOutArena(given);
        const ranges = given.map((slot, i) => ({ start: offsets[i]!, end: offsets[i]! + slot.byteLength }));
        given.forEach((slot, i) => {
          expect(offsets[i]! % arenaAlignment).toBe(0);
          if (slot.byteLength > 0) expect(ranges[i]!.end).toBeLessThanOrEqual(byteLength);
          for (let other = 0; other < i; other++) {
            const together = slot.born <= given[other]!.dies && given[other]!.born <= slot.dies;
            if (together) expect(overlap(ranges[i]!, ranges[other]!), `slots ${i} and ${other} overlap`).toBe(false);
          }
        });
        const aliveAt = (step: number): number =>
          given.reduce(
            (sum, { born, dies, byteLength: bytes }) =>
              sum + (born <= step && step <= dies ? Math.ceil(bytes / arenaAlignment) * arenaAlignment : 0),
            0,
          );
        expect(liveBytes).toBe(Math.max(0, ...Array.from({ length: 60 }, (_, step) => aliveAt(step))));
        if (liveBytes > 0) expect(aliveAt(peakStep)).toBe(liveBytes);
        expect(byteLength).toBeGreaterThanOrEqual(liveBytes);
      }),
      { numRuns: 500 },
    );
  });

  it('reuses the bytes of a chain', () => {
    const chain = Array.from({ length: 50 }, (_, i) => ({ byteLength: 256, born: i, dies: i + 1 }));
    expect(layOutArena(chain).byteLength).toBe(2 * 256);
  });

  it('packs large slots first where order of birth would leave holes', () => {
    // A small slot that outlives its neighbours must not split the room for two large ones.
    const given: Slot[] = [
      { byteLength: 1024, born: 0, dies: 1 },
      { byteLength: 256, born: 1, dies: 5 },
      { byteLength: 2048, born: 2, dies: 3 },
    ];
    expect(layOutArena(given).byteLength).toBe(2048 + 256);
  });

  it('lays out many values that are alive together', () => {
    const together = Array.from({ length: 20_000 }, (_, i) => ({ byteLength: 256, born: i, dies: 20_000 }));
    expect(layOutArena(together).byteLength).toBe(20_000 * 256);
  });
});

/** Two values alive at once share bytes only as view and owner, or where a step writes over a dying operand. */
function checkSharing(plan: Plan): void {
  const { values, steps, places, storage } = plan;
  const { born, dies } = lifetimesOf(plan, storage);
  const rangeOf = (value: number): (Range & { readonly where: string }) | undefined => {
    const place = places[value];
    if (!place || sizeOf(values[value]!.shape) === 0) return undefined;
    const where =
      place.kind === 'arena' ? 'arena' : `${place.kind} ${place.position} ${'shard' in place ? place.shard : ''}`;
    return { where, start: place.byteOffset, end: place.byteOffset + byteLengthOf(values[value]!) };
  };
  const owners = values.flatMap((_, value) => (storage[value]!.owner === value && rangeOf(value) ? [value] : []));
  for (const value of owners) {
    for (const other of owners) {
      if (other >= value || born[value]! > dies[other]! || born[other]! > dies[value]!) continue;
      const [a, b] = [rangeOf(value)!, rangeOf(other)!];
      if (a.where !== b.where || !overlap(a, b)) continue;
      const [early, late] = born[value]! < born[other]! ? [value, other] : [other, value];
      const writer = steps[born[late]!]!;
      const pairs = writer.op.overwrites!(
        writer.inputs.map((input) => values[input]!),
        writer.attributes,
      );
      expect(dies[early], `values ${early} and ${late} share bytes while both are needed`).toBe(born[late]);
      const allowed = pairs.some(
        ({ input, output }) => storage[writer.inputs[input]!]!.owner === early && writer.outputs[output] === late,
      );
      expect(allowed, `${writer.op.name} writes ${late} over ${early}`).toBe(true);
    }
  }
}

describe('places of values', () => {
  it('share bytes only as views and allowed overwrites, and fit the peak', () => {
    fc.assert(
      fc.property(arbitraryGraph(), fc.boolean(), fc.boolean(), (recipe, decomposeFused, donated) => {
        const build = (inputs: readonly Tensor[]): Tensor[] => {
          const loss = graphLoss(buildGraph(recipe, inputs));
          return [loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
        };
        const plan = compile(build, {
          device: createArenaDevice({ decomposeFused }),
          donate: donated ? [0] : [],
        }).plan(recipe.inputs.map(toTensor));
        checkSharing(plan);
        expect(plan.peakBytes).toBe(plan.inputBytes + plan.outputBytes + plan.arena.byteLength);
        expect(plan.lastUses).toHaveLength(plan.steps.length);
      }),
      { numRuns: 300 },
    );
  });
});
