/**
 * Checkpoint → weights, with a strict report.
 *
 * The plan is made from headers (`plan-checkpoint.ts`); then tensors are read one after another. Memory: beside what has been
 * built there is one tensor and a window of the file on the host, and with a device what has been built is not on the host
 * either. Nothing is held twice.
 */
import {
  type Device,
  type PrecisionPolicy,
  type TensorSource,
  type Weight,
  type WeightPrecision,
  precisionPolicy,
} from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import type { Weights } from '../model/context.js';
import { type QuantizationName, partOf, quantizationForms, quantizationNames } from '../quantize/parts.js';
import { buildPacked } from './formats/build-packed.js';
import { denseDtypeOf, readChannelsLast, readDense } from './formats/dense.js';
import { type LoadReport, requireComplete } from './load-report.js';
import { type InspectOptions, type PlannedTensor, planCheckpoint } from './plan-checkpoint.js';
import { type ReadContext, WINDOW_BYTES } from './read-context.js';

export interface LoadOptions extends InspectOptions {
  /**
   * What matrices are kept in. `auto`, the default, is what the files have: bf16 stays bf16, packed codes stay packed (f64
   * becomes f32). A precision or a policy is for all others: dense matrices are cast or quantised, packed ones stay packed
   * where it quantises and are dequantised where it does not. Vectors and the patch kernel are always f32. `int8`, `int4` and
   * `mixed` quantise the language model in groups of 64 and leave the vision tower as it is stored.
   */
  readonly dtype?: 'auto' | WeightPrecision | QuantizationName | PrecisionPolicy;
  /** Puts every tensor there as it is read, so that its host memory can go. Without it tensors move when first used. */
  readonly device?: Device;
  /** Told after each tensor, for progress bars: tensors and bytes of the files so far, and in all. */
  readonly onProgress?: (done: number, total: number, bytes: { readonly done: number; readonly total: number }) => void;
  /** Stops between reads. */
  readonly signal?: AbortSignal;
  /** Refuses a checkpoint that lacks a tensor or has one of another shape; true when left out. Else such tensors are left out. */
  readonly strict?: boolean;
  /** Bytes of the files on the host at a time where they have to be rewritten; 2 MiB when left out. */
  readonly windowBytes?: number;
}

/**
 * Reads all weights of a checkpoint.
 *
 * @returns weights by their names in the module tree, whatever names the files use, and what was found
 * @throws CheckpointError (a ConfigError, with `report`) naming the first tensors that are missing or do not fit config.json;
 *   InvalidInputError when two tensors are one; SafetensorsError when a file cannot be read; the signal's reason when aborted
 */
export async function loadWeights(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  options: LoadOptions = {},
): Promise<{ readonly weights: Weights; readonly report: LoadReport }> {
  const { location = 'the checkpoint', dtype = 'auto', strict = true, onProgress } = options;
  const { tensors, report } = planCheckpoint(source, config, options);
  if (strict) requireComplete(report, location);
  const chosen = chooser(dtype);
  let bytesDone = 0;
  const context: ReadContext = {
    source,
    location,
    device: options.device,
    signal: options.signal,
    windowBytes: options.windowBytes ?? WINDOW_BYTES,
    onBytes: (count) => {
      bytesDone += count;
    },
  };
  const weights: Record<string, Weight> = {};
  const dequantised: { name: string; reason: string }[] = [];
  for (const [i, tensor] of tensors.entries()) {
    context.signal?.throwIfAborted();
    const { weight, dequantised: reason } = await read(context, tensor, chosen);
    weights[tensor.name] = weight;
    if (reason !== undefined) dequantised.push({ name: tensor.name, reason });
    onProgress?.(i + 1, tensors.length, { done: bytesDone, total: report.bytes });
  }
  return { weights, report: { ...report, dequantised } };
}

const isQuantizationName = (dtype: NonNullable<LoadOptions['dtype']>): dtype is QuantizationName =>
  quantizationNames.some((name) => name === dtype);

/** The precision that the caller wants for a tensor; undefined for that of the file. */
type Chooser = (tensor: PlannedTensor) => WeightPrecision | undefined;

function chooser(dtype: NonNullable<LoadOptions['dtype']>): Chooser {
  if (dtype === 'auto') return () => undefined;
  if (isQuantizationName(dtype))
    return ({ name }) => {
      const part = partOf(name);
      return part === 'vision' ? undefined : { bits: quantizationForms[dtype][part], symmetric: false };
    };
  const policy = typeof dtype === 'object' && 'precisionOf' in dtype ? dtype : precisionPolicy({ weights: dtype });
  return ({ name, shape }) => policy.precisionOf(name, { shape, dtype: 'f32' });
}

async function read(
  context: ReadContext,
  { shape, source, ...tensor }: PlannedTensor,
  chosen: Chooser,
): Promise<{ readonly weight: Weight; readonly dequantised?: string }> {
  const isMatrix = shape.length === 2;
  const wanted = isMatrix ? chosen({ shape, source, ...tensor }) : 'f32';
  if (source.kind === 'packed')
    return buildPacked(context, source.matrix, source.parts, typeof wanted === 'object' ? undefined : wanted);
  if (source.channelsLast) return { weight: await readChannelsLast(context, source.stored) };
  const precision = wanted ?? denseDtypeOf(context.source.info(source.stored).dtype)!;
  return { weight: await readDense(context, source.stored, shape, precision) };
}
