/**
 * A checkpoint to a quantised one, tensor by tensor.
 *
 * Each matrix `X.weight` that the plan quantises becomes `X.weight` (u32 codes), `X.scales` and `X.biases` (the offsets): the
 * affine layout of MLX under the tensor names of Hugging Face. Every other tensor is copied bit by bit.
 *
 * Memory contract: the result is entries that compute when they are asked for their data. A matrix is read and quantised in
 * windows of rows; only its codes are held whole. Writers ask for the codes of all matrices of a file before they ask for
 * scales and offsets, which wait on the host for that: an eighth of the codes of a file at 4 bits and groups of 64.
 */
import type { Device, SafetensorsEntry, TensorSource } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import {
  type QuantizationDecision,
  type QuantizationPlan,
  type QuantizationPolicy,
  planQuantization,
} from './policy.js';
import { type MatrixQuantizer, type QuantizedMatrix, createMatrixQuantizer } from './window-quantizer.js';

export interface QuantizeCheckpointOptions extends QuantizationPolicy {
  /** Computes the codes. */
  readonly device: Device;
  /** Elements of a matrix that are on the device at a time. */
  readonly windowElements?: number;
  /** Where the checkpoint is, for error messages. */
  readonly location?: string;
}

export interface QuantizedCheckpoint {
  readonly plan: QuantizationPlan;
  /** Every tensor of the result, in the order of the source, for `saveCheckpoint` or `safetensorsBytes`. */
  readonly entries: readonly SafetensorsEntry[];
}

/**
 * Plans the quantised form of a checkpoint; nothing but headers is read before an entry is asked for its data. The source has
 * to stay open until then.
 *
 * @throws InvalidInputError when it is quantised already; CheckpointError when tensors are missing or do not fit the
 *   configuration. Entries reject with InvalidInputError where a matrix holds numbers that are not finite.
 */
export function quantizeCheckpoint(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  { device, windowElements, location, ...policy }: QuantizeCheckpointOptions,
): QuantizedCheckpoint {
  const plan = planQuantization(source, config, policy, location);
  const quantizers = new Map<number, MatrixQuantizer>();
  const quantizerFor = (bits: NonNullable<QuantizationDecision['bits']>): MatrixQuantizer => {
    const known = quantizers.get(bits);
    if (known) return known;
    const made = createMatrixQuantizer(device, { ...plan.policy, bits }, windowElements);
    quantizers.set(bits, made);
    return made;
  };
  const entries = plan.tensors.flatMap((planned) =>
    planned.bits === undefined
      ? [copied(source, planned)]
      : quantized(source, planned, quantizerFor(planned.bits), plan.policy.scaleDtype, plan.policy.groupSize),
  );
  return { plan, entries };
}

const copied = (source: TensorSource, { name, info }: QuantizationDecision): SafetensorsEntry => ({
  name,
  dtype: info.dtype,
  shape: info.shape,
  data: async () => (await source.read(name)).data,
});

/** Codes, scales and offsets of one matrix: whichever is asked for first computes all three. */
function quantized(
  source: TensorSource,
  { name, info, bits }: QuantizationDecision,
  quantizeMatrix: MatrixQuantizer,
  scaleDtype: 'f16' | 'bf16',
  groupSize: number,
): SafetensorsEntry[] {
  const [rows, columns] = info.shape as [number, number];
  const waiting: { -readonly [Part in keyof QuantizedMatrix]?: QuantizedMatrix[Part] } = {};
  const take = async <Part extends keyof QuantizedMatrix>(part: Part): Promise<QuantizedMatrix[Part]> => {
    if (!waiting[part]) Object.assign(waiting, await quantizeMatrix(source, name));
    const taken = waiting[part]!;
    delete waiting[part];
    return taken as QuantizedMatrix[Part];
  };
  const module = name.replace(/\.weight$/, '');
  const factors = { dtype: scaleDtype === 'f16' ? 'F16' : 'BF16', shape: [rows, columns / groupSize] } as const;
  return [
    { name, dtype: 'U32', shape: [rows, (columns * bits!) / 32], data: () => take('codes') },
    { name: `${module}.scales`, ...factors, data: () => take('scales') },
    { name: `${module}.biases`, ...factors, data: () => take('offsets') },
  ];
}
