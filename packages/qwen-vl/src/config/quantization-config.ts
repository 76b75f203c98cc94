/**
 * The quantisation that a config.json declares -> `QuantizationConfig`.
 *
 * Read dialects: MLX (`quantization`, repeated as `quantization_config`, with overrides by module path), AutoAWQ, AutoGPTQ and
 * GPTQModel, AutoRound in either packing, and compressed-tensors' packed integers. What the files' headers say for themselves
 * (which matrices are packed, and in most formats how many bits) is not taken from here; what they cannot say is: whether
 * words are packed as AWQ or GPTQ do, how zero points are stored, and MLX's widths.
 *
 * Sources: transformers `utils/quantization_config.py`; mlx `nn/layers/quantized.py`; compressed-tensors `quant_args.py`.
 */
import { z } from 'zod';
import { ConfigError, quoteValue } from '../errors.js';
import { canonicalName } from '../model/parameters.js';
import { validate } from './validation.js';

/** Bits of a code, and columns that share a scale. */
export interface GroupFormat {
  readonly bits: number;
  readonly groupSize: number;
}

export type QuantizationConfig =
  | {
      readonly method: 'mlx';
      /** What modules have that are not in `modules`. */
      readonly standard: GroupFormat;
      /** By canonical module path: another format, or false for modules that are dense. */
      readonly modules: ReadonlyMap<string, GroupFormat | false>;
    }
  | { readonly method: 'awq' }
  | {
      readonly method: 'gptq';
      /** What the file stores less than the zero point: 1 in the first version of the format, 0 in the second. */
      readonly zeroPointBias: 0 | 1;
    }
  | { readonly method: 'compressed-tensors' };

/** Most per-module entries; the 72B has under 1,000 modules. */
const MAX_MODULES = 65_536;

const groupFormatSchema = z.looseObject({
  bits: z.literal([4, 8], 'codes of 4 and 8 bits are supported'),
  group_size: z.literal([32, 64, 128], 'groups of 32, 64 and 128 columns are supported'),
  mode: z.literal('affine', 'the only supported MLX mode is "affine"').nullish(),
});

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function resolveMlx(json: Readonly<Record<string, unknown>>, source: string): QuantizationConfig {
  const formatOf = (value: unknown, where: string): GroupFormat => {
    const { bits, group_size: groupSize } = validate(groupFormatSchema, value, where);
    return { bits, groupSize };
  };
  const modules = new Map<string, GroupFormat | false>();
  for (const [key, value] of Object.entries(json)) {
    if (value !== false && !isObject(value)) continue;
    if (modules.size === MAX_MODULES)
      throw new ConfigError(`${source}: more than ${MAX_MODULES} modules; get the file again from its source`);
    // Paths are renamed like tensors, whose rules end in a dot.
    const path = canonicalName(`${key}.`).slice(0, -1);
    modules.set(path, value === false ? false : formatOf(value, `${source}: ${quoteValue(key)}`));
  }
  return { method: 'mlx', standard: formatOf(json, source), modules };
}

const awqSchema = z.looseObject({
  bits: z.literal(4, 'AWQ is supported with 4 bits').nullish(),
  version: z
    .string()
    .toLowerCase()
    .pipe(z.literal('gemm', 'AWQ is supported in the packing of version "gemm"'))
    .nullish(),
  zero_point: z.literal(true, 'AWQ is supported with zero points').nullish(),
});

const gptqSchema = z.looseObject({
  bits: z.literal([4, 8], 'GPTQ is supported with 4 and 8 bits').nullish(),
  checkpoint_format: z.literal(['gptq', 'gptq_v2'], 'supported are "gptq" and "gptq_v2"').nullish(),
});

const compressedSchema = z.looseObject({
  format: z.literal('pack-quantized', 'the only supported compressed-tensors format is "pack-quantized"').nullish(),
  config_groups: z
    .record(
      z.string(),
      z.looseObject({
        weights: z
          .looseObject({
            num_bits: z.literal([4, 8], 'weights of 4 and 8 bits are supported').nullish(),
            type: z.literal('int', 'only integer weights are supported').nullish(),
            strategy: z.literal(['group', 'channel'], 'scales by group or channel are supported').nullish(),
          })
          .nullish(),
        input_activations: z.null('quantised activations are not supported').optional(),
      }),
    )
    .nullish(),
});

