/**
 * What a quantised checkpoint says of itself in config.json, in the words of MLX:
 *
 *   "quantization": { "group_size": 64, "bits": 4, "mode": "affine", "<module>": { "group_size": 64, "bits": 8 } | false, … }
 *
 * A module is a tensor's name without `.weight`. Those with other bits than the first line have a line of their own; `false`
 * marks matrices that are dense. The same object stands under "quantization_config", which other readers look at.
 */
import type { JsonObject, JsonValue } from '../config/types.js';
import { InvalidInputError, quoteValue } from '../errors.js';
import { type QuantizationPlan, decoderBits } from './policy.js';

const FIELDS = ['quantization', 'quantization_config'] as const;

/**
 * The content of config.json for the quantised checkpoint.
 *
 * @param config parsed config.json of the source; nothing else of it changes.
 * @param location of the source, for error messages.
 * @throws InvalidInputError when it is that of a quantised checkpoint, or no object.
 */
export function quantizedConfigJson(
  config: unknown,
  { policy, tensors }: QuantizationPlan,
  location: string,
): JsonObject {
  const source = unquantizedConfig(config, location);
  const { groupSize, format } = policy;
  const bits = decoderBits(format);
  const modules = tensors
    .filter((tensor) => tensor.isMatrix && tensor.bits !== bits)
    .map(({ name, bits: own }): readonly [string, JsonValue] => [
      name.replace(/\.weight$/, ''),
      own === undefined ? false : { group_size: groupSize, bits: own },
    ]);
  const quantization = { group_size: groupSize, bits, mode: 'affine', ...Object.fromEntries(modules) };
  return { ...source, ...Object.fromEntries(FIELDS.map((field) => [field, quantization])) };
}

/** The configuration as an object. @throws InvalidInputError when it is none, or says that the weights are quantised already. */
export function unquantizedConfig(config: unknown, location: string): JsonObject {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new InvalidInputError(`${location}: config.json holds ${quoteValue(config)}; it must be an object`);
  const source = config as JsonObject;
  const said = FIELDS.find((field) => (source[field] ?? null) !== null);
  if (said !== undefined)
    throw new InvalidInputError(
      `${location}: it is quantised already (config.json has "${said}"); start from the original checkpoint`,
    );
  return source;
}
