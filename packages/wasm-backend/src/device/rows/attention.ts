/**
 * Attention, one call for the query heads that share a key head, head by head backwards. k and v may be stored in f16 or bf16;
 * gradients of those are left to the ops that the backward op decomposes into. A mask becomes a tile map once per run, and bytes once per batch entry and run, for the blocks
 * of queries that see some but not all of the keys they look at.
 */
import {
  type AttentionAttributes,
  type HostTensor,
  type MaskExpression,
  type MaskTileMap,
  type TensorSpec,
  byteSizeOf,
  hostView,
  maskTileMap,
} from '@mindseye/tensor-core';
import type { VisibleKeys } from '../../kernels/attention-blocks.js';
import type { AttentionSizes, Kernels, StoredMatrix } from '../../kernels/index.js';
import {
  type BackwardAttributes,
  type KernelCall,
  type KernelOperand,
  type KernelRequest,
  type KernelRow,
  type KernelRows,
  clear,
  isF32,
} from '../kernel-row.js';
import { maskBytes } from '../mask-bytes.js';
import { attentionTiles, visibleKeys } from '../visible-keys.js';

interface Heads {
  /** Query heads that share the key head. */
  readonly heads: number;
  readonly storage: StoredMatrix;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly scale: number;
  /** Byte offset of the mask bytes of the entry, if there is a mask. */
  readonly mask?: number;
  readonly visible?: readonly VisibleKeys[];
  readonly scratch: number;
}

/**
 * Calls `visit` for each (batch entry, key head), with the byte places of the key head in k-like values, and of its first query
 * head in q-like and lse-like values.
 */
function forEachKeyHead(
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
  const [batch, keyHeads] = k!.shape as [number, number];
  const sizes = sizesOf([q!, k!]);
  const { queries, keys, width } = sizes;
  const maskAt = workingBytes(kernels, sizes);
  const base = scratch(maskAt + (mask ? queries * keys : 0));
  const shared = { ...sizes, scale, scratch: base };
  const masks = mask && masksOf(call, operands, mask, { batch, queries, keys });
  for (let b = 0; b < batch; b++) {
    const seen = masks?.(b);
    if (seen) new Uint8Array(kernels.memory.buffer).set(seen.bytes, base + maskAt);
    const heads = { ...shared, ...(seen && { mask: base + maskAt, visible: seen.visible }) };
    for (let keyHead = b * keyHeads; keyHead < (b + 1) * keyHeads; keyHead++) {
      const row = keyHead * sizes.heads * queries;
      visit(heads, 4 * row * width, byteSizeOf(k!.dtype) * keyHead * keys * width, 4 * row);
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

/** The sizes of all that meets one key head. */
function sizesOf([q, k]: readonly TensorSpec[]): Required<AttentionSizes> {
  const [, queryHeads, queries, width] = q!.shape as [number, number, number, number];
  const [, keyHeads, keys] = k!.shape as [number, number, number];
  return { heads: queryHeads / keyHeads, queries, keys, width, storage: k!.dtype as StoredMatrix };
}

const workingBytes = (kernels: Kernels, sizes: AttentionSizes): number =>
  Math.ceil(kernels.attentionScratchBytes(sizes) / 64) * 64;

/** Bytes that both directions ask for: the blocks' own, then a mask byte per query and key. */
function scratchBytes(
  { kernels, inputs }: Pick<KernelRequest<object>, 'kernels' | 'inputs'>,
  mask: MaskExpression | null,
): number {
  const sizes = sizesOf(inputs);
  return workingBytes(kernels, sizes) + (mask ? sizes.queries * sizes.keys : 0);
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
    forEachKeyHead(call, operands, attributes, (heads, query, key, row) => {
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
  takes: ([, k]) => isF32(k),
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
    forEachKeyHead(call, operands, forward, ({ heads, storage: _f32, ...shared }, query, key, row) => {
      for (let head = 0; head < heads; head++) {
        const at = query + 4 * head * shared.queries * shared.width;
        kernels.attentionBackward({
          ...shared,
          q: q!.pointer + at,
          k: k!.pointer + key,
          v: v!.pointer + key,
          y: y!.pointer + at,
          lse: lse!.pointer + row + 4 * head * shared.queries,
          dy: dy!.pointer + at,
          dq: dq!.pointer + at,
          dk: dk!.pointer + key,
          dv: dv!.pointer + key,
        });
      }
    });
  },
};

export const attentionRows: KernelRows = {
  attention: attention as KernelRow,
  attentionBackward: attentionBackward as KernelRow,
};
