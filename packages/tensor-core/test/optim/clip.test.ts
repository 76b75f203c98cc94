import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  clipByGlobalNorm,
  createReferenceDevice,
  evaluate,
  full,
  globalNorm,
  requireFiniteNorm,
  skipNonFinite,
  slice,
  tensor,
} from '../../src/index.js';
import { arbitrarySeed, assertClose, readBack, seededValue, toTensor } from '../../src/testing/index.js';
import { goldenJson, goldenTensors } from '../support/golden.js';

const device = createReferenceDevice();
const leaves = ['matrix', 'vector'] as const;

describe('clipping by global norm', () => {
  it('equals torch.nn.utils.clip_grad_norm_, norms that are not finite included', async () => {
    const { entries } = await goldenJson<{
      entries: { index: number; name: string; max_norm: number; total_norm: number | string }[];
    }>('clip-grad-norm');
    const golden = await goldenTensors('clip-grad-norm');
    expect(entries).toHaveLength(7);
    for (const { index, name, max_norm: maxNorm, total_norm: totalNorm } of entries) {
      const given = Object.fromEntries(leaves.map((key) => [key, toTensor(golden.get(`${index}.${key}.before`)!)]));
      const { gradients, norm } = clipByGlobalNorm(given, maxNorm);
      const expected = { shape: [], dtype: 'f32', data: Float32Array.of(Number(totalNorm)) } as const;
      assertClose(await readBack(norm, device), expected, `${name}: the norm`, { relative: 1e-6 });
      for (const key of leaves)
        assertClose(await readBack(gradients[key]!, device), golden.get(`${index}.${key}.after`)!, `${name}: ${key}`, {
          relative: 1e-6,
          absolute: 1e-9,
        });
    }
  });

  it('never exceeds the norm asked for, and keeps the direction', async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitrarySeed(),
        fc.constantFrom('ordinary', 'moderate'),
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        async (seed, range, maxNorm) => {
          const given = [
            toTensor(seededValue([3, 4], 'f32', range, seed)),
            toTensor(seededValue([], 'f32', range, seed)),
          ];
          const { gradients, norm } = clipByGlobalNorm(given, maxNorm);
          const after = globalNorm(gradients);
          await evaluate({ gradients, norm, after }, { device });
          const [before, now] = [await norm.item(), await after.item()];
          expect(now).toBeLessThanOrEqual(Math.min(before, maxNorm) * (1 + 1e-5));
          const factor = now / before;
          for (const [i, leaf] of given.entries()) {
            const [old, clipped] = [await leaf.data(), await gradients[i]!.data()];
            old.forEach((value, j) => expect(Math.abs(clipped[j]! - factor * value)).toBeLessThanOrEqual(1e-5 * now));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('leaves small gradients as they are, and an empty tree has norm 0', async () => {
    const { gradients } = clipByGlobalNorm({ a: tensor([0.3, 0.4]) }, 1);
    expect([...(await gradients.a.data(device))]).toEqual([Math.fround(0.3), Math.fround(0.4)]);
    expect(await globalNorm([]).item(device)).toBe(0);
    expect(await slice(clipByGlobalNorm([tensor([3, 4])], 1).gradients[0]!, 0, 0, 1).item(device)).toBeCloseTo(0.6, 5);
    for (const maxNorm of [-1, Number.NaN])
      expect(() => clipByGlobalNorm([full([1], 1)], maxNorm)).toThrow(/maxNorm is .*; pass a number from 0 up/);
  });
});

describe('a norm that is not finite', () => {
  const bad = [Number.NaN, Infinity, -Infinity];

  it('is refused before the update', async () => {
    expect(await requireFiniteNorm(globalNorm([tensor([3, 4])]), device)).toBe(5);
    for (const value of bad)
      await expect(requireFiniteNorm(globalNorm([tensor([value])]), device)).rejects.toThrow(
        /the norm of the gradients is (NaN|Infinity): lower the learning rate/,
      );
  });

  it('takes the update back', async () => {
    const [updated, current] = [
      { p: tensor([1, 2]), state: [tensor(3)] },
      { p: tensor([4, 5]), state: [tensor(6)] },
    ];
    const kept = async (gradient: number): Promise<number[]> => {
      const { p, state }: { p: Tensor; state: Tensor[] } = skipNonFinite(
        globalNorm([tensor([gradient])]),
        updated,
        current,
      );
      return [...(await p.data(device)), await state[0]!.item(device)];
    };
    for (const value of [0, 1, -1e19, 1e-40]) expect(await kept(value)).toEqual([1, 2, 3]);
    for (const value of [...bad, 1e20]) expect(await kept(value)).toEqual([4, 5, 6]);
    expect(() => skipNonFinite(full([], 1), [full([1], 1)], [])).toThrow(/1 updated tensors and 0 current ones/);
  });
});
