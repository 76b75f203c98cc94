/**
 * Indices that only a running kernel sees: a row outside its table is an error, not a wrong number.
 *
 * Kernels that follow indices bind five shared words: [faults so far, kernel, index, count, limit], for rows from `index` on,
 * `count` of them, of a table of `limit`. The first fault writes the rest. A run clears them, and the `checked` profile reads
 * them back after it.
 */
import { usage } from './buffers.js';

const statusWords = 5;
export const statusBytes: number = 4 * statusWords;
export const statusType: string = `array<atomic<u32>, ${statusWords}>`;

/** What the second word says; the position in this list plus 1. */
const checkedKernels = ['gather', 'scatterAdd', 'updateSlice'] as const;

export type CheckedKernel = (typeof checkedKernels)[number];

/** Declares `reportFault(index, count, limit)` for one kernel. */
export const faultReport = (kernel: CheckedKernel): string => `
fn reportFault(index: i32, count: u32, limit: u32) {
  if (atomicAdd(&status[0], 1u) == 0u) {
    atomicStore(&status[1], ${checkedKernels.indexOf(kernel) + 1}u);
    atomicStore(&status[2], bitcast<u32>(index));
    atomicStore(&status[3], count);
    atomicStore(&status[4], limit);
  }
}`;

/** In the words of the ops' own checks. */
const faultMessage: Readonly<Record<CheckedKernel, (index: number, count: number, limit: number) => string>> = {
  gather: (index, _count, limit) => `gather: index ${index} is outside the table's ${limit} rows`,
  scatterAdd: (index, _count, limit) => `scatterAdd: index ${index} is outside the table's ${limit} rows`,
  updateSlice: (index, count, limit) => `updateSlice: rows ${index} to ${index + count} leave the capacity of ${limit}`,
};

export const createStatus = (gpu: GPUDevice): GPUBuffer =>
  gpu.createBuffer({ size: statusBytes, usage: usage.storage | usage.copySource | usage.copyDestination });

/** The RangeError that status words stand for. */
export function faultOf(words: ArrayBuffer): RangeError | undefined {
  const [faults, kernel, , count, limit] = new Uint32Array(words) as unknown as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (faults === 0) return undefined;
  const index = new Int32Array(words)[2]!;
  return new RangeError(faultMessage[checkedKernels[kernel - 1]!](index, count, limit));
}
