/**
 * One decoder layer and one vision block of each kind against transformers, compiled: the output, and the gradients of the
 * input and of every weight.
 *
 * Each tensor is compared relative to its largest element, to 1e-5. PyTorch's own float32 run is 7e-7 off its float64 run.
 */
import {
  type Tensor,
  compile,
  createReferenceDevice,
  mask,
  mul,
  sum,
  tensor,
  valueAndGrad,
} from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import { type ModelContext, weight } from '../../src/model/context.js';
import { decoderLayer } from '../../src/model/language.js';
import type { GridThw } from '../../src/model/rope-index.js';
import { sequenceOperands } from '../../src/model/sequence.js';
import { visionBlock, visionOperands } from '../../src/model/vision.js';
import { largestDifference, readJson, readModel, readTensors } from './golden-model.js';

const tolerance = 1e-5;
const engines = { reference: createReferenceDevice, wasm: createWasmDevice } as const;

type Layer = (context: ModelContext, x: Tensor) => Tensor;

const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Compares y, dx and the gradients of the weights under `prefix` with the golden `stem`, x being [batch, length, hidden]. */
async function compare(
  stem: string,
  context: ModelContext,
  prefix: string,
  layer: Layer,
  engine: keyof typeof engines,
): Promise<void> {
  const golden = await readTensors(`layers/${stem}.safetensors`);
  const { shape } = golden.info('x');
  const operand = async (name: string): Promise<Tensor> =>
    tensor(await golden.readFloat32(name), shape.length === 2 ? [1, ...shape] : shape);
  const weights: Readonly<Record<string, Tensor>> = Object.fromEntries(
    Object.keys(context.weights)
      .filter((name) => name.startsWith(`${prefix}.`))
      .map((name) => [name, weight(context, name)]),
  );
  const step = compile(
    valueAndGrad((variables: { x: Tensor; weights: typeof weights }, dy: Tensor): readonly [Tensor, Tensor] => {
      const y = layer({ ...context, weights: variables.weights }, variables.x);
      return [sum(mul(y, dy)), y];
    }),
    { device: engines[engine](), name: stem },
  );
  const [[, y], gradients] = await step({ x: await operand('x'), weights }, await operand('dy'));
  const actual = new Map<string, Tensor>([
    ['y', y],
    ['dx', gradients.x],
    ...Object.entries(gradients.weights).map(([name, gradient]): [string, Tensor] => [
      `grad.${name.slice(prefix.length + 1)}`,
      gradient,
    ]),
  ]);
  const expected = golden.names().filter((name) => name !== 'x' && name !== 'dy');
  expect([...actual.keys()].toSorted()).toEqual(expected.toSorted());
  for (const name of expected) {
    const values = await golden.readFloat32(name);
    const difference = largestDifference((await actual.get(name)!.data()) as Float32Array, values);
    expect(difference / largest(values), name).toBeLessThan(tolerance);
  }
}

describe.each(Object.keys(engines) as (keyof typeof engines)[])('on the %s engine', (engine) => {
  test('a decoder layer with its positions on three axes', async () => {
    const golden = await readJson<{ model: string; index: number; position_ids: number[][][] }>(
      'layers/decoder-layer.json',
    );
    const context = await readModel(golden.model);
    const rows = golden.position_ids[0]!.map((_, row) => ({
      inputIds: golden.position_ids[0]![row]!.map(() => 0),
      grids: [],
      positions: Int32Array.from(golden.position_ids.flatMap((axis) => axis[row]!)),
    }));
    const { cos, sin } = sequenceOperands(context.config, rows);
    await compare(
      'decoder-layer',
      context,
      `model.language_model.layers.${golden.index}`,
      (own, x) => decoderLayer(own, x, { cos, sin, mask: mask.causal() }, golden.index).x,
      engine,
    );
  });

  test.each(['full', 'window'] as const)('a vision block with %s attention', async (kind) => {
    const golden = await readJson<{ model: string; index: number; image_grid_thw: GridThw; cu_seqlens: number[] }>(
      `layers/vision-block.${kind}.json`,
    );
    const context = await readModel(golden.model);
    const { visionConfig } = context.config;
    expect(visionConfig.fullattBlockIndexes.includes(golden.index)).toBe(kind === 'full');
    const operands = visionOperands(visionConfig, golden.image_grid_thw, 1);
    const segmentOf = kind === 'full' ? operands.frameOf : operands.windowOf;
    const lengths = golden.cu_seqlens.slice(1).map((end, i) => end - golden.cu_seqlens[i]!);
    expect([...(await segmentOf.data())]).toEqual(lengths.flatMap((length, i) => Array(length).fill(i)));
    const name = `model.visual.blocks.${golden.index}`;
    await compare(
      `vision-block.${kind}`,
      context,
      name,
      (own, x) => visionBlock(own, x, operands, name, segmentOf),
      engine,
    );
  });
});
