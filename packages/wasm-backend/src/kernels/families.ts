/** The table of kernel families: what each emits, in a module of its own, and the methods it is bound to. */
import { ModuleBuilder } from '../emit/index.js';
import { type ActivationKernels, bindActivation, emitActivation } from './activation.js';
import { type AdamWKernels, bindAdamW, emitAdamW } from './adamw.js';
import { type ArgmaxKernels, bindArgmax, emitArgmax } from './argmax.js';
import {
  type AttentionBackwardKernels,
  type AttentionKernels,
  bindAttention,
  bindAttentionBackward,
  emitAttention,
  emitAttentionBackward,
} from './attention.js';
import { type ConstantKernels, bindConstants, emitConstants } from './constants.js';
import { type CrossEntropyKernels, bindCrossEntropy, emitCrossEntropy } from './cross-entropy.js';
import { type DequantizeKernels, bindDequantize, emitDequantize } from './dequantize.js';
import { type ElementwiseKernels, bindElementwise, emitElementwiseFamily } from './elementwise.js';
import { type GatherKernels, bindGather, emitGather } from './gather.js';
import { type HalfKernels, bindHalf, emitHalf } from './half.js';
import type { KernelContext, KernelHost } from './host.js';
import { type LayerNormKernels, bindLayerNorm, emitLayerNorm } from './layer-norm.js';
import { type MatmulKernels, bindMatmul, emitMatmul } from './matmul/matmul.js';
import {
  type QuantizedRowProductKernels,
  bindQuantizedRowProducts,
  emitQuantizedRowProducts,
} from './matmul/quantized-row-products.js';
import { type RowProductKernels, bindRowProducts, emitRowProducts } from './matmul/row-products.js';
import { type MoveKernels, bindMoves, emitMoves } from './moves.js';
import { type NormKernels, bindNorm, emitNorm } from './norm.js';
import { type PatchKernels, bindPatches, emitPatches } from './patches.js';
import { type RandomKernels, bindRandom, emitRandom } from './random.js';
import { type ResampleKernels, bindResample, emitResample } from './resample.js';
import { type RopeKernels, bindRope, emitRope } from './rope.js';
import { emitRowBlocks } from './row-blocks.js';
import { type RowVectorKernels, bindRowVector, emitRowVector } from './row-vector.js';
import { type ScatterKernels, bindScatter, emitScatter } from './scatter.js';
import { type SoftmaxKernels, bindSoftmax, emitSoftmax } from './softmax.js';
import { ARITHMETIC, type Tier } from './tier.js';

interface FamilyMethods {
  readonly matmul: MatmulKernels;
  readonly rowProducts: RowProductKernels;
  readonly quantizedRowProducts: QuantizedRowProductKernels;
  readonly half: HalfKernels;
  readonly dequantize: DequantizeKernels;
  readonly elementwise: ElementwiseKernels;
  readonly activation: ActivationKernels;
  readonly rowVector: RowVectorKernels;
  readonly norm: NormKernels;
  readonly layerNorm: LayerNormKernels;
  readonly softmax: SoftmaxKernels;
  readonly rope: RopeKernels;
  readonly crossEntropy: CrossEntropyKernels;
  readonly attention: AttentionKernels;
  readonly attentionBackward: AttentionBackwardKernels;
  readonly adamW: AdamWKernels;
  readonly random: RandomKernels;
  readonly resample: ResampleKernels;
  readonly patches: PatchKernels;
  readonly moves: MoveKernels;
  readonly argmax: ArgmaxKernels;
  readonly scatter: ScatterKernels;
  readonly gather: GatherKernels;
  readonly constants: ConstantKernels;
}

export type FamilyName = keyof FamilyMethods;

type Intersection<Union> = (Union extends unknown ? (part: Union) => void : never) extends (part: infer Whole) => void
  ? Whole
  : never;

/** The methods of all families. */
export type KernelMethods = Intersection<FamilyMethods[FamilyName]>;

interface Family<Methods> {
  readonly emit: readonly ((context: KernelContext) => void)[];
  readonly bind: (host: KernelHost) => Methods;
}

export const FAMILIES: { readonly [Name in FamilyName]: Family<FamilyMethods[Name]> } = {
  matmul: { emit: [emitMatmul], bind: bindMatmul },
  rowProducts: { emit: [emitRowProducts], bind: bindRowProducts },
  quantizedRowProducts: { emit: [emitQuantizedRowProducts], bind: bindQuantizedRowProducts },
  half: { emit: [emitHalf], bind: bindHalf },
  dequantize: { emit: [emitDequantize], bind: bindDequantize },
  elementwise: { emit: [emitElementwiseFamily], bind: bindElementwise },
  activation: { emit: [emitActivation], bind: bindActivation },
  rowVector: { emit: [emitRowVector], bind: bindRowVector },
  norm: { emit: [emitRowBlocks, emitNorm], bind: bindNorm },
  layerNorm: { emit: [emitRowBlocks, emitLayerNorm], bind: bindLayerNorm },
  softmax: { emit: [emitSoftmax], bind: bindSoftmax },
  rope: { emit: [emitRope], bind: bindRope },
  crossEntropy: { emit: [emitCrossEntropy], bind: bindCrossEntropy },
  attention: { emit: [emitAttention], bind: bindAttention },
  attentionBackward: { emit: [emitAttentionBackward], bind: bindAttentionBackward },
  adamW: { emit: [emitAdamW], bind: bindAdamW },
  random: { emit: [emitRandom], bind: bindRandom },
  resample: { emit: [emitResample], bind: bindResample },
  patches: { emit: [emitPatches], bind: bindPatches },
  moves: { emit: [emitMoves], bind: bindMoves },
  argmax: { emit: [emitArgmax], bind: bindArgmax },
  scatter: { emit: [emitScatter], bind: bindScatter },
  gather: { emit: [emitGather], bind: bindGather },
  constants: { emit: [emitConstants], bind: bindConstants },
};

export const familyNames: readonly FamilyName[] = Object.keys(FAMILIES) as FamilyName[];

/** The bytes of a family's module. */
export function emitFamily(name: FamilyName, tier: Tier, sharedMemory: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ sharedMemory, label: `${tier} ${name}` });
  for (const emit of FAMILIES[name].emit) emit({ module, tier, arithmetic: ARITHMETIC[tier] });
  return module.encode();
}