const autoRoundSchema = z.looseObject({
  bits: z.literal([4, 8], 'AutoRound is supported with 4 and 8 bits').nullish(),
  packing_format: z.literal(
    ['auto_round:auto_gptq', 'auto_round:gptq', 'auto_round:auto_awq', 'auto_round:awq'],
    'AutoRound is supported in the packings of GPTQ and AWQ',
  ),
});

type Resolver = (json: Readonly<Record<string, unknown>>, source: string) => QuantizationConfig;

function resolveAwq(json: unknown, source: string): QuantizationConfig {
  validate(awqSchema, json, source);
  return { method: 'awq' };
}

function resolveGptq(json: unknown, source: string): QuantizationConfig {
  const { checkpoint_format: format } = validate(gptqSchema, json, source);
  return { method: 'gptq', zeroPointBias: format === 'gptq_v2' ? 0 : 1 };
}

function resolveAutoRound(json: unknown, source: string): QuantizationConfig {
  const { packing_format: packing } = validate(autoRoundSchema, json, source);
  return packing.endsWith('awq') ? { method: 'awq' } : { method: 'gptq', zeroPointBias: 1 };
}

function resolveCompressed(json: unknown, source: string): QuantizationConfig {
  validate(compressedSchema, json, source);
  return { method: 'compressed-tensors' };
}

const resolvers: ReadonlyMap<string, Resolver> = new Map<string, Resolver>([
  ['mlx', resolveMlx],
  ['awq', resolveAwq],
  ['gptq', resolveGptq],
  ['auto-round', resolveAutoRound],
  ['intel/auto-round', resolveAutoRound],
  ['compressed-tensors', resolveCompressed],
]);

/** What one does instead of loading a format that is known and not read. */
const UNQUANTISED = 'take the float16, bfloat16 or float32 checkpoint, and quantise it while loading';
const cures: ReadonlyMap<string, string> = new Map([
  ['bitsandbytes', `its blocks are made for CUDA: ${UNQUANTISED}`],
  ['fp8', `8-bit floats are not read: ${UNQUANTISED}`],
  ['fbgemm_fp8', `8-bit floats are not read: ${UNQUANTISED}`],
  ['gguf', `GGUF is no safetensors: ${UNQUANTISED}`],
]);

function resolveMethod(json: Readonly<Record<string, unknown>>, source: string): QuantizationConfig {
  // MLX is the one dialect that does not name itself.
  const method = json['quant_method'] ?? (Object.hasOwn(json, 'group_size') ? 'mlx' : undefined);
  const resolver = typeof method === 'string' ? resolvers.get(method) : undefined;
  if (resolver) return resolver(json, source);
  throw new ConfigError(
    `${source}: quant_method ${quoteValue(method)} is not supported; supported: ${[...resolvers.keys()].join(', ')}; ` +
      ((typeof method === 'string' ? cures.get(method) : undefined) ?? UNQUANTISED),
  );
}

/**
 * Resolves what a config.json says about the quantisation of its weights.
 * @param json the parsed content of config.json; it is not trusted
 * @param source the file's name, the first word of every error
 * @returns undefined for a checkpoint that is not quantised
 * @throws ConfigError in one line: a method, width or packing that is not read, and what to do about it
 */
export function resolveQuantizationConfig(
  json: unknown,
  source: string = 'config.json',
): QuantizationConfig | undefined {
  if (!isObject(json)) throw new ConfigError(`${source}: the file must hold a JSON object`);
  for (const field of ['quantization', 'quantization_config'] as const) {
    const value = Object.hasOwn(json, field) ? json[field] : undefined;
    if (value === undefined || value === null) continue;
    if (!isObject(value)) throw new ConfigError(`${source}: ${field}: expected an object (got ${quoteValue(value)})`);
    return resolveMethod(value, `${source}: ${field}`);
  }
  return undefined;
}
