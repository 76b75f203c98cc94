/**
 * The vision tower of Qwen2.5-VL: patches of one or more images of the same size → visual tokens.
 *
 *   x = patches·Wᵀ, reordered by windows;  x += proj(attn(norm1 x));  x += down(silu(gate n)∘up n), n = norm2 x;
 *   tokens = mlp(concat of each 2×2 block of ln_q x), put back into raster order.
 *
 * Shapes, with B images of n patches each: pixel values [B, n, C·T·P·P] → visual tokens [B, n / 4, outHiddenSize].
 * Source: transformers `modeling_qwen2_5_vl.py`, Qwen2_5_VisionTransformerPretrainedModel.
 */
import {
  type Tensor,
  add,
  attention,
  gather,
  gelu,
  linear,
  mask,
  permute,
  reshape,
  rmsNorm,
  rope,
  slice,
  swiglu,
  tensor,
} from '@mindseye/tensor-core';
import type { Qwen2_5_VLVisionConfig } from '../config/types.js';
import { type ModelContext, applyLinear, weight } from './context.js';
import type { GridThw } from './rope-index.js';
import { visionRotary } from './rotary.js';
import { visionLayout } from './window-index.js';

/** Norms of the vision tower add this to the mean square; it is not in the configuration. */
const epsilon = 1e-6;

/** The run-time operands of one image size, for B images of that size. */
export interface VisionOperands {
  /** i32 [B·n / 4]: the unit at each place, images one after another. */
  readonly windowIndex: Tensor;
  /** i32 [B·n / 4]: the place of each unit. */
  readonly unitPlace: Tensor;
  /** i32 [1, n]. */
  readonly windowOf: Tensor;
  readonly frameOf: Tensor;
  /** f32 [1, n, headDim / 2]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
}

export function visionOperands(config: Qwen2_5_VLVisionConfig, grid: GridThw, images: number): VisionOperands {
  const { windowIndex, unitPlace, windowOf, frameOf, coordinates } = visionLayout(config, grid);
  const headDim = config.hiddenSize / config.numHeads;
  const { cos, sin } = visionRotary(headDim, coordinates);
  const perImage = (places: Int32Array): Tensor => {
    const all = new Int32Array(images * places.length);
    for (let image = 0; image < images; image++)
      places.forEach((place, i) => (all[image * places.length + i] = image * places.length + place));
    return tensor(all);
  };
  return {
    windowIndex: perImage(windowIndex),
    unitPlace: perImage(unitPlace),
    windowOf: tensor(windowOf, [1, windowOf.length]),
    frameOf: tensor(frameOf, [1, frameOf.length]),
    cos: tensor(cos, [1, windowOf.length, headDim / 2]),
    sin: tensor(sin, [1, windowOf.length, headDim / 2]),
  };
}

export interface VisionOutputs {
  /** [B, n, hidden] in patch order. */
  readonly patchEmbed: Tensor;
  /** [B, n, hidden] after each block, in window order. */
  readonly blocks: readonly Tensor[];
  /** [B, n / 4, outHiddenSize] in raster order. */
  readonly tokens: Tensor;
}

export function visionForward(context: ModelContext, pixelValues: Tensor, operands: VisionOperands): VisionOutputs {
  const { depth, hiddenSize, spatialMergeSize, fullattBlockIndexes } = context.config.visionConfig;
  const [images, patches, inputs] = pixelValues.shape as [number, number, number];
  const block = spatialMergeSize ** 2;
  const units = (x: Tensor): Tensor => reshape(x, [(images * patches) / block, -1]);
  const kernel = reshape(weight(context, 'model.visual.patch_embed.proj.weight'), [hiddenSize, inputs]);
  const patchEmbed = linear(pixelValues, kernel);
  let x = reshape(gather(units(patchEmbed), operands.windowIndex), patchEmbed.shape);
  const full = new Set(fullattBlockIndexes);
  const blocks: Tensor[] = [];
  for (let index = 0; index < depth; index++) {
    x = visionBlock(
      context,
      x,
      operands,
      `model.visual.blocks.${index}`,
      full.has(index) ? operands.frameOf : operands.windowOf,
    );
    blocks.push(x);
  }
  const normal = rmsNorm(x, weight(context, 'model.visual.merger.ln_q.weight'), epsilon);
  const merged = applyLinear(
    context,
    'model.visual.merger.mlp.2',
    gelu(applyLinear(context, 'model.visual.merger.mlp.0', units(normal))),
  );
  return { patchEmbed, blocks, tokens: reshape(gather(merged, operands.unitPlace), [images, patches / block, -1]) };
}

/**
 * The block `name` on patches x [B, n, hidden] in window order.
 *
 * @param segmentOf i32 [1, n]: patches attend to those of the same number, their window or their frame.
 */
export function visionBlock(
  context: ModelContext,
  x: Tensor,
  { cos, sin }: Pick<VisionOperands, 'cos' | 'sin'>,
  name: string,
  segmentOf: Tensor,
): Tensor {
  const { hiddenSize, numHeads } = context.config.visionConfig;
  const [images, patches] = x.shape as [number, number];
  const normal = rmsNorm(x, weight(context, `${name}.norm1.weight`), epsilon);
  const qkv = permute(
    reshape(applyLinear(context, `${name}.attn.qkv`, normal), [images, patches, 3, numHeads, hiddenSize / numHeads]),
    [2, 0, 3, 1, 4],
  );
  const [q, k, v] = [0, 1, 2].map((part) => reshape(slice(qkv, 0, part, part + 1), qkv.shape.slice(1))) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const attended = attention(rope(q, cos, sin), rope(k, cos, sin), v, { mask: mask.segments(segmentOf) });
  const joined = reshape(permute(attended, [0, 2, 1, 3]), [images, patches, hiddenSize]);
  const h = add(x, applyLinear(context, `${name}.attn.proj`, joined));
  const n = rmsNorm(h, weight(context, `${name}.norm2.weight`), epsilon);
  const gated = swiglu(
    applyLinear(context, `${name}.mlp.gate_proj`, n),
    applyLinear(context, `${name}.mlp.up_proj`, n),
  );
  return add(h, applyLinear(context, `${name}.mlp.down_proj`, gated));
}
