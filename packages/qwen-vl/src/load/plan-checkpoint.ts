/**
 * Which tensors of a checkpoint become which tensors of the model: decided from headers alone, before any data is read.
 *
 * Every tensor that the configuration asks for must be found once, under its old, new or MLX name, dense or packed, with the
 * exact shape. What the files have beyond that is listed.
 */
import type { TensorInfo, TensorSource } from '@mindseye/tensor-core';
import type { QuantizationConfig } from '../config/quantization-config.js';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { ConfigError, InvalidInputError, quoteValue } from '../errors.js';
import { type NameLayout, nameLayout, parameterShapes } from '../model/parameters.js';
import { denseDtypeOf, kernelShape } from './formats/dense.js';
import type { PackedMatrix, PartNames, PartSpec, StoredFormat } from './formats/format.js';
import { type LoadReport, type MismatchedTensor, type StoredTensor } from './load-report.js';
import { elementsOf } from './read-context.js';
import { type StoredModule, packedFormatOf, splitName, storedModules } from './stored-modules.js';

export interface InspectOptions {
  /** What config.json says of quantisation: `resolveQuantizationConfig`. */
  readonly quantization?: QuantizationConfig | undefined;
  /** Where the checkpoint is, for error messages. */
  readonly location?: string;
}

/** One tensor to load. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly source:
    | { readonly kind: 'dense'; readonly stored: string; readonly channelsLast: boolean }
    | { readonly kind: 'packed'; readonly matrix: PackedMatrix; readonly parts: PartNames };
}

export interface CheckpointPlan {
  readonly tensors: readonly PlannedTensor[];
  readonly report: LoadReport;
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);
const shown = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** What became of one tensor that the model needs. */
interface Outcome {
  readonly used: readonly string[];
  readonly format: StoredFormat;
  readonly planned?: PlannedTensor;
  readonly missing?: readonly string[];
  readonly mismatched?: readonly MismatchedTensor[];
}

type Wanted = Pick<PlannedTensor, 'name' | 'shape'>;

function mismatch(
  { name, shape }: Wanted,
  stored: string,
  info: TensorInfo,
  problem: string,
  configShape: readonly number[] = shape,
): MismatchedTensor {
  return { name, stored, dtype: info.dtype, fileShape: info.shape, configShape, problem };
}

const wrongShape = (info: TensorInfo, configShape: readonly number[]): string =>
  `the file has ${shown(info.shape)}, config.json makes it ${shown(configShape)}`;

function planDense(wanted: Wanted, stored: string, info: TensorInfo): Outcome {
  const { name, shape } = wanted;
  const outcome = { used: [stored], format: 'dense' } as const;
  if (denseDtypeOf(info.dtype) === undefined) {
    const problem = `${info.dtype} is no dtype of weights that is read; convert it to BF16, F16 or F32`;
    return { ...outcome, mismatched: [mismatch(wanted, stored, info, problem)] };
  }
  const moved = kernelShape(info.shape, nameLayout(stored));
  const channelsLast = moved !== undefined && sameShape(moved, shape);
  if (!channelsLast && !sameShape(info.shape, shape))
    return { ...outcome, mismatched: [mismatch(wanted, stored, info, wrongShape(info, shape))] };
  return { ...outcome, planned: { name, shape, source: { kind: 'dense', stored, channelsLast } } };
}

function planPacked(
  wanted: Wanted,
  { path, names, infos }: StoredModule,
  format: NonNullable<ReturnType<typeof packedFormatOf>>,
  quantization: QuantizationConfig | undefined,
): Outcome {
  const { name, shape } = wanted;
  const [mark] = [...infos].find(([part]) => part !== 'bias')!;
  const matrix =
    shape.length === 2
      ? format.describe(shape as readonly [number, number], infos, quantization, path)
      : 'only matrices can be packed';
  if (typeof matrix === 'string') {
    const used = [...names].filter(([part]) => part !== 'bias').map(([, stored]) => stored);
    const mismatched = [mismatch(wanted, names.get(mark)!, infos.get(mark)!, matrix)];
    return { used, format: format.method, mismatched };
  }
  const specs = [...Object.entries(matrix.required), ...Object.entries(matrix.optional)];
  const present = specs.filter(([part]) => names.has(part));
  const used = present.map(([part]) => names.get(part)!);
  const outcome = { used, format: format.method };
  const missing = Object.keys(matrix.required).filter((part) => !names.has(part));
  if (missing.length > 0) return { ...outcome, missing: missing.map((part) => `${path}.${part}`) };
  const mismatched = present.flatMap(([part, spec]) => {
    const problem = partProblem(infos.get(part)!, spec);
    return problem === undefined ? [] : [mismatch(wanted, names.get(part)!, infos.get(part)!, problem, spec.shape)];
  });
  if (mismatched.length > 0) return { ...outcome, mismatched };
  return { ...outcome, planned: { name, shape, source: { kind: 'packed', matrix, parts: names } } };
}

