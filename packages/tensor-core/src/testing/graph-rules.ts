/** The rules of random graphs: named functions of three operands that always fit, stay bounded, and avoid poles. */
import { attention } from '../fused/attention.js';
import { dropout } from '../fused/dropout.js';
import { geluTanh } from '../fused/gelu-tanh.js';
import { gelu } from '../fused/gelu.js';
import { layerNorm } from '../fused/layer-norm.js';
import { linear } from '../fused/linear.js';
import { rmsNorm } from '../fused/rms-norm.js';
import { rope } from '../fused/rope.js';
import { ignoredLabel, softmaxCrossEntropy } from '../fused/softmax-cross-entropy.js';
import { softmax } from '../fused/softmax.js';
import { silu, swiglu } from '../fused/swiglu.js';
import { entropy } from '../functions/entropy.js';
import { logSumExp } from '../functions/log-sum-exp.js';
import { pow } from '../functions/pow.js';
import { indexAdd } from '../functions/rows.js';
import { type Mask, and, causal, not, or, segments, window } from '../mask/mask.js';
import { full } from '../op.js';
import { abs } from '../ops/abs.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { equal, less } from '../ops/compare.js';
import { concat } from '../ops/concat.js';
import { cumulativeSum } from '../ops/cumulative-sum.js';
import { cos } from '../ops/cos.js';
import { div } from '../ops/div.js';
import { erf } from '../ops/erf.js';
import { exp } from '../ops/exp.js';
import { floor } from '../ops/floor.js';
import { gather } from '../ops/gather.js';
import { arange } from '../ops/iota.js';
import { log } from '../ops/log.js';
import { matmul } from '../ops/matmul.js';
import { max } from '../ops/max.js';
import { maximum } from '../ops/maximum.js';
import { minimum } from '../ops/minimum.js';
import { mul } from '../ops/mul.js';
import { neg } from '../ops/neg.js';
import { pad } from '../ops/pad.js';
import { permute } from '../ops/permute.js';
import { reshape } from '../ops/reshape.js';
import { rsqrt } from '../ops/rsqrt.js';
import { scatterAdd } from '../ops/scatter-add.js';
import { select } from '../ops/select.js';
import { sigmoid } from '../ops/sigmoid.js';
import { sin } from '../ops/sin.js';
import { slice } from '../ops/slice.js';
import { sqrt } from '../ops/sqrt.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { mean, sum } from '../ops/sum.js';
import { tanh } from '../ops/tanh.js';
import { broadcastShapes } from '../shape.js';
import type { Tensor } from '../tensor.js';

export interface GraphRule {
  readonly name: string;
  readonly build: (operands: readonly [Tensor, Tensor, Tensor], choice: number) => Tensor;
}

/** `b` itself when it broadcasts with `a`, else its mean. */
function fitting(a: Tensor, b: Tensor): Tensor {
  try {
    broadcastShapes(a.shape, b.shape, 'fitting');
    return b;
  } catch {
    return mean(b);
  }
}

const squarePlusOne = (x: Tensor): Tensor => add(mul(x, x), 1);

/** x as a matrix of rows of its last axis. */
const asMatrix = (x: Tensor): Tensor => reshape(x, [-1, x.shape.at(-1) ?? 1]);

const axisOf = (x: Tensor, choice: number): number => choice % x.rank;

/** A vector as long as the last axis of x, made of `source`. */
const vectorFor = (x: Tensor, source: Tensor): Tensor =>
  broadcastTo(reshape(add(tanh(mean(source)), 1.5), [1]), [x.shape.at(-1)!]);

/** 0, 0, 1, 1, 2, …: rows picked twice. */
const pairedRows = (rows: number): Tensor => cast(mul(cast(arange(rows), 'f32'), 0.5), 'i32');

/** 0, 1, …, classes − 1, 0, 1, …, one label per row, row 0 ignored. */
function cyclicLabels(rows: number, classes: number): Tensor {
  const row = arange(rows);
  const turn = cast(floor(div(add(cast(row, 'f32'), 0.5), classes)), 'i32');
  return select(equal(row, 0), ignoredLabel, sub(row, mul(turn, classes)));
}

/** Two query heads on one key head, from the halves of a matrix's rows. */
function selfAttention(x: Tensor, choice: number): Tensor {
  const [rows, width] = x.shape as [number, number];
  const half = width / 2;
  const heads = permute(reshape(x, [1, rows, 2, half]), [0, 2, 1, 3]);
  const key = reshape(slice(x, 1, half), [1, 1, rows, half]);
  const ids = reshape(pairedRows(rows), [1, rows]);
  const masks: readonly (Mask | undefined)[] = [
    undefined,
    causal(),
    window(2),
    segments(ids),
    and(causal(), not(segments(ids))),
    or(window(1), segments(ids)),
  ];
  const mask = masks[choice % masks.length];
  return attention(heads, key, tanh(key), mask ? { mask } : {});
}

/** Rotates the rows of a matrix by angles that grow along rows and columns. */
function rotated(x: Tensor): Tensor {
  const [rows, width] = x.shape as [number, number];
  const angles = mul(reshape(cast(arange((rows * width) / 2), 'f32'), [1, rows, width / 2]), 0.3);
  return rope(reshape(x, [1, 1, rows, width]), cos(angles), sin(angles));
}

