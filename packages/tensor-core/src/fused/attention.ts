/**
 * Scaled dot-product attention with grouped queries and a mask (Vaswani et al. 2017; GQA: Ainslie et al. 2023).
 *
 *   P = softmax_k(scale · q·kᵀ over allowed keys),   y = P·v,   lse = log Σ_k e^(scale·q·k)
 *
 * q [B, Hq, Sq, D], k and v [B, Hk, Sk, D] with Hq a multiple of Hk: query head h reads key head ⌊h / (Hq/Hk)⌋.
 * Outputs y [B, Hq, Sq, D] and lse [B, Hq, Sq], kept for the backward pass (+Infinity for a query that sees no key, so
 * that e^(s − lse) is 0 there). Backward, with δ = Σ_d dy∘y:
 *   dv = Pᵀ·dy,   ds = P∘(dy·vᵀ − δ)·scale,   dq = ds·k,   dk = dsᵀ·q,   summed over the query heads of a group.
 *
 * k and v are both f32, both f16 or both bf16: a cache may be stored in half the bytes. q, y, lse and all arithmetic are f32,
 * a stored value is widened as it is read; the gradients of k and v are rounded to their dtype, once.
 */
import { decoderOf, encoderOf, isFloat } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type HostTensor, apply, requireF32 } from '../op.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { equal } from '../ops/compare.js';
import { exp } from '../ops/exp.js';
import { log } from '../ops/log.js';
import { matmul } from '../ops/matmul.js';
import { max } from '../ops/max.js';
import { mul } from '../ops/mul.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { formatOperands } from '../ops/operands.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import type { Mask } from '../mask/mask.js';
import { type MaskExpression, splitMask } from '../mask/expression.js';
import { maskTensor } from '../mask/mask-tensor.js';
import { checkMaskOperands } from '../mask/operands.js';
import { type MaskPredicate, maskPredicate } from '../mask/predicate.js';
import { type FusedPair, defineFused } from './define.js';
import { softmax } from './softmax.js';

export interface AttentionAttributes {
  readonly scale: number;
  readonly mask: MaskExpression | null;
}

/** k or v as f32, repeated so that each query head has its own: [B, Hk, S, D] → [B, Hq, S, D]. */
function repeatHeads(stored: Tensor, queryHeads: number): Tensor {
  const x = cast(stored, 'f32');
  const [batch, heads, length, width] = x.shape as [number, number, number, number];
  const group = queryHeads / heads;
  if (group === 1) return x;
  return reshape(broadcastTo(reshape(x, [batch, heads, 1, length, width]), [batch, heads, group, length, width]), [
    batch,
    queryHeads,
    length,
    width,
  ]);
}

/** scale·q·kᵀ with -Infinity where the mask forbids: [B, Hq, Sq, Sk]. */
function maskedScores(q: Tensor, k: Tensor, operands: readonly Tensor[], { scale, mask }: AttentionAttributes): Tensor {
  const scores = mul(matmul(q, repeatHeads(k, q.shape[1]!), { transposeB: true }), scale);
  if (!mask) return scores;
  const allow = maskTensor(mask, operands, q.shape[2]!, k.shape[2]!);
  return select(reshape(allow, [allow.shape[0]!, 1, ...allow.shape.slice(1)]), scores, -Infinity);
}

/**
 * Attention weights as a tensor f32 [B, Hq, Sq, Sk], for inspection (heat maps, audits). q is f32, k f32, f16 or bf16.
 */
export function attentionWeights(
  q: Tensor,
  k: Tensor,
  { scale = 1 / Math.sqrt(q.shape[3]!), mask }: { readonly scale?: number; readonly mask?: Mask } = {},
): Tensor {
  const { expression, operands } = mask ? splitMask(mask) : { expression: null, operands: [] };
  return softmax(maskedScores(q, k, operands, { scale, mask: expression }));
}

interface Sizes {
  readonly heads: number;
  readonly group: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
}