function partProblem(info: TensorInfo, { shape, dtypes }: PartSpec): string | undefined {
  if (!sameShape(info.shape, shape)) return wrongShape(info, shape);
  return dtypes.includes(info.dtype) ? undefined : `it is ${info.dtype}, and has to be ${dtypes.join(' or ')}`;
}

/** Finds one tensor of the model; undefined when nothing of it is there. */
function planTensor(
  wanted: Wanted,
  module: StoredModule | undefined,
  quantization: QuantizationConfig | undefined,
  location: string,
): Outcome | undefined {
  const [path, part] = splitName(wanted.name);
  if (!module) return undefined;
  const format = part === 'weight' ? packedFormatOf(module.infos, quantization) : undefined;
  const dense = module.names.get(part);
  if (part === 'weight' && !format && module.names.has('qweight'))
    throw new ConfigError(
      `${location}: ${path}.qweight is packed as AWQ or GPTQ do, and config.json does not say which (quantization_config); take config.json from the same checkpoint`,
    );
  if (format && format.method !== 'mlx' && dense !== undefined)
    throw new InvalidInputError(
      `${location}: ${quoteValue(dense)} lies beside the same matrix packed as ${format.method}; remove one of them`,
    );
  if (format) return planPacked(wanted, module, format, quantization);
  return dense === undefined ? undefined : planDense(wanted, dense, module.infos.get(part)!);
}

function layoutOf(names: readonly string[]): NameLayout | 'mixed' | undefined {
  const layouts = new Set(names.map(nameLayout).filter((layout) => layout !== undefined));
  return layouts.size > 1 ? 'mixed' : [...layouts][0];
}

const tally = <Key extends string>(keys: readonly Key[]): Partial<Record<Key, number>> => {
  const counts: Partial<Record<Key, number>> = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
};

/**
 * Plans the loading of a checkpoint from its headers.
 * @throws InvalidInputError when two tensors are one, ConfigError when packed matrices are not explained by config.json
 */
export function planCheckpoint(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  { quantization, location = 'the checkpoint' }: InspectOptions = {},
): CheckpointPlan {
  const modules = storedModules(source, location);
  const expected = parameterShapes(config);
  const tensors: PlannedTensor[] = [];
  const missing: string[] = [];
  const mismatched: MismatchedTensor[] = [];
  const stored: StoredTensor[] = [];
  const used = new Set<string>();
  for (const [name, shape] of expected) {
    const module = modules.get(splitName(name)[0]);
    const outcome = planTensor({ name, shape }, module, quantization, location);
    for (const part of outcome?.used ?? []) used.add(part);
    if (outcome?.planned) {
      tensors.push(outcome.planned);
      stored.push({ name, shape, format: outcome.format, stored: outcome.used });
    } else if (outcome?.mismatched) mismatched.push(outcome.mismatched[0]!);
    else missing.push(outcome?.missing?.[0] ?? name);
  }
  const mine = [...used];
  if (config.tieWordEmbeddings) {
    const head = checkTiedHead(modules.get('lm_head'), config, quantization, location);
    for (const name of head.used) used.add(name);
    mismatched.push(...head.mismatched);
  }
  return {
    tensors,
    report: {
      loaded: tensors.length,
      missing,
      unexpected: source.names().filter((name) => !used.has(name)),
      mismatched,
      layout: layoutOf(mine),
      dtypes: tally(mine.map((name) => source.info(name).dtype)),
      formats: tally(stored.map(({ format }) => format)),
      tensors: stored,
      dequantised: [],
      parameters: tensors.reduce((total, tensor) => total + elementsOf(tensor), 0),
      bytes: mine.reduce((total, name) => total + source.info(name).byteLength, 0),
    },
  };
}

/** A tied head that was saved beside its embedding says nothing new, as long as it is of the same shape. */
function checkTiedHead(
  module: StoredModule | undefined,
  { textConfig: { vocabSize, hiddenSize } }: Qwen2_5_VLConfig,
  quantization: QuantizationConfig | undefined,
  location: string,
): { readonly used: readonly string[]; readonly mismatched: readonly MismatchedTensor[] } {
  const wanted = { name: 'lm_head.weight', shape: [vocabSize, hiddenSize] };
  const { used = [], mismatched = [] } = planTensor(wanted, module, quantization, location) ?? {};
  return { used, mismatched };
}

/**
 * What loading a checkpoint would find, from headers alone: the report of `loadWeights`, without reading any data and
 * without refusing what is missing.
 * @throws InvalidInputError when two tensors are one, ConfigError when packed matrices are not explained by config.json
 */
export const inspectCheckpoint = (
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  options: InspectOptions = {},
): LoadReport => planCheckpoint(source, config, options).report;
