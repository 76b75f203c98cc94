/**
 * The start of a training run as files that transformers and PEFT read:
 *
 *   model/               config.json, model.safetensors
 *   adapter/             adapter_config.json, adapter_model.safetensors
 *   examples.safetensors <i>.input_ids, <i>.roles, <i>.labels [S], <i>.pixel_values [patches, width], <i>.grids [images, 3]
 *   run.json             optimiser and schedule
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { saveAdapter } from '@mindseye/latent-reasoning/node';
import { saveCheckpoint, saveModelFiles } from '@mindseye/qwen-vl/node';
import { type Device, type SafetensorsEntry, Tensor } from '@mindseye/tensor-core';
import { writeJsonAtomic, writeSafetensors } from '@mindseye/tensor-core/node';
import type { TrainingStart } from './tiny-model.ts';

export async function exportTraining(start: TrainingStart, folder: string, device: Device): Promise<void> {
  const { method, setup, trainables, examples } = start;
  const model = join(folder, 'model');
  await saveModelFiles(model, { config: setup.config });
  await saveCheckpoint(model, await weightEntries(setup.weights, device));
  const rows = trainables.rows;
  const adapter = join(folder, 'adapter');
  await mkdir(adapter);
  await saveAdapter(
    adapter,
    {
      config: setup.lora,
      lora: trainables.lora,
      ...(rows && { tokenRows: { ids: setup.latentIds, rows } }),
    },
    'model',
    device,
  );
  await writeSafetensors(
    join(folder, 'examples.safetensors'),
    examples.flatMap(({ sequence: { inputIds, roles, labels }, images }, i): SafetensorsEntry[] => {
      const integers = (name: string, values: ArrayLike<number>, shape: readonly number[] = [values.length]) =>
        ({ name: `${i}.${name}`, dtype: 'I32', shape, data: Int32Array.from(values) }) as const;
      const patches = images.reduce((sum, { grid }) => sum + grid[0] * grid[1] * grid[2], 0);
      const pixels = Float32Array.from(images.flatMap(({ pixelValues }) => [...pixelValues]));
      return [
        integers('input_ids', inputIds),
        integers('roles', roles),
        integers('labels', labels),
        integers(
          'grids',
          images.flatMap(({ grid }) => [...grid]),
          [images.length, 3],
        ),
        { name: `${i}.pixel_values`, dtype: 'F32', shape: [patches, pixels.length / patches], data: pixels },
      ];
    }),
    {},
  );
  const { learningRate, weightDecay, warmupRatio, maxGradNorm, batchSize, stages } = method;
  const totalSteps = (stages[0]!.epochs * examples.length) / batchSize;
  await writeJsonAtomic(join(folder, 'run.json'), {
    learning_rate: learningRate,
    weight_decay: weightDecay,
    warmup_steps: Math.ceil(warmupRatio * totalSteps),
    total_steps: totalSteps,
    max_grad_norm: maxGradNorm,
    batch_size: batchSize,
  });
}

async function weightEntries(weights: TrainingStart['setup']['weights'], device: Device): Promise<SafetensorsEntry[]> {
  const entries: SafetensorsEntry[] = [];
  for (const [name, weight] of Object.entries(weights)) {
    if (!(weight instanceof Tensor)) throw new TypeError(`${name} is quantised: only dense weights are written`);
    entries.push({ name, dtype: 'F32', shape: weight.shape, data: (await weight.data(device)) as Float32Array });
  }
  return entries;
}