/** Calls `visit` for each (batch, query head, query) with the row's place in q, and the places of its head in k and v. */
function forEachQuery(
  q: HostTensor,
  k: HostTensor,
  visit: (row: number, query: number, batch: number, keyHead: number, sizes: Sizes) => void,
): void {
  const [batch, heads, queries, width] = q.shape as [number, number, number, number];
  const keyHeads = k.shape[1]!;
  const sizes = { heads, group: heads / keyHeads, queries, keys: k.shape[2]!, width };
  for (let row = 0; row < batch * heads * queries; row++) {
    const head = Math.floor(row / queries);
    const at = Math.floor(head / heads);
    visit(row, row % queries, at, at * keyHeads + Math.floor((head % heads) / sizes.group), sizes);
  }
}

const everything: MaskPredicate = () => true;

/** Throws unless q is f32, and k and v are stored alike, in a type that can be widened to it. */
function requireStored(q: TensorSpec, k: TensorSpec, v: TensorSpec): void {
  requireF32('attention', [q]);
  if (!isFloat(k.dtype) || k.dtype !== v.dtype)
    throw new ShapeError(
      `attention: ${formatOperands({ k, v })}; both are f32, both f16 or both bf16: cast them to one of these first`,
    );
}

/** The numbers of k or v. */
const numbersOf = ({ dtype, data }: HostTensor): ArrayLike<number> =>
  dtype === 'f32' ? data : Float32Array.from(data, decoderOf(dtype));

/** Where the gradient of k or v is summed: in place, or beside it where each sum would be rounded to 16 bits. */
const sumsOf = ({ dtype, data }: HostTensor): HostTensor['data'] =>
  dtype === 'f32' ? data : new Float64Array(data.length);

/** Writes the sums of a gradient that were made beside it. */
function storeSums({ dtype, data }: HostTensor, sums: HostTensor['data']): void {
  const encode = encoderOf(dtype);
  if (sums !== data) sums.forEach((sum: number, i: number) => (data[i] = encode(sum)));
}

/** Multiplications of one product over all (query, key) pairs; a mask may spare a device some of them. */
function multiplications([q, k]: readonly TensorSpec[]): number {
  return sizeOf(q!.shape) * k!.shape[2]!;
}

