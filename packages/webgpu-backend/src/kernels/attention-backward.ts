/**
 * The gradients of attention (see attention.ts), for keys and values in f32.
 *
 * P = e^(s − lse) is recomputed. dq by query rows; dk and dv by key rows, each walking all queries of its group. No atomics:
 * results repeat exactly. δ = Σ_d dy∘y comes out of y and dy on the way.
 */
import type { AttentionAttributes, TensorSpec } from '@mindseye/tensor-core';
import { type Dispatch, type Operand, dispatch, input, output } from '../wgsl/dispatch.js';
import { addF32, foldF32, partialsF32 } from '../wgsl/fold.js';
import { Uniforms } from '../wgsl/uniforms.js';
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

interface BackwardAttributes {
  readonly forward: AttentionAttributes;
  readonly inputCount: number;
}

/** e^(s − lse), 0 where masked; and its score's cotangent. Sees `query`, `key`, the row starts and `delta`. */
const weightAndSlope = `
      var score = 0.0;
      var flow = 0.0;
      for (var d = 0u; d < width; d++) {
        score += q[queryStart + d] * k[keyAt + d];
        flow += dy[queryStart + d] * v[keyAt + d];
      }
      weight = exp(score * scale - lse[queryRow]);
      slope = weight * (flow - delta) * scale;`;

function backwardOperands(masks: readonly TensorSpec[], inputCount: number): Operand[] {
  return [
    f32('q', input(0)),
    f32('k', input(1)),
    f32('v', input(2)),
    ...masksOf(masks),
    f32('y', input(inputCount)),
    f32('lse', input(inputCount + 1)),
    f32('dy', input(inputCount + 2)),
  ];
}

function queryGradient(
  inputs: readonly TensorSpec[],
  { forward: { scale, mask }, inputCount }: BackwardAttributes,
): Dispatch {
  const heads = headsOf(inputs);
  const masks = inputs.slice(3, inputCount);
  const uniforms = new Uniforms();
  const rows = heads.batch * heads.heads * heads.queries;
  const rounds = roundsOf(heads.width);
  return dispatch({
    name: 'attentionBackward query',
    operands: [...backwardOperands(masks, inputCount), f32('dq', output(0))],
    uniforms,
    declarations: [maskPredicateCode(mask, masks), partialsF32, `var<workgroup> slopes: array<f32, ${lanes}>;`],
    invocations: lanes,
    workgroups: rows,
    body: `  if (block >= ${uniforms.u32(rows)}) { return; }${sizes(uniforms, heads, scale)}${queryRow}
  let queryRow = block;
  var product = 0.0;
  for (var d = lane; d < width; d += ${lanes}u) { product += dy[queryStart + d] * y[queryStart + d]; }${foldF32('delta', 'product', addF32)}
${registers('sum', rounds)}
  for (var chunk = 0u; chunk < keys; chunk += ${lanes}u) {
    let key = chunk + lane;
    let keyAt = keyStart + key * width;
    var weight = 0.0;
    var slope = 0.0;
    if (key < keys && isAllowed(batch, query, key, queries, keys)) {${weightAndSlope}
    }
    slopes[lane] = slope;
    workgroupBarrier();
    let count = min(${lanes}u, keys - chunk);
${ownColumns(
  rounds,
  (round) => `
      for (var at = 0u; at < count; at++) { sum[${round}] += slopes[at] * k[keyStart + (chunk + at) * width + column]; }
    `,
)}
    workgroupBarrier();
  }
${ownColumns(rounds, (round) => `dq[queryStart + column] = sum[${round}];`)}`,
  });
}

function keyGradients(
  inputs: readonly TensorSpec[],
  { forward: { scale, mask }, inputCount }: BackwardAttributes,
): Dispatch {
  const heads = headsOf(inputs);
  const masks = inputs.slice(3, inputCount);
  const uniforms = new Uniforms();
  const rows = heads.batch * heads.keyHeads * heads.keys;
  const rounds = roundsOf(heads.width);
  return dispatch({
    name: 'attentionBackward keys',
    operands: [...backwardOperands(masks, inputCount), f32('dk', output(1)), f32('dv', output(2))],
    uniforms,
    declarations: [
      maskPredicateCode(mask, masks),
      `var<workgroup> weights: array<f32, ${lanes}>;`,
      `var<workgroup> slopes: array<f32, ${lanes}>;`,
    ],
    invocations: lanes,
    workgroups: rows,
    body: `  if (block >= ${uniforms.u32(rows)}) { return; }${sizes(uniforms, heads, scale)}
  let key = block % keys;
  let keyHead = (block / keys) % keyHeads;
  let batch = block / (keys * keyHeads);
  let keyAt = block * width;
${registers('keySum', rounds)}
${registers('valueSum', rounds)}
  for (var member = 0u; member < groupSize; member++) {
    let firstRow = (batch * heads + keyHead * groupSize + member) * queries;
    for (var chunk = 0u; chunk < queries; chunk += ${lanes}u) {
      let query = chunk + lane;
      let queryRow = firstRow + query;
      let queryStart = queryRow * width;
      var weight = 0.0;
      var slope = 0.0;
      if (query < queries && isAllowed(batch, query, key, queries, keys)) {
        var delta = 0.0;
        for (var d = 0u; d < width; d++) { delta += dy[queryStart + d] * y[queryStart + d]; }${weightAndSlope}
      }
      weights[lane] = weight;
      slopes[lane] = slope;
      workgroupBarrier();
      let count = min(${lanes}u, queries - chunk);
${ownColumns(
  rounds,
  (round) => `
      for (var at = 0u; at < count; at++) {
        let place = (firstRow + chunk + at) * width + column;
        keySum[${round}] += slopes[at] * q[place];
        valueSum[${round}] += weights[at] * dy[place];
      }
    `,
)}
      workgroupBarrier();
    }
  }
${ownColumns(rounds, (round) => `dk[keyAt + column] = keySum[${round}]; dv[keyAt + column] = valueSum[${round}];`)}`,
  });
}

export const attentionBackward: Kernel<BackwardAttributes> = {
  accepts: (inputs, { forward: { mask } }, limit) =>
    allF32(inputs.slice(0, 3)) && fits(inputs[0]!, mask, inputs.length + 2, limit),
  lower: ({ inputs, attributes }) => [queryGradient(inputs, attributes), keyGradients(inputs, attributes)],
};
