/** The form of one row of the kernel table: which operands it takes, what scratch it needs and how it runs. */
import { type TensorSpec, byteSizeOf, sizeOf } from '@mindseye/tensor-core';
import type { Kernels } from '../kernels/index.js';
import type { KeptForm } from './kept-forms.js';

export interface KernelOperand extends TensorSpec {
  /** Number of the value in its plan: the same value of one run has the same contents, the same address may not. */
  readonly value: number;
  /** Byte offset of the first element. */
  readonly pointer: number;
}

export interface KernelCall<Attributes> {
  readonly kernels: Kernels;
  readonly inputs: readonly KernelOperand[];
  readonly outputs: readonly KernelOperand[];
  readonly attributes: Attributes;
  /**
   * Working memory until the next call.
   *
   * @throws Error for more bytes than `scratchBytes` of the row has said.
   */
  readonly scratch: (byteLength: number) => number;
  /** Copies bytes from an address in a bank to the main memory. */
  readonly fetch: (into: number, from: number, byteLength: number) => void;
  /** Room for the form that the row `keeps`, from the second run on; written here where it is fresh, only read otherwise. */
  readonly kept: KeptForm | undefined;
  /** What steps of one run share, by a key of their own: masks that every layer uses. */
  readonly memo: Map<string, Uint8Array>;
}

/** One application of an op, before anything runs. */
export interface KernelRequest<Attributes> {
  readonly kernels: Kernels;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly attributes: Attributes;
}

export interface KeptFormRequest {
  /** Position of the input. */
  readonly input: number;
  /** Names the form: all that its bytes depend on beside the input's. */
  readonly key: string;
  readonly byteLength: number;
}

/**
 * A row may be given outputs that lie on its inputs where the op says so (`op.overwrites`): it reads every element before it
 * writes there.
 */
export interface KernelRow<Attributes extends object = object> {
  /** False for operands that the reference loops should take; the row takes everything when left out. */
  takes?(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: Attributes): boolean;
  /** The most bytes that `run` asks `scratch` for; 0 when left out. Known before the run, so that a run allocates nothing. */
  scratchBytes?(request: KernelRequest<Attributes>): number;
  /** Positions of inputs that `run` reads at addresses in banks, by `fetch`; all others are brought to the main memory first. */
  readsBanks?(attributes: Attributes): readonly number[];
  /** A form of one input that pays to be kept while its value lasts, such as a packed weight; undefined for none. */
  keeps?(request: KernelRequest<Attributes>): KeptFormRequest | undefined;
  run(call: KernelCall<Attributes>): void;
}

export type KernelRows = Readonly<Record<string, KernelRow>>;

/** Attributes of the derived `…Backward` ops; their inputs are the forward inputs, the outputs, and the cotangent. */
export interface BackwardAttributes<Attributes> {
  readonly forward: Attributes;
  readonly inputCount: number;
}

export const isF32 = (...specs: readonly (TensorSpec | undefined)[]): boolean =>
  specs.every((spec) => spec?.dtype === 'f32');

export const columnsOf = (spec: TensorSpec): number => spec.shape.at(-1) ?? 1;

export const rowsOf = (spec: TensorSpec): number => sizeOf(spec.shape.slice(0, -1));

/** Sets the bytes of a value to 0. */
export function clear(kernels: Pick<Kernels, 'fill'>, { pointer, shape, dtype }: KernelOperand): void {
  kernels.fill(pointer, 0, sizeOf(shape) * byteSizeOf(dtype));
}
