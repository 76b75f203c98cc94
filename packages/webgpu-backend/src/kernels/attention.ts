/**
 * Attention with grouped queries and a mask, forward and backward, never forming the score matrix (Dao 2023, "FlashAttention-2").
 *
 * Forward, one workgroup per query row. Keys go by in chunks of 64, one per invocation:
 *   s = scale·q·k (or -∞ where masked),  m' = max(m, max s),  l ← l·e^(m−m') + Σ e^(s−m'),  y ← y·e^(m−m') + Σ e^(s−m')·v
 * and in the second half of a chunk each invocation owns columns of y. At the end y/l and lse = m + log l; a row that saw
 * no key gives y = 0 and lse = +∞.
 *
 * Backward recomputes P = e^(s − lse). dq by query rows; dk and dv by key rows, each walking all queries of its group. No
 * atomics: results repeat exactly. δ = Σ_d dy∘y comes out of y and dy on the way.
 */
import type { AttentionAttributes, TensorSpec } from '@mindseye/tensor-core';
import { type Dispatch, type Operand, dispatch, input, output } from '../wgsl/dispatch.js';
import { addF32, foldF32, partialsF32, reduceLanes } from '../wgsl/fold.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, allF32 } from './kernel.js';
import { acceptsMask, maskOperands, maskPredicateCode } from './mask.js';

const lanes = reduceLanes;

/** Columns are owned by invocations in rounds of 64; so many rounds are kept in registers. */
const mostRounds = 4;

const f32 = (name: string, from: Operand['from']): Operand => ({ name, type: 'f32', from });

interface Heads {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly width: number;
  readonly keyHeads: number;
  readonly keys: number;
}

function headsOf([q, k]: readonly TensorSpec[]): Heads {
  const [batch, heads, queries, width] = q!.shape as readonly [number, number, number, number];
  return { batch, heads, queries, width, keyHeads: k!.shape[1]!, keys: k!.shape[2]! };
}

const accepts = (
  inputs: readonly TensorSpec[],
  mask: AttentionAttributes['mask'],
  buffers: number,
  limit: number,
): boolean =>
  allF32(inputs.slice(0, 3)) && inputs[0]!.shape[3]! <= lanes * mostRounds && acceptsMask(mask) && buffers <= limit;

/** Declares the sizes that all three shaders share. */
const sizes = (uniforms: Uniforms, { heads, queries, width, keyHeads, keys }: Heads, scale: number): string => `
  let heads = ${uniforms.u32(heads)};
  let keyHeads = ${uniforms.u32(keyHeads)};
  let groupSize = heads / keyHeads;
  let queries = ${uniforms.u32(queries)};
  let keys = ${uniforms.u32(keys)};
  let width = ${uniforms.u32(width)};
  let scale = ${uniforms.f32(scale)};`;

/** Where the workgroup's query row, its head and its keys lie. */
const queryRow = `
  let query = block % queries;
  let head = (block / queries) % heads;
  let batch = block / (queries * heads);
  let keyStart = (batch * keyHeads + head / groupSize) * keys * width;
  let queryStart = block * width;`;

/** Statements for each column this invocation owns; they see `column` and its round as a constant. */
const ownColumns = (rounds: number, statements: (round: number) => string): string =>
  Array.from(
    { length: rounds },
    (_, round) => `
    { let column = lane + ${round * lanes}u; if (column < width) { ${statements(round)} } }`,
  ).join('');

const roundsOf = (width: number): number => Math.ceil(width / lanes);

const registers = (name: string, rounds: number): string => `  var ${name}: array<f32, ${rounds}>;`;

function masksOf(specs: readonly TensorSpec[]): Operand[] {
  return maskOperands(specs).map((operand, i) => ({ ...operand, from: input(3 + i) }));
}

const attention: Kernel<AttentionAttributes> = {
  accepts: (inputs, { mask }, limit) => accepts(inputs, mask, inputs.length + 2, limit),
  lower({ inputs, attributes: { scale, mask } }) {
    const heads = headsOf(inputs);
    const masks = inputs.slice(3);
    const uniforms = new Uniforms();
    const rows = heads.batch * heads.heads * heads.queries;
    const rounds = roundsOf(heads.width);
    return [
      dispatch({
        name: 'attention',
        operands: [
          f32('q', input(0)),
          f32('k', input(1)),
          f32('v', input(2)),
          ...masksOf(masks),
          f32('y', output(0)),
          f32('lse', output(1)),
        ],
        uniforms,
        declarations: [maskPredicateCode(mask, masks), partialsF32, `var<workgroup> weights: array<f32, ${lanes}>;`],
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
      for (var d = 0u; d < width; d++) { score += q[queryStart + d] * k[keyStart + key * width + d]; }
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
    let count = min(${lanes}u, keys - chunk);
${ownColumns(
  rounds,
  (round) => `
      var part = 0.0;
      for (var at = 0u; at < count; at++) { part += weights[at] * v[keyStart + (chunk + at) * width + column]; }
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

const attentionBackward: Kernel<BackwardAttributes> = {
  accepts: (inputs, { forward: { mask } }, limit) => accepts(inputs, mask, inputs.length + 2, limit),
  lower: ({ inputs, attributes }) => [queryGradient(inputs, attributes), keyGradients(inputs, attributes)],
};

export const attentionKernels: Readonly<Record<string, Kernel>> = {
  attention: attention as Kernel,
  attentionBackward: attentionBackward as Kernel,
};
