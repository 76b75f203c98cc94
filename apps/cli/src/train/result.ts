/** What a finished run leaves: an adapter folder of PEFT, or a complete checkpoint folder. The weights are written last. */
import path from 'node:path';
import type { Method, Trainables } from '@mindseye/latent-reasoning';
import { saveAdapter } from '@mindseye/latent-reasoning/node';
import { saveModelFiles } from '@mindseye/qwen-vl/node';
import { type Device, tensor } from '@mindseye/tensor-core';
import { writeSafetensors } from '@mindseye/tensor-core/node';
import type { BaseModel } from '../shared/model.js';
import { type WeightDtype, weightDtypes, weightEntries } from '../shared/weight-entries.js';

export interface ResultOptions {
  readonly folder: string;
  readonly base: BaseModel;
  readonly method: Method;
  readonly latentIds: readonly number[];
  readonly device: Device;
  readonly dtype: WeightDtype;
}

export async function saveResult(trained: Trainables, options: ResultOptions): Promise<void> {
  await writers[options.method.trains](trained, options);
}

const writers: Readonly<Record<Method['trains'], typeof saveResult>> = {
  async lora({ lora, rows }, { folder, base, method, latentIds, device }) {
    const { tokenizer } = base.processor;
    // Whoever loads the adapter elsewhere needs the names of its tokens.
    if (rows) await saveModelFiles(folder, { tokenizer });
    await saveAdapter(
      folder,
      { config: method.lora, lora, ...(rows && { tokenRows: { ids: latentIds, rows } }) },
      base.name,
      device,
    );
  },
  async full(trained, { folder, base, latentIds, device, dtype }) {
    const { tokenizer, chatTemplate, imageProcessor } = base.processor;
    const generation = await base.folder.generationConfig();
    const files = {
      config: base.config,
      dtype: weightDtypes[dtype],
      preprocessor: imageProcessor.config,
      generation,
      tokenizer,
      chatTemplate,
    };
    await saveModelFiles(folder, files);
    const weights = await withRows(trained, latentIds, device);
    await writeSafetensors(path.join(folder, 'model.safetensors'), weightEntries(weights, dtype, device), {
      format: 'pt',
    });
  },
};

/** The weights with the latent rows in their places in the embedding table. */
async function withRows(
  { weights, rows }: Trainables,
  latentIds: readonly number[],
  device: Device,
): Promise<Trainables['weights']> {
  if (!rows) return weights;
  const name = 'model.language_model.embed_tokens.weight';
  const table = (await weights[name]!.data(device)) as Float32Array;
  table.set(await rows.data(device), latentIds[0]! * rows.shape[1]!);
  return { ...weights, [name]: tensor(table, weights[name]!.shape) };
}
