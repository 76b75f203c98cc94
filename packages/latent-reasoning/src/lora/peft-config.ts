/**
 * adapter_config.json of PEFT ↔ settings of an adapter.
 *
 * Fields that are not known here change nothing that is known of, and are written again as they were read. Fields that change
 * the maths in a way that is not supported have to be off. Source: peft 0.21 `tuners/lora/config.py`.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import { z } from 'zod';
import type { KeyLayout, PeftAdapter } from './adapter.js';
import type { LoraConfig } from './config.js';
import { commonEnding } from './keys.js';

/** Settings that change what an adapter computes; each has to be off. */
const offSettings = [
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

const names = z.array(z.string().max(4096)).max(4096);
const rank = z.number().int().min(1).max(4096);
const tokenIds = z.array(z.number().int().min(0)).max(1_000_000);

const schema = z.looseObject({
  ...(Object.fromEntries(offSettings.map((name) => [name, off])) as Record<(typeof offSettings)[number], typeof off>),
  peft_type: z.literal('LORA'),
  r: rank,
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).max(0.999).default(0),
  bias: z.literal('none').nullish(),
  // PiSSA and its like also change the base weights, which the file does not hold.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'eva', 'orthogonal'])]).nullish(),
  target_modules: z.union([z.string().max(4096), names]).nullish(),
  exclude_modules: z.union([z.string().max(4096), names]).nullish(),
  modules_to_save: z.array(z.string().max(256)).max(256).nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  layers_to_transform: z.union([z.number().int(), z.array(z.number().int()).max(65_536)]).nullish(),
  layers_pattern: z.union([z.string().max(4096), names]).nullish(),
  use_rslora: z.boolean().nullish(),
  trainable_token_indices: z.union([tokenIds, z.record(z.string(), tokenIds)]).nullish(),
});

export interface PeftSettings {
  readonly config: LoraConfig;
  /** Trained tokens by the module whose rows they are, as the file names it. */
  readonly tokens: Readonly<Record<string, readonly number[]>>;
  /** The file as it was. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** @throws InvalidInputError naming the field that is wrong or not supported */
export function readPeftConfig(json: unknown, location: string): PeftSettings {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new InvalidInputError(
      `${location}: adapter_config.json: ${issue.path.join('.') || 'the file'}: ${issue.message}; only plain LoRA adapters are supported`,
    );
  }
  const fields = parsed.data;
  const tokens = fields.trainable_token_indices ?? {};
  return {
    config: {
      rank: fields.r,
      alpha: fields.lora_alpha,
      dropout: fields.lora_dropout,
      // PEFT has no default for Qwen2.5-VL: the reader takes the layers that are in the file.
      targetModules: fields.target_modules ?? [],
      ...optional('excludeModules', fields.exclude_modules),
      ...optional('rankPattern', fields.rank_pattern),
      ...optional('alphaPattern', fields.alpha_pattern),
      ...optional('layersToTransform', listed(fields.layers_to_transform)),
      ...optional('layersPattern', listed(fields.layers_pattern)),
      ...(fields.use_rslora && { rankStabilized: true }),
      ...optional('modulesToSave', fields.modules_to_save),
    },
    tokens: Array.isArray(tokens) ? { embed_tokens: tokens } : tokens,
    settings: json as Readonly<Record<string, unknown>>,
  };
}

/**
 * The content of adapter_config.json.
 *
 * @param layout of the tensors beside it; the one that `peftEntries` chooses when left out
 */
export function peftConfig(
  { config, lora, tokenRows, headRows, settings, layout: own }: PeftAdapter,
  baseModel: string,
  { layout = own ?? 'new' }: { readonly layout?: KeyLayout } = {},
): Record<string, unknown> {
  const rows = {
    ...(tokenRows && { embed_tokens: [...tokenRows.ids] }),
    ...(headRows && { lm_head: [...headRows.ids] }),
  };
  return {
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    trainable_token_indices: Object.keys(rows).length > 0 ? rows : null,
    ...settings,
    base_model_name_or_path: baseModel,
    peft_type: 'LORA',
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    // A pattern fits the names of one layout; endings of names fit those of both.
    target_modules: layout === own || layout === 'new' ? config.targetModules : Object.keys(lora).map(commonEnding),
    exclude_modules: config.excludeModules ?? null,
    rank_pattern: config.rankPattern ?? {},
    alpha_pattern: config.alphaPattern ?? {},
    layers_to_transform: config.layersToTransform ?? null,
    layers_pattern: config.layersPattern ?? null,
    modules_to_save: config.modulesToSave ?? null,
    use_rslora: config.rankStabilized ?? false,
  };
}

const listed = <Item extends string | number>(value: Item | readonly Item[] | null | undefined): readonly Item[] =>
  value === null || value === undefined ? [] : typeof value === 'object' ? value : [value];

/** The field, unless it is absent or says nothing. */
function optional<Name extends keyof LoraConfig>(
  name: Name,
  value: LoraConfig[Name] | null | undefined,
): Partial<LoraConfig> {
  const says = value !== null && value !== undefined && Object.keys(value).length > 0;
  return says ? { [name]: value } : {};
}
