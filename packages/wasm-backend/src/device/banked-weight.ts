/**
 * Weights in a bank, where kernels cannot reach them: brought to the main memory a run of rows at a time, so that a run is read
 * again from a cache.
 */
import { type TensorSpec, byteLengthOf } from '@mindseye/tensor-core';
import { isBanked } from './banks.js';
import type { KernelCall, KernelOperand } from './kernel-row.js';

/** Bytes of a run: few enough for a cache, enough for a copy on all threads. */
const RUN_BYTES = 2 ** 21;
const LINE = 64;
const align = (bytes: number): number => Math.ceil(bytes / LINE) * LINE;

/** Bytes of one row of an operand. */
const rowBytes = (spec: TensorSpec): number => byteLengthOf(spec) / Math.max(spec.shape[0]!, 1);

/** Rows of a run: of all operands of a weight, such as codes and scales, the same. */
function rowsOfRun(weight: readonly TensorSpec[]): number {
  const bytes = weight.reduce((total, operand) => total + rowBytes(operand), 0);
  return Math.max(1, Math.min(weight[0]!.shape[0]!, Math.floor(RUN_BYTES / Math.max(bytes, 1))));
}

/** Bytes that a run of rows takes. */
export function bankedRunBytes(weight: readonly TensorSpec[]): number {
  const rows = rowsOfRun(weight);
  return weight.reduce((total, operand) => total + align(rows * rowBytes(operand)), 0);
}

/**
 * Calls `visit` with rows of a weight at main addresses: with all of them where it lies there, or run by run.
 *
 * @param into `bankedRunBytes` of room.
 */
export function forEachRunOfRows(
  weight: readonly KernelOperand[],
  fetch: KernelCall<unknown>['fetch'],
  into: number,
  visit: (from: number, rows: readonly KernelOperand[]) => void,
): void {
  if (!weight.some(({ pointer }) => isBanked(pointer))) return visit(0, weight);
  const [total, step] = [weight[0]!.shape[0]!, rowsOfRun(weight)];
  for (let from = 0; from < total; from += step) {
    const count = Math.min(step, total - from);
    let next = into;
    const rows = weight.map((operand) => {
      const bytes = rowBytes(operand);
      const shape = [count, ...operand.shape.slice(1)];
      const source = operand.pointer + from * bytes;
      if (!isBanked(operand.pointer)) return { ...operand, shape, pointer: source };
      const pointer = next;
      fetch(pointer, source, count * bytes);
      next += align(count * bytes);
      return { ...operand, shape, pointer };
    });
    visit(from, rows);
  }
}
