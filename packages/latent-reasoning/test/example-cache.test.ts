/** Encoded examples within a limit of bytes: against a plain model, and that a run of a trainer is the same whatever is kept. */
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Method, TrainingSet } from '../src/index.js';
import { type EncodedExample, exampleCache } from '../src/train/example-cache.js';
import { microExample, microMethod, microSet, microSetup } from './support/micro.js';
import { fingerprint, runSteps, startTrainer } from './support/runs.js';

test('keeps what was used last, and never more than the limit', () => {
  const entry = (floats: number): EncodedExample => ({
    example: {
      id: 'example',
      images: [],
      sequence: { inputIds: new Int32Array(), roles: new Int32Array(), labels: new Int32Array(), grids: [] },
    },
    features: new Float32Array(floats),
  });
  const use = fc.record({ index: fc.integer({ min: 0, max: 6 }), floats: fc.integer({ min: 0, max: 12 }) });
  fc.assert(
    fc.property(fc.array(use, { maxLength: 40 }), fc.integer({ min: 0, max: 120 }), (uses, limit) => {
      const cache = exampleCache(limit);
      // Indices with their sizes, the one used longest ago first.
      let model: [index: number, bytes: number][] = [];
      const total = (): number => model.reduce((sum, [, bytes]) => sum + bytes, 0);
      for (const { index, floats } of uses) {
        const known = model.find(([each]) => each === index);
        model = model.filter(([each]) => each !== index);
        expect(cache.get(index)?.features.byteLength).toBe(known?.[1]);
        if (known) {
          model.push(known);
          continue;
        }
        cache.set(index, entry(floats));
        if (4 * floats <= limit) {
          while (total() + 4 * floats > limit) model.shift();
          model.push([index, 4 * floats]);
        }
        expect(cache.bytes).toBe(total());
        expect(cache.bytes).toBeLessThanOrEqual(limit);
      }
    }),
  );
});

test('a run is the same to the bit whatever is kept; what is kept is not made again', async () => {
  const method: Method = { ...microMethod, stages: [{ name: 'bottleneck', mask: 'bottleneck', epochs: 3 }] };
  const counted = (): { readonly data: TrainingSet; made(): number } => {
    let made = 0;
    return {
      data: {
        size: 6,
        example: (i) => {
          made++;
          return microExample(i);
        },
      },
      made: () => made,
    };
  };
  const run = async (data: TrainingSet, cacheBytes?: number): Promise<unknown> => {
    const device = createWasmDevice();
    const options = {
      method,
      setup: microSetup(method),
      data,
      device,
      seed: 5,
      ...(cacheBytes !== undefined && { cacheBytes }),
    };
    const trainer = await startTrainer(options);
    return fingerprint(await runSteps(trainer), trainer.state, device);
  };
  const [all, some, none] = [counted(), counted(), counted()];
  const expected = await run(microSet(6));
  expect(await run(all.data)).toEqual(expected);
  expect(await run(some.data, 1200)).toEqual(expected);
  expect(await run(none.data, 0)).toEqual(expected);
  expect(all.made()).toBe(6);
  expect(some.made()).toBeGreaterThan(6);
  expect(some.made()).toBeLessThan(18);
  expect(none.made()).toBe(18);
});
