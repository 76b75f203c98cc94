/** A residual stream far above 65504, the largest float16: the tower stays finite and equals a float64 run. */
import { type Tensor, createReferenceDevice, evaluate, mul, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { expect, test } from 'vitest';
import { type ModelContext, weight } from '../../src/model/context.js';
import { visionForward, visionOperands } from '../../src/model/vision.js';
import { float32, tensorOf } from '../support/golden.js';
import { type GoldenManifest, differenceFrom, readGolden, visionItems } from './golden-case.js';
import { readModel } from './golden-model.js';

const engines = { reference: createReferenceDevice, wasm: createWasmDevice } as const;
const tolerance = 1e-4;
const largestFloat16 = 65504;

interface ScaledManifest extends GoldenManifest {
  readonly scaled: readonly string[];
  readonly factor: number;
  readonly largest_activation: number;
}

const magnitude = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

test.each(Object.keys(engines) as (keyof typeof engines)[])('on the %s engine', async (engine) => {
  const device = engines[engine]();
  const golden = readGolden<ScaledManifest>('large-activations');
  const { manifest, tensors } = golden;
  const plain = await readModel(manifest.model);
  const scaled = await evaluate(
    Object.fromEntries(manifest.scaled.map((name) => [name, mul(weight(plain, name), manifest.factor)])),
    { device },
  );
  const context: ModelContext = { ...plain, weights: { ...plain.weights, ...scaled } };
  const [{ pixelValues, grid }] = (await visionItems(golden)) as [Awaited<ReturnType<typeof visionItems>>[number]];
  const patches = grid[0] * grid[1] * grid[2];
  const { blocks, tokens } = visionForward(
    context,
    tensor(pixelValues, [1, patches, pixelValues.length / patches]),
    visionOperands(context.config.visionConfig, grid, 1),
  );
  const states = new Map<string, Tensor>([
    ...blocks.map((block, index) => [`vision.blocks.${index}`, block] as const),
    ['vision.merger', tokens],
  ]);
  await evaluate([...states.values()], { device });
  for (const [name, state] of states) {
    const difference = differenceFrom(golden, name, await state.data(device));
    expect(difference / magnitude(float32(tensorOf(tensors, name))), name).toBeLessThan(tolerance);
  }
  const largest = magnitude(await blocks[1]!.data(device));
  expect(largest).toBeGreaterThan(4 * largestFloat16);
  expect(largest / manifest.largest_activation).toBeCloseTo(1, 4);
});
