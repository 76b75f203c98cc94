/** Which ops have a WebAssembly kernel. A new kernel is a row in the file of its family. */
import type { Op, TensorSpec } from '@mindseye/tensor-core';
import type { KernelRow, KernelRows } from './kernel-row.js';
import { attentionRows } from './rows/attention.js';
import { elementwiseRows } from './rows/elementwise.js';
import { movementRows } from './rows/movement.js';
import { optimizerRows } from './rows/optimizer.js';
import { productRows } from './rows/products.js';
import { randomRows } from './rows/random.js';
import { rowRows } from './rows/rows.js';

const kernelTable: KernelRows = {
  ...productRows,
  ...elementwiseRows,
  ...rowRows,
  ...attentionRows,
  ...optimizerRows,
  ...movementRows,
  ...randomRows,
};

/** Names of the ops with a kernel, for the supported-op table. */
export const kernelNames: readonly string[] = Object.keys(kernelTable);

/** The kernel for one application of `op`, or undefined when its reference loops run. */
export function kernelFor(
  op: Op,
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
  attributes: object,
): KernelRow['run'] | undefined {
  const row = kernelTable[op.name];
  return row && (row.takes?.(inputs, outputs, attributes) ?? true) ? (call) => row.run(call) : undefined;
}
