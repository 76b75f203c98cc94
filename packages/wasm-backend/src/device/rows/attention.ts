/**
 * Attention, forward and backward, k and v in f32, f16 or bf16. A mask becomes a tile map once per run, shared by all steps that
 * have it, and a short program per batch entry; see `kernels/attention.ts`.
 */
import {
  type AttentionAttributes,
  type HostTensor,
  type MaskExpression,
  type TensorSpec,
  hostView,
  maskProgram,
  maskTileMap,
} from '@mindseye/tensor-core';
import {
  type AttentionDirection,
  type AttentionMask,
  type AttentionSizes,
  type MaskSizes,
  type StoredMatrix,
  TILE_KEYS,
  TILE_QUERIES,
} from '../../kernels/index.js';
import type {
  BackwardAttributes,
  KernelCall,
  KernelOperand,
  KernelRequest,
  KernelRow,
  KernelRows,
} from '../kernel-row.js';
import { maskInstructions, maskProgramSizes } from '../mask-instructions.js';

/** q, k, v, and the operands of the mask. */
const maskOperandsFrom = 3;

type Sizes = Required<Omit<AttentionSizes, 'mask'>>;

function sizesOf([q, k]: readonly TensorSpec[]): Sizes {
  const [batch, queryHeads, queries, width] = q!.shape as [number, number, number, number];
  const [, keyHeads, keys] = k!.shape as [number, number, number];
  const group = keyHeads === 0 ? 0 : queryHeads / keyHeads;
  return { batch, keyHeads, group, queries, keys, width, storage: k!.dtype as StoredMatrix };
}

function maskSizesOf(mask: MaskExpression, operands: readonly TensorSpec[], batch: number): MaskSizes {
  // Entries that share all operands share the mask.
  const entries = operands.every(({ shape }) => shape[0] === 1) ? 1 : batch;
  return { entries, ...maskProgramSizes(maskProgram(mask)) };
}

/** The mask of a step. Its tile map is kept for the other steps of the run. */
function maskOf(
  { kernels: { memory }, memo }: KernelCall<unknown>,
  mask: MaskExpression,
  operands: readonly KernelOperand[],
  { batch, queries, keys }: Sizes,
): AttentionMask {
  const sizes = maskSizesOf(mask, operands, batch);
  const { entries } = sizes;
  const name = `${JSON.stringify(mask)}|${operands.map(({ value }) => value).join()}|${entries}|${queries}|${keys}`;
  let tiles = memo.get(name);
  if (!tiles) {
    const hosts = operands.map(({ shape, dtype, pointer }): HostTensor => {
      return { shape, dtype, data: hostView(memory.buffer, pointer, { shape, dtype }) };
    });
    const tileSizes = { batch: entries, queries, keys, tileQueries: TILE_QUERIES, tileKeys: TILE_KEYS };
    tiles = maskTileMap(mask, hosts, tileSizes).data;
    memo.set(name, tiles);
  }
  const view = new DataView(memory.buffer);
  const read = (pointer: number): number => view.getInt32(pointer, true);
  const program = maskProgram(mask);
  const programs = Array.from({ length: entries }, (_, entry) =>
    maskInstructions(program, { operands, entry, keys, read }),
  );
  return { ...sizes, programs, tiles };
}

const scratchBytes = (
  { kernels, inputs }: Pick<KernelRequest<object>, 'kernels' | 'inputs'>,
  direction: AttentionDirection,
  mask: MaskExpression | null,
  end?: number,
): number => {
  const sizes = sizesOf(inputs);
  const operands = inputs.slice(maskOperandsFrom, end);
  const maskSizes = mask ? maskSizesOf(mask, operands, sizes.batch) : undefined;
  return kernels.attentionScratchBytes({ ...sizes, mask: maskSizes }, direction);
};

/** The arguments that both directions have in common. */
function shared(call: KernelCall<unknown>, inputs: readonly KernelOperand[], { scale, mask }: AttentionAttributes) {
  const [q, k, v, ...operands] = inputs;
  const sizes = sizesOf([q!, k!]);
  return {
    ...sizes,
    scale,
    mask: mask ? maskOf(call, mask, operands, sizes) : undefined,
    q: q!.pointer,
    k: k!.pointer,
    v: v!.pointer,
  };
}

const attention: KernelRow<AttentionAttributes> = {
  scratchBytes: (request) => scratchBytes(request, 'forward', request.attributes.mask),
  run(call) {
    const { kernels, inputs, outputs, attributes } = call;
    const [y, lse] = outputs;
    const scratch = call.scratch(scratchBytes(call, 'forward', attributes.mask));
    kernels.attention({ ...shared(call, inputs, attributes), y: y!.pointer, lse: lse!.pointer, scratch });
  },
};

/** Inputs q, k, v, mask operands, y, lse and dy. */
const attentionBackward: KernelRow<BackwardAttributes<AttentionAttributes>> = {
  scratchBytes: (request) => {
    const { forward, inputCount } = request.attributes;
    return scratchBytes(request, 'backward', forward.mask, inputCount);
  },
  run(call) {
    const { kernels, inputs, outputs, attributes } = call;
    const { forward, inputCount } = attributes;
    const [y, lse, dy] = inputs.slice(inputCount);
    const [dq, dk, dv] = outputs;
    kernels.attentionBackward({
      ...shared(call, inputs.slice(0, inputCount), forward),
      y: y!.pointer,
      lse: lse!.pointer,
      dy: dy!.pointer,
      dq: dq!.pointer,
      dk: dk!.pointer,
      dv: dv!.pointer,
      scratch: call.scratch(scratchBytes(call, 'backward', forward.mask, inputCount)),
    });
  },
};

export const attentionRows: KernelRows = {
  attention: attention as KernelRow,
  attentionBackward: attentionBackward as KernelRow,
};
