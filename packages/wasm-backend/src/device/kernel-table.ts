/** Which ops have a WebAssembly kernel. A new kernel is a row in the file of its family. */
import type { Op, TensorSpec } from '@mindseye/tensor-core';
import type { KernelRow, KernelRows } from './kernel-row.js';
import { attentionRows } from './rows/attention.js';
import { elementwiseRows } from './rows/elementwise.js';
import { imageRows } from './rows/images.js';
import { indexedRows } from './rows/indexed.js';
import { movementRows } from './rows/movement.js';
import { optimizerRows } from './rows/optimizer.js';
import { productRows } from './rows/products.js';
import { quantizedRows } from './rows/quantized.js';
import { randomRows } from './rows/random.js';
import { rowRows } from './rows/rows.js';

export interface Application {
  readonly op: Op;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly attributes: object;
}

const kernelTable: KernelRows = {
  ...productRows,
  ...quantizedRows,
  ...elementwiseRows,
  ...rowRows,
  ...attentionRows,
  ...optimizerRows,
  ...movementRows,
  ...indexedRows,
  ...randomRows,
  ...imageRows,
};

/** Ops whose own loops go over their operands once, where the ops they decompose into would go many times. */
export const loopOps: ReadonlySet<string> = new Set(['cumulativeSum', 'multiHot']);

/** Names of the ops with a kernel, for the supported-op table. */
export const kernelNames: readonly string[] = Object.keys(kernelTable);

/** The kernel for one application of an op, or undefined where no row takes it. */
export function kernelFor({ op, inputs, outputs, attributes }: Application): KernelRow | undefined {
  const row = kernelTable[op.name];
  return row && (row.takes?.(inputs, outputs, attributes) ?? true) ? row : undefined;
}
