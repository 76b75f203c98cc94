/** Several frames and several items through the vision tower: what may depend on what. */
import { type Device, createReferenceDevice, evaluate, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ModelContext } from '../../src/model/context.js';
import { visionForward, visionOperands } from '../../src/model/vision.js';
import { type VisionItem, visionBatches } from '../../src/model/vision-batches.js';
import { encodeItems } from './cached-decoder.js';
import { largestDifference, readModel } from './golden-model.js';

const engines = { reference: createReferenceDevice, wasm: createWasmDevice } as const;
const tolerance = 2e-5;
const width = 3 * 2 * 4 * 4;

/** Patches of a grid with values of about one, different for every seed. */
function item([frames, rows, columns]: VisionItem['grid'], seed: number): VisionItem {
  const pixelValues = Float32Array.from({ length: frames * rows * columns * width }, (_, i) =>
    Math.fround(Math.sin(12.9898 * (i + 1) + 78.233 * (seed % 1000)) * 1.5),
  );
  return { grid: [frames, rows, columns], pixelValues };
}

/** Visual tokens of one item, run alone over its own grid, row-major. */
async function alone(context: ModelContext, device: Device, { grid, pixelValues }: VisionItem): Promise<number[]> {
  const patches = grid[0] * grid[1] * grid[2];
  const { tokens } = visionForward(
    context,
    tensor(pixelValues, [1, patches, width]),
    visionOperands(context.config.visionConfig, grid, 1),
  );
  return [...(await (await evaluate(tokens, { device })).data(device))];
}

const side = fc.integer({ min: 1, max: 4 }).map((half) => 2 * half);
const items = fc.array(
  fc
    .record({ frames: fc.integer({ min: 1, max: 3 }), rows: side, columns: side, seed: fc.nat() })
    .map(({ frames, rows, columns, seed }) => item([frames, rows, columns], seed)),
  { minLength: 1, maxLength: 4 },
);
const model = fc.constantFrom('tiny-tied', 'tiny-untied', 'tiny-wide-heads', 'tiny-deep');

describe.each(Object.keys(engines) as (keyof typeof engines)[])('on the %s engine', (engine) => {
  const device = engines[engine]();

  test('the tokens of a video are those of its frames', async () => {
    await fc.assert(
      fc.asyncProperty(model, side, side, fc.nat(), async (name, rows, columns, seed) => {
        const context = await readModel(name);
        const film = item([2, rows, columns], seed);
        const half = film.pixelValues.length / 2;
        const frames = [film.pixelValues.slice(0, half), film.pixelValues.slice(half)];
        const apart: number[] = [];
        for (const pixelValues of frames)
          apart.push(...(await alone(context, device, { grid: [1, rows, columns], pixelValues })));
        expect(largestDifference(await alone(context, device, film), apart)).toBeLessThan(tolerance);
      }),
      { numRuns: 12 },
    );
  });

  test('batches give each item the tokens it has alone', async () => {
    await fc.assert(
      fc.asyncProperty(model, items, async (name, all) => {
        const context = await readModel(name);
        const { tokens, featureStarts } = await encodeItems(context, device, all);
        const hidden = context.config.visionConfig.outHiddenSize;
        const table = await tokens!.data(device);
        for (const [index, one] of all.entries()) {
          const expected = await alone(context, device, one);
          const start = featureStarts[index]! * hidden;
          const own = table.slice(start, start + expected.length) as Float32Array;
          expect(largestDifference(own, expected), `item ${index}`).toBeLessThan(tolerance);
        }
      }),
      { numRuns: 12 },
    );
  });
});

describe('visionBatches', () => {
  test('one batch per frame size, rows of an item in a row, nothing twice', async () => {
    const { config } = await readModel('tiny-tied');
    fc.assert(
      fc.property(items, fc.integer({ min: 1, max: 200 }), (all, patchesPerBatch) => {
        const whole = visionBatches(config.visionConfig, all);
        const sizes = new Set(all.map(({ grid }) => grid.slice(1).join()));
        expect(whole.batches.length).toBe(sizes.size);
        const rowsOf = ({ grid: [t, h, w] }: VisionItem): number => (t * h * w) / 4;
        const taken = all.flatMap((one, i) =>
          Array.from({ length: rowsOf(one) }, (_, k) => whole.featureStarts[i]! + k),
        );
        expect(taken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: whole.rows }, (_, i) => i));
        const bounded = visionBatches(config.visionConfig, all, { patchesPerBatch });
        expect(bounded.featureStarts).toEqual(whole.featureStarts);
        for (const { pixelValues } of bounded.batches) {
          const [frames, patches] = pixelValues.shape as [number, number];
          expect(frames === 1 || frames * patches <= patchesPerBatch).toBe(true);
        }
        const framesIn = (batches: typeof whole.batches): number =>
          batches.reduce((sum, { pixelValues }) => sum + pixelValues.shape[0]!, 0);
        expect(framesIn(bounded.batches)).toBe(framesIn(whole.batches));
      }),
    );
  });

  test('pixels that do not fit the grid are refused, by number', async () => {
    const { config } = await readModel('tiny-tied');
    const short = { ...item([1, 2, 2], 1), pixelValues: new Float32Array(width) };
    expect(() => visionBatches(config.visionConfig, [item([1, 2, 2], 1), short])).toThrow(
      /image or video 2 has 96 pixel values, its grid 1 x 2 x 2 needs 4 patches of 96/,
    );
    expect(() =>
      visionBatches(config.visionConfig, [{ grid: [1, 3, 2], pixelValues: new Float32Array(6 * width) }]),
    ).toThrow(/cannot be merged by 2/);
  });
});