const isEven = (width: number): boolean => width % 2 === 0;

/** Norms are smooth only with a large epsilon: rows may be constant. */
const epsilon = 0.1;

type Build = GraphRule['build'];
const unary =
  (fn: (x: Tensor) => Tensor): Build =>
  ([a]) =>
    fn(a);
const binary =
  (fn: (a: Tensor, b: Tensor) => Tensor): Build =>
  ([a, b]) =>
    fn(a, fitting(a, b));
/** A rule that needs an axis; scalars become one row of one element. */
const onMatrix =
  (fn: (x: Tensor, choice: number, other: Tensor) => Tensor): Build =>
  ([a, b], choice) =>
    fn(asMatrix(a), choice, b);

const rules: Readonly<Record<string, Build>> = {
  neg: unary(neg),
  abs: unary(abs),
  tanh: unary(tanh),
  sigmoid: unary(sigmoid),
  sin: unary(sin),
  cos: unary(cos),
  erf: unary(erf),
  gelu: unary(gelu),
  silu: unary(silu),
  exp: unary((x) => exp(tanh(x))),
  log: unary((x) => log(squarePlusOne(x))),
  sqrt: unary((x) => sqrt(squarePlusOne(x))),
  rsqrt: unary((x) => rsqrt(squarePlusOne(x))),
  stopGradient: unary(stopGradient),
  add: binary(add),
  sub: binary(sub),
  mul: binary((a, b) => mul(a, tanh(b))),
  div: binary((a, b) => div(a, squarePlusOne(b))),
  maximum: binary(maximum),
  minimum: binary(minimum),
  select: binary((a, b) => select(less(a, b), a, b)),
  swiglu: ([a, b]) => swiglu(a, add(mul(a, 0), tanh(mean(b)))),
  reshape: unary((x) => reshape(x, [x.size])),
  permute: unary((x) =>
    permute(
      x,
      x.shape.map((_, axis) => x.rank - 1 - axis),
    ),
  ),
  broadcastTo: ([a]) => broadcastTo(a, [2, ...a.shape]),
  slice: onMatrix((x, choice) => slice(x, axisOf(x, choice), Math.floor(x.shape[axisOf(x, choice)]! / 2))),
  pad: ([a], choice) =>
    pad(
      a,
      a.shape.map(() => choice % 2),
      a.shape.map(() => 1),
    ),
  concat: onMatrix((x, choice) => concat([x, tanh(x)], axisOf(x, choice))),
  sum: onMatrix((x, choice) => sum(x, axisOf(x, choice), choice > 3)),
  mean: unary((x) => mean(x)),
  max: onMatrix((x, choice) => max(x, axisOf(x, choice), choice > 3)),
  gather: onMatrix((x) => gather(x, pairedRows(x.shape[0]!))),
  scatterAdd: onMatrix((x) => scatterAdd(x, pairedRows(x.shape[0]!), x.shape[0]!)),
  matmul: onMatrix((x, choice) => matmul(tanh(x), tanh(x), choice % 2 ? { transposeA: true } : { transposeB: true })),
  linear: onMatrix((x, _choice, other) =>
    linear(tanh(x), tanh(x), broadcastTo(reshape(mean(other), [1]), [x.shape[0]!])),
  ),
  softmax: onMatrix((x) => softmax(x)),
  rmsNorm: onMatrix((x, _choice, other) => rmsNorm(x, vectorFor(x, other), epsilon)),
  layerNorm: onMatrix((x, _choice, other) => layerNorm(x, vectorFor(x, other), vectorFor(x, x), epsilon)),
  softmaxCrossEntropy: onMatrix((x) => softmaxCrossEntropy(x, cyclicLabels(x.shape[0]!, x.shape[1]!))),
  attention: onMatrix((x, choice) => (isEven(x.shape[1]!) ? selfAttention(x, choice) : tanh(x))),
  rope: onMatrix((x) => (isEven(x.shape[1]!) ? rotated(x) : sin(x))),
  dropout: ([a], choice) => dropout(a, 0.25, cast(arange(2), 'u32'), choice),
  geluTanh: unary(geluTanh),
  pow: unary((x) => pow(tanh(x), 3)),
  cumulativeSum: onMatrix((x, choice) => cumulativeSum(tanh(x), axisOf(x, choice))),
  logSumExp: onMatrix((x) => logSumExp(x)),
  entropy: onMatrix((x) => entropy(x)),
  indexAdd: onMatrix((x) => indexAdd(x, pairedRows(x.shape[0]!), tanh(x))),
  constant: ([a], choice) => add(full(a.shape, choice / 4), a),
};

export const graphRules: readonly GraphRule[] = Object.entries(rules).map(([name, build]) => ({ name, build }));

const kinked = new Set(['abs', 'maximum', 'minimum', 'select', 'max', 'stopGradient']);

/** The rules whose derivative finite differences can measure anywhere, and the others as `neg`. */
export const smoothRules: readonly GraphRule[] = graphRules.map((rule) =>
  kinked.has(rule.name) ? graphRules[0]! : rule,
);
