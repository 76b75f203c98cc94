/**
 * Adapters in the files of PEFT: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * Keys are `base_model.model.` + module path + `.lora_A.weight` / `.lora_B.weight`; trained token rows are
 * `…embed_tokens.token_adapter.trainable_tokens_delta` and replace the rows named by `trainable_token_indices`.
 * Source: peft `save_and_load.py`, `tuners/lora`, `tuners/trainable_tokens`.
 */
import { InvalidInputError, canonicalName } from '@mindseye/qwen-vl';
import { type Device, type SafetensorsEntry, type Tensor, type TensorSource, tensor } from '@mindseye/tensor-core';
import { z } from 'zod';
import type { LoraConfig, LoraPair, LoraParameters } from './lora.js';

export interface TrainedRows {
  /** Consecutive token ids. */
  readonly ids: readonly number[];
  /** [ids, hidden] */
  readonly rows: Tensor;
}

export interface PeftAdapter {
  readonly config: LoraConfig;
  readonly lora: LoraParameters;
  readonly tokenRows?: TrainedRows;
}

const prefix = 'base_model.model.';
const rowsKey = `${prefix}model.language_model.embed_tokens.token_adapter.trainable_tokens_delta`;

/** The content of adapter_config.json. */
export function peftConfig({ config, tokenRows }: PeftAdapter, baseModel: string): Record<string, unknown> {
  return {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    rank_pattern: {},
    alpha_pattern: {},
    // A pattern, because the bare names would also match the MLP of the vision tower.
    target_modules: `.*language_model.*\\.(${config.targetModules.join('|')})`,
    task_type: 'CAUSAL_LM',
    trainable_token_indices: tokenRows ? { embed_tokens: [...tokenRows.ids] } : null,
    use_dora: false,
    use_rslora: false,
  };
}

/** The tensors of adapter_model.safetensors. */
export async function peftEntries({ lora, tokenRows }: PeftAdapter, device: Device): Promise<SafetensorsEntry[]> {
  const entry = async (name: string, value: Tensor): Promise<SafetensorsEntry> => ({
    name,
    dtype: 'F32',
    shape: value.shape,
    data: (await value.data(device)) as Float32Array,
  });
  const entries: SafetensorsEntry[] = [];
  if (tokenRows) entries.push(await entry(rowsKey, tokenRows.rows));
  for (const [path, { a, b }] of Object.entries(lora)) {
    entries.push(await entry(`${prefix}${path}.lora_A.weight`, a), await entry(`${prefix}${path}.lora_B.weight`, b));
  }
  return entries;
}

/** Settings of PEFT that change what an adapter computes; each has to be off. */
const offSettings = [
  'use_rslora',
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'fan_in_fan_out',
  'lora_bias',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'velora_config',
  'monteclora_config',
  'layer_replication',
  'target_parameters',
] as const;
const off = z.union([z.literal(false), z.null(), z.array(z.unknown()).max(0)], 'is not supported').optional();

const schema = z.looseObject({
  ...(Object.fromEntries(offSettings.map((name) => [name, off])) as Record<(typeof offSettings)[number], typeof off>),
  peft_type: z.literal('LORA'),
  r: z.number().int().min(1).max(4096),
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).max(0.999).default(0),
  bias: z.literal('none').nullish(),
  // PiSSA and its like also change the base weights, which the file does not hold.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).nullish(),
  modules_to_save: z.array(z.string()).max(0).nullish(),
  rank_pattern: z.record(z.string(), z.number()).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  trainable_token_indices: z
    .union([z.array(z.number().int()), z.record(z.string(), z.array(z.number().int()))])
    .nullish(),
});

/**
 * Reads an adapter; both key layouts of Qwen2.5-VL are understood.
 *
 * @param json the parsed adapter_config.json
 * @param location for error messages
 * @throws InvalidInputError for a setting that changes the maths and is not supported, or tensors that do not match
 */
