/**
 * In which precision a model holds its numbers, in one object.
 *
 *   weights      as they lie in memory and are read by `linear` and `embedding`: f32, f16, bf16 or quantised
 *   master       the copy that an optimiser updates (FSDP's and jmp's param_dtype)
 *   activations  what flows between layers, norms and softmax included
 *   accumulate   the width of sums inside products
 *
 * The last three are f32 and say so: f16 sums and f16 residual streams overflow beyond 65504 (Qwen2.5-VL does, in the last
 * block of its vision tower), and steps of 2⁻⁹ of a weight and less vanish when it is kept in bf16. What saves memory and
 * bandwidth without that loss is the width of the stored weights.
 */
import { ShapeError } from '../errors.js';
import { checkBitsAndGroup } from '../quantize/format.js';
import type { QuantizeOptions } from '../quantize/quantize.js';
import type { TensorSpec } from '../tensor.js';

/** How one weight is stored. */
export type WeightPrecision = 'f32' | 'f16' | 'bf16' | QuantizeOptions;

/** Chooses by the path of a leaf ("layers.3.attention.query.weight") and its shape and dtype. */
export type WeightChoice<Result> = (path: string, weight: TensorSpec) => Result;

export interface PrecisionPolicyOptions {
  /** One precision for all matrices, or a choice by path: 8 bits for the head and 4 for the rest, say. */
  readonly weights: WeightPrecision | WeightChoice<WeightPrecision>;
  readonly master?: 'f32';
  readonly activations?: 'f32';
  readonly accumulate?: 'f32';
  /** Weights that stay f32 whatever `weights` says. Vectors (norms, biases) always do. */
  readonly keep?: WeightChoice<boolean>;
}

export interface PrecisionPolicy {
  readonly master: 'f32';
  readonly activations: 'f32';
  readonly accumulate: 'f32';
  /**
   * The storage of one leaf: f32 for what is kept, for tensors of fewer than two axes, and, where the policy quantises,
   * for those of more than two.
   */
  precisionOf(path: string, weight: TensorSpec): WeightPrecision;
}

const losses = {
  master:
    'an update smaller than half a step of the format is lost, and most updates are: keep f32 masters and give the forward pass a copy with shadow()',
  activations:
    'residual streams and squares in norms overflow f16 and lose digits in bf16: keep f32 and store the weights in 16 bits',
  accumulate: 'sums of products overflow f16 and lose digits in bf16: products of 16-bit weights are summed in f32',
} as const;

const dense: readonly unknown[] = ['f32', 'f16', 'bf16'];

/** `precision` itself, or an error that names what is wrong with it. */
function checkedPrecision(precision: WeightPrecision, where: string): WeightPrecision {
  if (typeof precision === 'object')
    checkBitsAndGroup(`precisionPolicy: ${where}`, precision.bits, precision.groupSize ?? 64);
  else if (!dense.includes(precision))
    throw new ShapeError(
      `precisionPolicy: ${where} is ${String(precision)}: use 'f32', 'f16', 'bf16' or { bits: 4 | 8, groupSize: 32 | 64 | 128 }`,
    );
  return precision;
}

/**
 * A mixed-precision policy.
 *
 * @throws ShapeError for precisions that do not exist, and for those that lose accuracy: masters, activations or sums in
 *   anything but f32.
 */
export function precisionPolicy(options: PrecisionPolicyOptions): PrecisionPolicy {
  const { weights, keep = () => false } = options;
  for (const [field, loss] of Object.entries(losses)) {
    const given: string = options[field as keyof typeof losses] ?? 'f32';
    if (given !== 'f32') throw new ShapeError(`precisionPolicy: ${field} in ${given}: ${loss}`);
  }
  if (typeof weights !== 'function') checkedPrecision(weights, 'weights');
  return {
    master: 'f32',
    activations: 'f32',
    accumulate: 'f32',
    precisionOf(path, weight) {
      if (weight.shape.length < 2 || keep(path, weight)) return 'f32';
      const precision = typeof weights === 'function' ? checkedPrecision(weights(path, weight), path) : weights;
      return typeof precision === 'object' && weight.shape.length !== 2 ? 'f32' : precision;
    },
  };
}
