/** An adapter in memory: what PEFT and MLX files hold, in one form. */
import type { ParameterShapes } from '@mindseye/qwen-vl';
import type { Tensor } from '@mindseye/tensor-core';
import type { LoraConfig } from './config.js';
import type { LoraParameters } from './lora.js';

/** Rows that take the place of a table's own. */
export interface TrainedRows {
  /** Token ids, in the order of the rows. */
  readonly ids: readonly number[];
  /** [ids, hidden] */
  readonly rows: Tensor;
}

/** How tensors of a file are named: since transformers 4.52, or before. */
export type KeyLayout = 'new' | 'old';

export interface PeftAdapter {
  readonly config: LoraConfig;
  readonly lora: LoraParameters;
  /** Of the embedding table; a tied output head reads them too. */
  readonly tokenRows?: TrainedRows;
  /** Of an output head of its own. */
  readonly headRows?: TrainedRows;
  /** Whole tensors by canonical name, in place of the model's own (`modules_to_save`). */
  readonly saved?: Readonly<Record<string, Tensor>>;
  /** adapter_config.json as it was read, so that what is not understood here is written again. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Of the file it was read from. */
  readonly layout?: KeyLayout;
  /** Layers that the file has tensors for and its configuration does not target: left out, as PEFT leaves them out. */
  readonly untargeted?: readonly string[];
}

/** The tensors of an adapter with their canonical names, as they are counted in reports. */
export function adapterTensors({ lora, tokenRows, headRows, saved }: PeftAdapter): Map<string, Tensor> {
  return new Map([
    ...Object.entries(lora).flatMap(([path, { a, b }]): [string, Tensor][] => [
      [`${path}.lora_A`, a],
      [`${path}.lora_B`, b],
    ]),
    ...(tokenRows ? ([[`${embeddingPath}.rows`, tokenRows.rows]] as [string, Tensor][]) : []),
    ...(headRows ? ([[`${headPath}.rows`, headRows.rows]] as [string, Tensor][]) : []),
    ...Object.entries(saved ?? {}),
  ]);
}

export const embeddingPath = 'model.language_model.embed_tokens';
export const headPath = 'lm_head';

/** Shape of the output head, which has no tensor of its own when it is tied. */
export const headShape = (shapes: ParameterShapes): readonly number[] =>
  shapes.get(`${headPath}.weight`) ?? shapes.get(`${embeddingPath}.weight`)!;
