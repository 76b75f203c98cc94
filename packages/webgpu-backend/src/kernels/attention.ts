/**
 * Attention with grouped queries and a mask, never forming the score matrix (Dao 2023, "FlashAttention-2").
 *
 * One workgroup per query row. Keys go by in chunks of 64, one per invocation:
 *   s = scale·q·k (or -∞ where masked),  m' = max(m, max s),  l ← l·e^(m−m') + Σ e^(s−m'),  y ← y·e^(m−m') + Σ e^(s−m')·v
 * and in the second half of a chunk each invocation owns columns of y. At the end y/l and lse = m + log l; a row that saw
 * no key gives y = 0 and lse = +∞. Keys and values of 16 bits are read out of their words and widened on the way; rows of keys
 * that are whole words are read word by word.
 */
import type { AttentionAttributes, DType } from '@mindseye/tensor-core';
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { dispatch, input, output } from '../wgsl/dispatch.js';
import { addF32, foldF32, partialsF32 } from '../wgsl/fold.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { attentionBackward } from './attention-backward.js';
import {
  f32,
  fits,
  headsOf,
  lanes,
  masksOf,
  ownColumns,
  queryRow,
  registers,
  roundsOf,
  sizes,
} from './attention-shared.js';
import { type Kernel, allF32 } from './kernel.js';
import { maskPredicateCode } from './mask.js';
import { isWeight, storedElement, weightFunctions, wordElements } from './product.js';

/** Statements that add q·k of this row and key to `score`, f32 or out of words of 16-bit elements. */
function addProducts(stored: DType, width: number): string {
  const perWord = elementsPerWord(stored);
  if (width % perWord !== 0)
    return `for (var d = 0u; d < width; d++) {
        let place = keyStart + key * width + d;
        score += q[queryStart + d] * ${storedElement('k', stored, 'place')};
      }`;
  const products = wordElements[stored]!.map((element, i) => `q[queryStart + d * ${perWord}u + ${i}u] * ${element}`);
  return `let firstWord = (keyStart + key * width) / ${perWord}u;
      for (var d = 0u; d < width / ${perWord}u; d++) {
        let word = k[firstWord + d];
        score += ${products.join(' + ')};
      }`;
}

const attention: Kernel<AttentionAttributes> = {
  accepts: ([q, k, ...rest], { mask }, limit) =>
    allF32([q!]) && isWeight(k!.dtype) && fits(q!, mask, 4 + rest.length, limit),
  lower({ inputs, attributes: { scale, mask } }) {
    const heads = headsOf(inputs);
    const masks = inputs.slice(3);
    const uniforms = new Uniforms();
    const rows = heads.batch * heads.heads * heads.queries;
    const rounds = roundsOf(heads.width);
    const stored = inputs[1]!.dtype;
    return [
      dispatch({
        name: 'attention',
        operands: [
          f32('q', input(0)),
          { name: 'k', type: wgslTypeOf(stored), from: input(1) },
          { name: 'v', type: wgslTypeOf(stored), from: input(2) },
          ...masksOf(masks),
          f32('y', output(0)),
          f32('lse', output(1)),
        ],
        uniforms,
        declarations: [
          ...weightFunctions(stored),
          maskPredicateCode(mask, masks),
          partialsF32,
          `var<workgroup> weights: array<f32, ${lanes}>;`,
        ],
        invocations: lanes,
        workgroups: rows,
        body: `  if (block >= ${uniforms.u32(rows)}) { return; }${sizes(uniforms, heads, scale)}${queryRow}
  // A finite stand-in for -∞: differences of it with itself are 0, not NaN.
  let lowest = -3.0e38;
  var largest = lowest;
  var total = 0.0;
${registers('sum', rounds)}
  for (var chunk = 0u; chunk < keys; chunk += ${lanes}u) {
    let key = chunk + lane;
    var score = lowest;
    var isSeen = false;
    if (key < keys && isAllowed(batch, query, key, queries, keys)) {
      isSeen = true;
      score = 0.0;
      ${addProducts(stored, heads.width)}
      score *= scale;
    }
    ${foldF32('chunkLargest', 'score', (a, b) => `max(${a}, ${b})`)}
    let now = max(largest, chunkLargest);
    let shrink = exp(largest - now);
    largest = now;
    let weight = select(0.0, exp(score - now), isSeen);
    weights[lane] = weight;
    ${foldF32('chunkTotal', 'weight', addF32)}
    total = total * shrink + chunkTotal;
    // Values that nobody weighs are not read: most of a cache whose capacity is not used up.
    let count = select(0u, min(${lanes}u, keys - chunk), chunkTotal > 0.0);
${ownColumns(
  rounds,
  (round) => `
      var part = 0.0;
      for (var at = 0u; at < count; at++) { let place = keyStart + (chunk + at) * width + column; part += weights[at] * ${storedElement('v', stored, 'place')}; }
      sum[${round}] = sum[${round}] * shrink + part;
    `,
)}
    workgroupBarrier();
  }
  let isBlind = total == 0.0;
${ownColumns(rounds, (round) => `y[queryStart + column] = select(sum[${round}] / total, 0.0, isBlind);`)}
  if (lane == 0u) { lse[block] = select(largest + log(total), ${uniforms.f32(Infinity)}, isBlind); }`,
      }),
    ];
  },
};

export const attentionKernels: Readonly<Record<string, Kernel>> = {
  attention: attention as Kernel,
  attentionBackward: attentionBackward as Kernel,
};
