/**
 * Attention, head by head. A mask becomes a tile map once per run, and bytes once per batch entry and run, for the blocks
 * of queries that see some but not all of the keys they look at.
 */
import {
  type AttentionAttributes,
  type HostTensor,
  type MaskExpression,
  type MaskTileMap,
  hostView,
  maskTileMap,
} from '@mindseye/tensor-core';
import type { VisibleKeys } from '../../kernels/attention-blocks.js';
import {
  type BackwardAttributes,
  type KernelCall,
  type KernelOperand,
  type KernelRequest,
  type KernelRow,
  type KernelRows,
  clear,
} from '../kernel-row.js';
import { maskBytes } from '../mask-bytes.js';
import { attentionTiles, visibleKeys } from '../visible-keys.js';

interface Heads {
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly scale: number;
  /** Byte offset of the mask bytes of the entry, if there is a mask. */
  readonly mask?: number;
  readonly visible?: readonly VisibleKeys[];
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
  const shared = { queries, keys, width, scale, scratch: base };
  const masks = mask && masksOf(call, operands, mask, { batch, queries, keys });
  for (let b = 0; b < batch; b++) {
    const seen = masks?.(b);
    if (seen) new Uint8Array(kernels.memory.buffer).set(seen.bytes, base + maskAt);
    const heads = { ...shared, ...(seen && { mask: base + maskAt, visible: seen.visible }) };
    for (let head = 0; head < queryHeads; head++) {
      const keyHead = b * keyHeads + Math.floor(head / (queryHeads / keyHeads));
      const queryHead = b * queryHeads + head;
      visit(heads, 4 * queryHead * queries * width, 4 * keyHead * keys * width, 4 * queryHead * queries);
    }
  }
}

/** What the kernel is told about one batch entry. */
interface EntryMask {
  readonly visible: readonly VisibleKeys[];
  readonly bytes: Uint8Array;
}

/** The mask of each batch entry; entries that share all operands share it, and so do the steps of a run. */
function masksOf(
  { kernels, memo }: KernelCall<unknown>,
  operands: readonly KernelOperand[],
  mask: MaskExpression,
  { batch, queries, keys }: { readonly batch: number; readonly queries: number; readonly keys: number },
): (entry: number) => EntryMask {
  const remember = (key: string, make: () => Uint8Array): Uint8Array => {
    const known = memo.get(key) ?? make();
    memo.set(key, known);
    return known;
  };
  const name = `${JSON.stringify(mask)}|${operands.map(({ value }) => value).join()}|${batch}|${queries}|${keys}`;
  const entries = operands.every(({ shape }) => shape[0] === 1) ? 1 : batch;
  const hosts = (): HostTensor[] =>
    operands.map(({ shape, dtype, pointer }) => {
      return { shape, dtype, data: hostView(kernels.memory.buffer, pointer, { shape, dtype }) };
    });
  const { tileQueries, tileKeys } = attentionTiles;
  const map: MaskTileMap = {
    shape: [entries, Math.ceil(queries / tileQueries), Math.ceil(keys / tileKeys)],
    data: remember(
      `tiles|${name}`,
      () => maskTileMap(mask, hosts(), { batch: entries, queries, keys, tileQueries, tileKeys }).data,
    ),
  };
  return (b) => {
    const entry = entries === 1 ? 0 : b;
    const visible = visibleKeys(map, entry, keys);
    const bytes = remember(`bytes|${name}|${entry}`, () => maskBytes(mask, hosts(), entry, { queries, keys }, visible));
    return { visible, bytes };
  };
}

/** Bytes that both directions ask for: the blocks' own, then a mask byte per query and key. */
function scratchBytes(
  { kernels, inputs: [q, k] }: Pick<KernelRequest<object>, 'kernels' | 'inputs'>,
  mask: MaskExpression | null,
): number {
  const [queries, width] = q!.shape.slice(2) as [number, number];
  const keys = k!.shape[2]!;
  const working = Math.ceil(kernels.attentionScratchBytes(queries, keys, width) / 64) * 64;
  return working + (mask ? queries * keys : 0);
}

const attention: KernelRow<AttentionAttributes> = {
  scratchBytes: (request) => scratchBytes(request, request.attributes.mask),
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
  scratchBytes: (request) => scratchBytes(request, request.attributes.forward.mask),
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
