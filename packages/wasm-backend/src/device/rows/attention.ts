/** Attention, head by head; masks become bytes once per batch entry and run. */
import { type AttentionAttributes, hostView, sizeOf } from '@mindseye/tensor-core';
import {
  type BackwardAttributes,
  type KernelCall,
  type KernelOperand,
  type KernelRow,
  type KernelRows,
  clear,
} from '../kernel-row.js';
import { type MaskRow, maskBytes } from '../mask-bytes.js';

interface Heads {
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly scale: number;
  /** Byte offset of the mask of the entry, if there is one. */
  readonly mask?: number;
  readonly scratch: number;
}

/** Calls `visit` for each (batch entry, query head), with the byte places of the head in q-like, k-like and lse-like values. */
function forEachHead(
  call: KernelCall<unknown>,
  operands: readonly KernelOperand[],
  { scale, mask }: AttentionAttributes,
  visit: (heads: Heads, query: number, key: number, row: number) => void,
): void {
  const {
    kernels,
    inputs: [q, k],
    scratch,
  } = call;
  const [batch, queryHeads, queries, width] = q!.shape as [number, number, number, number];
  const [, keyHeads, keys] = k!.shape as [number, number, number];
  const working = kernels.attentionScratchBytes(queries, keys, width);
  const maskAt = Math.ceil(working / 64) * 64;
  const base = scratch(maskAt + (mask ? queries * keys : 0));
  const sizes = { queries, keys, width, scale, scratch: base, ...(mask && { mask: base + maskAt }) };
  for (let b = 0; b < batch; b++) {
    if (mask) new Uint8Array(kernels.memory.buffer).set(bytesOf(call, operands, mask, b, queries, keys), base + maskAt);
    for (let head = 0; head < queryHeads; head++) {
      const keyHead = b * keyHeads + Math.floor(head / (queryHeads / keyHeads));
      const queryHead = b * queryHeads + head;
      visit(sizes, 4 * queryHead * queries * width, 4 * keyHead * keys * width, 4 * queryHead * queries);
    }
  }
}

function bytesOf(
  { kernels, memo }: KernelCall<unknown>,
  operands: readonly KernelOperand[],
  mask: NonNullable<AttentionAttributes['mask']>,
  batch: number,
  queries: number,
  keys: number,
): Uint8Array {
  const shared = operands.every(({ shape }) => shape[0] === 1);
  const key = `${JSON.stringify(mask)}|${operands.map(({ value }) => value).join()}|${shared ? 0 : batch}|${queries}|${keys}`;
  const known = memo.get(key);
  if (known) return known;
  const row: MaskRow = (operand) => {
    const spec = operands[operand]!;
    const data = hostView(kernels.memory.buffer, spec.pointer, spec);
    if (spec.shape[0] === 1) return data;
    const length = sizeOf(spec.shape.slice(1));
    return data.subarray(batch * length, (batch + 1) * length);
  };
  const bytes = maskBytes(mask, row, queries, keys);
  memo.set(key, bytes);
  return bytes;
}

const attention: KernelRow<AttentionAttributes> = {
  run(call) {
    const {
      kernels,
      inputs: [q, k, v, ...operands],
      outputs: [y, lse],
      attributes,
    } = call;
    forEachHead(call, operands, attributes, (heads, query, key, row) => {
      kernels.attention({
        ...heads,
        q: q!.pointer + query,
        k: k!.pointer + key,
        v: v!.pointer + key,
        y: y!.pointer + query,
        lse: lse!.pointer + row,
      });
    });
  },
};

/** Inputs q, k, v, mask operands, y, lse and dy. */
const attentionBackward: KernelRow<BackwardAttributes<AttentionAttributes>> = {
  run(call) {
    const {
      kernels,
      inputs,
      outputs: [dq, dk, dv],
      attributes: { forward, inputCount },
    } = call;
    const [q, k, v, ...operands] = inputs.slice(0, inputCount);
    const [y, lse, dy] = inputs.slice(inputCount);
    clear(kernels.memory, dk!);
    clear(kernels.memory, dv!);
    forEachHead(call, operands, forward, (heads, query, key, row) => {
      kernels.attentionBackward({
        ...heads,
        q: q!.pointer + query,
        k: k!.pointer + key,
        v: v!.pointer + key,
        y: y!.pointer + query,
        lse: lse!.pointer + row,
        dy: dy!.pointer + query,
        dq: dq!.pointer + query,
        dk: dk!.pointer + key,
        dv: dv!.pointer + key,
      });
    });
  },
};

export const attentionRows: KernelRows = {
  attention: attention as KernelRow,
  attentionBackward: attentionBackward as KernelRow,
};