export const attentionPair: FusedPair<AttentionAttributes> = defineFused<AttentionAttributes>({
  name: 'attention',
  infer([q, k, v, ...operands], { mask }) {
    const [batch, heads, queries, width] = q!.shape;
    const fits =
      q!.shape.length === 4 &&
      k!.shape.length === 4 &&
      k!.shape[0] === batch &&
      k!.shape[3] === width &&
      heads! % k!.shape[1]! === 0 &&
      formatShape(k!.shape) === formatShape(v!.shape);
    if (!fits)
      throw new ShapeError(
        `attention: q ${formatShape(q!.shape)}, k ${formatShape(k!.shape)} and v ${formatShape(v!.shape)} do not fit; they are [batch, heads, length, width], query heads a multiple of key heads`,
      );
    requireStored(q!, k!, v!);
    if (mask) checkMaskOperands(mask, operands, batch!, queries!, k!.shape[2]!);
    return [q!, { shape: q!.shape.slice(0, 3), dtype: 'f32' }];
  },
  // q·kᵀ and P·v; backward q·kᵀ, dy·vᵀ, and one product per gradient.
  flops: (inputs) => 2 * 2 * multiplications(inputs),
  backwardFlops: (inputs) => 5 * 2 * multiplications(inputs),
  decompose([q, k, v, ...operands], attributes) {
    const scores = maskedScores(q!, k!, operands, attributes);
    const largest = stopGradient(max(scores, -1, true));
    const hidden = equal(largest, -Infinity);
    const shift = select(hidden, 0, largest);
    const normalizer = add(log(sum(exp(sub(scores, shift)), -1, true)), shift);
    const lse = select(hidden, Infinity, normalizer);
    return [matmul(softmax(scores), repeatHeads(v!, q!.shape[1]!)), reshape(lse, q!.shape.slice(0, 3))];
  },
  reference({ inputs: [q, k, v, ...operands], outputs: [y, lse], attributes: { scale, mask } }) {
    const allow = mask ? maskPredicate(mask, operands) : everything;
    const weights = new Float64Array(k!.shape[2]!);
    const [keyNumbers, valueNumbers] = [numbersOf(k!), numbersOf(v!)];
    forEachQuery(q!, k!, (row, query, batch, keyHead, { keys, width }) => {
      let largest = -Infinity;
      for (let key = 0; key < keys; key++) {
        let score = -Infinity;
        if (allow(batch, query, key)) {
          score = 0;
          for (let d = 0; d < width; d++)
            score += q!.data[row * width + d]! * keyNumbers[(keyHead * keys + key) * width + d]!;
          score *= scale;
        }
        weights[key] = score;
        largest = Math.max(largest, score);
      }
      if (largest === -Infinity) {
        lse!.data[row] = Infinity;
        return;
      }
      let total = 0;
      for (let key = 0; key < keys; key++) total += weights[key] = Math.exp(weights[key]! - largest);
      lse!.data[row] = largest + Math.log(total);
      for (let d = 0; d < width; d++) {
        let value = 0;
        for (let key = 0; key < keys; key++) value += weights[key]! * valueNumbers[(keyHead * keys + key) * width + d]!;
        y!.data[row * width + d] = value / total;
      }
    });
  },
  backward({
    inputs: [q, k, v, ...operands],
    outputs: [y, lse],
    cotangent,
    gradients: [dq, dk, dv],
    attributes: { scale, mask },
  }) {
    const allow = mask ? maskPredicate(mask, operands) : everything;
    const dy = cotangent.data;
    const [keyNumbers, valueNumbers] = [numbersOf(k!), numbersOf(v!)];
    const [keySums, valueSums] = [sumsOf(dk!), sumsOf(dv!)];
    forEachQuery(q!, k!, (row, query, batch, keyHead, { keys, width }) => {
      let delta = 0;
      for (let d = 0; d < width; d++) delta += dy[row * width + d]! * y!.data[row * width + d]!;
      for (let key = 0; key < keys; key++) {
        if (!allow(batch, query, key)) continue;
        const at = (keyHead * keys + key) * width;
        let score = 0;
        let flow = 0;
        for (let d = 0; d < width; d++) {
          score += q!.data[row * width + d]! * keyNumbers[at + d]!;
          flow += dy[row * width + d]! * valueNumbers[at + d]!;
        }
        const weight = Math.exp(score * scale - lse!.data[row]!);
        const ds = weight * (flow - delta) * scale;
        for (let d = 0; d < width; d++) {
          dq!.data[row * width + d]! += ds * keyNumbers[at + d]!;
          keySums[at + d]! += ds * q!.data[row * width + d]!;
          valueSums[at + d]! += weight * dy[row * width + d]!;
        }
      }
    });
    storeSums(dk!, keySums);
    storeSums(dv!, valueSums);
  },
});

export interface AttentionOptions {
  /** Factor on the scores; 1/√D when left out. */
  readonly scale?: number;
  /** Who may see whom; everything when left out. */
  readonly mask?: Mask;
}

/**
 * Attention over [batch, heads, length, width] (torch.nn.functional.scaled_dot_product_attention with enable_gqa).
 *
 * @param q f32 [B, Hq, Sq, D]. @param k, v [B, Hk, Sk, D], both f32, both f16 or both bf16; Hq is a multiple of Hk.
 * @returns f32 [B, Hq, Sq, D]; 0 for a query that sees no key.
 * @throws ShapeError that names the operands, or the operand of the mask, that do not fit.
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale = 1 / Math.sqrt(q.shape[3]!), mask }: AttentionOptions = {},
): Tensor {
  const { expression, operands } = mask ? splitMask(mask) : { expression: null, operands: [] };
  return apply(attentionPair.forward, [q, k, v, ...operands], { scale, mask: expression })[0]!;
}
