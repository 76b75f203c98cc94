/** The contract of a kernel: which applications of an op it takes, and the dispatches that compute one. */
import type { DType, TensorSpec } from '@mindseye/tensor-core';
import type { Dispatch } from '../wgsl/dispatch.js';

export interface KernelCall<Attributes = object> {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly attributes: Attributes;
  /**
   * For each input the output that lies on its bytes, if any; only for kernels that are `inPlace`. Such an input may not be
   * bound: WebGPU refuses a buffer that is bound for reading and for writing. The body reads it out of the output's binding.
   */
  readonly overwritten?: readonly (number | undefined)[];
}

export interface Kernel<Attributes = object> {
  /**
   * False for dtypes or attributes that the shader does not handle.
   * @param storageBuffers how many storage buffers one shader may bind on this adapter.
   */
  accepts(inputs: readonly TensorSpec[], attributes: Attributes, storageBuffers: number): boolean;
  /** Run in order; each sees the writes of those before it. A dispatch of no workgroups is left out. */
  lower(call: KernelCall<Attributes>): readonly Dispatch[];
  /** True when outputs may lie on inputs as the op's `overwrites` says. */
  readonly inPlace?: boolean;
}

/** f16 and bf16 only travel and are cast. */
export const isArithmetic = (dtype: DType): boolean => dtype === 'f32' || dtype === 'i32' || dtype === 'u32';

export const allF32 = (inputs: readonly TensorSpec[]): boolean => inputs.every(({ dtype }) => dtype === 'f32');