export async function readPeftAdapter(
  json: unknown,
  source: TensorSource,
  location = 'the adapter',
): Promise<PeftAdapter> {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new InvalidInputError(
      `${location}: adapter_config.json: ${issue.path.join('.') || 'the file'}: ${issue.message}; only plain LoRA adapters are supported`,
    );
  }
  const {
    r,
    lora_alpha: alpha,
    lora_dropout: dropout,
    trainable_token_indices: indices,
    rank_pattern,
    alpha_pattern,
  } = parsed.data;
  if (Object.keys(rank_pattern ?? {}).length + Object.keys(alpha_pattern ?? {}).length > 0) {
    throw new InvalidInputError(
      `${location}: adapter_config.json: rank_pattern and alpha_pattern are not supported; train the adapter with one rank`,
    );
  }
  const halves = new Map<string, { a?: Tensor; b?: Tensor }>();
  let rows: Tensor | undefined;
  for (const key of source.names()) {
    const match =
      /^base_model\.model\.(.+?)\.(lora_A|lora_B|token_adapter)(?:\.default)?\.(?:weight|trainable_tokens_delta)$/.exec(
        key,
      );
    if (!match)
      throw new InvalidInputError(
        `${location}: tensor ${key} is not a LoRA matrix or a trained token row; only those are supported`,
      );
    const value = tensor(await source.readFloat32(key), source.info(key).shape);
    const path = canonicalName(`${match[1]!}.`).slice(0, -1);
    if (match[2] === 'token_adapter' && !path.endsWith('.embed_tokens'))
      throw new InvalidInputError(
        `${location}: tensor ${key} trains rows of ${path}; only rows of embed_tokens are supported`,
      );
    if (match[2] === 'token_adapter') rows = value;
    else halves.set(path, { ...halves.get(path), [match[2] === 'lora_A' ? 'a' : 'b']: value });
  }
  const lora: Record<string, LoraPair> = {};
  for (const [path, { a, b }] of halves) {
    if (!a || !b || a.rank !== 2 || b.rank !== 2 || a.shape[0] !== r || b.shape[1] !== r)
      throw new InvalidInputError(
        `${location}: ${path} needs lora_A [${r}, in] and lora_B [out, ${r}]; the file is incomplete or of another rank`,
      );
    lora[path] = { a, b };
  }
  if (halves.size === 0 && !rows)
    throw new InvalidInputError(
      `${location}: adapter_model.safetensors holds no LoRA matrix and no trained token row; it would change nothing, save the adapter again`,
    );
  const ids = Array.isArray(indices) ? indices : indices?.['embed_tokens'];
  const targetModules = [...new Set(Object.keys(lora).map((path) => path.slice(path.lastIndexOf('.') + 1)))];
  return { config: { rank: r, alpha, dropout, targetModules }, lora, ...trainedRows(ids, rows, location) };
}

function trainedRows(
  ids: readonly number[] | undefined,
  rows: Tensor | undefined,
  location: string,
): { readonly tokenRows?: TrainedRows } {
  if (!ids?.length && !rows) return {};
  if (!ids || !rows || rows.shape[0] !== ids.length || !ids.every((id, i) => id === ids[0]! + i)) {
    throw new InvalidInputError(
      `${location}: trainable_token_indices (${ids?.length ?? 0} ids) and the trained rows (${rows?.shape[0] ?? 0}) do not fit; they must be as many, with consecutive ids`,
    );
  }
  return { tokenRows: { ids, rows } };
}

/** Throws when an adapter fits no layer of the model, or a layer with other sizes. A silent no-op is the commonest way to load one wrong. */
export function checkAdapterFits(
  { lora, tokenRows }: PeftAdapter,
  shapes: ReadonlyMap<string, readonly number[]>,
  location = 'the adapter',
): void {
  for (const [path, { a, b }] of Object.entries(lora)) {
    const shape = shapes.get(`${path}.weight`);
    if (!shape)
      throw new InvalidInputError(`${location}: the model has no layer ${path}; the adapter is of another model`);
    if (shape[0] !== b.shape[0] || shape[1] !== a.shape[1]) {
      throw new InvalidInputError(
        `${location}: ${path} adapts a [${b.shape[0]}, ${a.shape[1]}] layer, the model's is [${shape.join(', ')}]; the adapter is of another model`,
      );
    }
  }
  const table = shapes.get('model.language_model.embed_tokens.weight')!;
  if (tokenRows && (tokenRows.rows.shape[1] !== table[1] || tokenRows.ids.at(-1)! >= table[0]!)) {
    throw new InvalidInputError(
      `${location}: its token rows [${tokenRows.rows.shape.join(', ')}] for ids up to ${tokenRows.ids.at(-1)} do not fit the embedding table [${table.join(', ')}]; the adapter is of another model`,
    );
  }
}
