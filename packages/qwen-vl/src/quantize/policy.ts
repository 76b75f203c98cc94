/**
 * Which tensors of a checkpoint become codes of how many bits. The bits of each form are in parts.ts.
 *
 * Vectors (norms, biases) and the patch kernel are never quantised; the vision tower stays as it is stored unless asked for.
 * A matrix whose columns are no multiple of the group has no place in the MLX layout and stays dense: in the published models
 * these are the vision tower's `down_proj` with 3420 columns.
 */
import {
  type QuantizationBits,
  type QuantizationGroupSize,
  type TensorInfo,
  type TensorSource,
  groupsPerRow,
  wordsPerRow,
} from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { InvalidInputError, quoteValue } from '../errors.js';
import { requireComplete } from '../load/load-report.js';
import { planCheckpoint } from '../load/plan-checkpoint.js';
import { canonicalName } from '../model/parameters.js';
import { type ModelPart, type QuantizationName, partOf, quantizationForms, quantizationNames } from './parts.js';

export interface QuantizationPolicy {
  readonly format: QuantizationName;
  /** Columns that share a scale and an offset; 64 when left out. */
  readonly groupSize?: QuantizationGroupSize;
  /** Quantise the vision tower too; false when left out: it is the part that suffers first. */
  readonly vision?: boolean;
  /** Storage of scales and offsets; f16 when left out. */
  readonly scaleDtype?: 'f16' | 'bf16';
}

/** What happens to one tensor. */
export interface QuantizationDecision {
  /** Its name in the source, and in the result. */
  readonly name: string;
  /** Its name in the module tree. */
  readonly canonical: string;
  readonly info: TensorInfo;
  /** Bits of its codes; undefined for a tensor that is copied. */
  readonly bits: QuantizationBits | undefined;
  /** True for a matrix of a linear layer or a table: what a reader may expect to find quantised. */
  readonly isMatrix: boolean;
  /** Why a matrix that the policy quantises stays dense. */
  readonly leftDense?: string;
}

export interface QuantizationPlan {
  readonly policy: Required<QuantizationPolicy>;
  readonly tensors: readonly QuantizationDecision[];
  /** Tensors of the source that are left out: a tied head stored beside its table. */
  readonly dropped: readonly string[];
  /** Bytes of all tensors before, and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Decides for every tensor of a checkpoint. Reads headers only.
 *
 * @param location where the checkpoint is, for error messages.
 * @throws InvalidInputError when the checkpoint is quantised already, or the policy does not exist; CheckpointError when tensors
 *   are missing or do not fit the configuration.
 */
export function planQuantization(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  policy: QuantizationPolicy,
  location: string = 'the checkpoint',
): QuantizationPlan {
  const complete = { groupSize: 64, vision: false, scaleDtype: 'f16', ...policy } as const;
  checkPolicy(complete);
  const names = source.names();
  const packed = names.find((name) => PACKED.test(name) || (name.endsWith('.weight') && isWords(source.info(name))));
  if (packed !== undefined)
    throw new InvalidInputError(
      `${location}: it is quantised already (it holds ${packed} as ${source.info(packed).dtype}); start from the original checkpoint`,
    );
  const { tensors: known, report } = planCheckpoint(source, config, { location });
  requireComplete(report, location);
  const matrices = new Map(
    known.flatMap(({ name, shape, source: from }) =>
      from.kind === 'dense' && shape.length === 2 ? [[from.stored, partOf(name)] as const] : [],
    ),
  );
  const dropped = names.filter((name) => config.tieWordEmbeddings && canonicalName(name) === 'lm_head.weight');
  const tensors = names
    .filter((name) => !dropped.includes(name))
    .map((name) => decide(name, source.info(name), matrices.get(name), complete));
  return {
    policy: complete,
    tensors,
    dropped,
    bytesBefore: names.reduce((total, name) => total + source.info(name).byteLength, 0),
    bytesAfter: tensors.reduce((total, tensor) => total + bytesAfter(tensor, complete.groupSize), 0),
  };
}

function checkPolicy({ format, groupSize }: Required<QuantizationPolicy>): void {
  if (!Object.hasOwn(quantizationForms, format))
    throw new InvalidInputError(
      `format ${quoteValue(format)} does not exist: choose one of ${quantizationNames.join(', ')}`,
    );
  if (![32, 64, 128].includes(groupSize))
    throw new InvalidInputError(`a group has 32, 64 or 128 columns, got ${quoteValue(groupSize)}`);
}

/** Parts that matrices are stored in by MLX, AWQ, GPTQ, compressed-tensors and bitsandbytes. */
const PACKED = /\.(scales|qweight|qzeros|weight_packed|weight_scale(_inv)?|absmax)$/;

const floatDtypes: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16', 'F64']);
const isWords = ({ dtype }: TensorInfo): boolean => !floatDtypes.has(dtype);

/** @param part of a matrix of the model; undefined for every other tensor. */
function decide(
  name: string,
  info: TensorInfo,
  part: ModelPart | undefined,
  { format, groupSize, vision }: Required<QuantizationPolicy>,
): QuantizationDecision {
  const dense = { name, canonical: canonicalName(name), info, isMatrix: part !== undefined, bits: undefined };
  if (!part || (part === 'vision' && !vision)) return dense;
  const columns = info.shape[1]!;
  if (columns % groupSize !== 0)
    return { ...dense, leftDense: `its ${columns} columns are not a multiple of the group of ${groupSize}` };
  return { ...dense, bits: quantizationForms[format][part] };
}

/** Bits of most matrices under a policy. */
export const decoderBits = (format: QuantizationName): QuantizationBits => quantizationForms[format].decoder;

/** Bytes of a tensor in the result: codes, scales and offsets, or what it had. */
function bytesAfter({ info, bits }: QuantizationDecision, groupSize: QuantizationGroupSize): number {
  if (bits === undefined) return info.byteLength;
  const [rows, columns] = info.shape as [number, number];
  const scaleBytes = 2;
  return rows * (4 * wordsPerRow({ bits, columns }) + 2 * scaleBytes * groupsPerRow({ groupSize, columns }));
}
