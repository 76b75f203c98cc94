/**
 * The streamed head as graph, both directions, one chunk of classes after another.
 *
 * Forward, a running state per row is merged with each chunk's: with m the largest logit so far and everything relative to
 * it, S = Σ e^(z−m), U = Σ e^(z−m)·(z−m) and the label's logit; two states meet at m' = max(m₁, m₂) with weights e^(m−m').
 * At the end lse = log S + m and entropy = log S − U/S.
 *
 * Order is part of the memory contract. A chunk reads x and its weights through barriers behind everything that the chunks
 * before it have left, so that no schedule can start it (or widen its weights) while the logits of another are alive. The
 * first chunk of the backward direction stands behind the cotangents, so that what is computed again, logits and widened
 * weights, is not taken for that of the forward direction and kept until then.
 */
import { add } from '../ops/add.js';
import { barrier } from '../ops/barrier.js';
import { cast } from '../ops/cast.js';
import { equal } from '../ops/compare.js';
import { concat } from '../ops/concat.js';
import { div } from '../ops/div.js';
import { exp } from '../ops/exp.js';
import { arange } from '../ops/iota.js';
import { log } from '../ops/log.js';
import { matmul } from '../ops/matmul.js';
import { max } from '../ops/max.js';
import { maximum } from '../ops/maximum.js';
import { mul } from '../ops/mul.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import { slice } from '../ops/slice.js';
import { stopGradient } from '../ops/stop-gradient.js';
import { sub } from '../ops/sub.js';
import { sum } from '../ops/sum.js';
import type { QuantizationFormat } from '../quantize/format.js';
import {
  type Weight,
  cutRows,
  formatOf,
  fromOperands,
  isQuantized,
  operandsOf,
  weightShape,
} from '../quantize/quantized-tensor.js';
import type { Tensor } from '../tensor.js';
import {
  type HeadOperands,
  type LinearCrossEntropyAttributes,
  type LinearCrossEntropyBackwardAttributes,
  gradientPlaces,
  separateBackward,
} from './linear-cross-entropy.js';
import { linear } from './linear.js';
import { linearTransposed } from './linear-transposed.js';

/** Stands for −Infinity as the largest of a chunk without allowed classes: differences from it are defined. */
const lowest = -1e38;

interface ClassChunk {
  readonly weight: Weight;
  readonly bias: Tensor | undefined;
  readonly first: number;
  readonly classes: number;
}

const weightOf = (operands: readonly Tensor[], format: QuantizationFormat | null): Weight =>
  format ? fromOperands(operands, format) : operands[0]!;

/** Chunks of at most `chunkClasses` classes, none of them across a boundary. */
function classChunks(
  { weight: operands, bias }: HeadOperands<Tensor>,
  { format, chunkClasses }: LinearCrossEntropyAttributes,
  boundaries?: readonly number[],
): ClassChunk[] {
  const weight = weightOf(operands, format);
  const ends = boundaries ?? [0, weightShape(weight)[0]];
  const starts = ends.slice(1).flatMap((end, i) => {
    const start = ends[i]!;
    return Array.from({ length: Math.ceil((end - start) / chunkClasses) }, (_, k) => start + k * chunkClasses);
  });
  return cutRows(weight, [...starts, ends.at(-1)!]).map(({ from, to, piece }) => ({
    weight: piece,
    bias: bias && slice(bias, 0, from, to),
    first: from,
    classes: to - from,
  }));
}

const asColumn = (x: Tensor): Tensor => reshape(x, [x.size, 1]);

/** z [n, classes of the chunk]. */
function chunkLogits(x: Tensor, { weight, bias }: ClassChunk, { temperature }: LinearCrossEntropyAttributes): Tensor {
  const raw = linear(x, weight, bias);
  return temperature === 1 ? raw : div(raw, temperature);
}

/** x and the weights of a chunk, there only when `before` are. */
function behind(before: readonly Tensor[], x: Tensor, chunk: ClassChunk): readonly [Tensor, ClassChunk] {
  const { weight } = chunk;
  const later = isQuantized(weight)
    ? fromOperands(
        operandsOf(weight).map((part) => barrier(part, ...before)),
        formatOf(weight),
      )
    : barrier(weight, ...before);
  return [barrier(x, ...before), { ...chunk, weight: later }];
}

/** Where the label of a row is a class of the chunk: bool [n, classes of the chunk]. */
const isLabel = (labels: Tensor, { first, classes }: ClassChunk): Tensor =>
  equal(asColumn(sub(labels, first)), reshape(arange(classes), [1, classes]));

/** `relative` where p = e^relative is not 0: a forbidden class has −Infinity there, and 0·∞ would not be nothing. */
const wherePossible = (p: Tensor, relative: Tensor): Tensor => select(equal(p, 0), 0, relative);

interface RunningState {
  readonly largest: Tensor;
  readonly total: Tensor;
  readonly target: Tensor;
  /** Σ e^(z−m)·(z−m), for the entropy. */
  readonly spread: Tensor | undefined;
}

const tensorsOf = ({ largest, total, target, spread }: RunningState): readonly Tensor[] =>
  spread ? [largest, total, target, spread] : [largest, total, target];

function chunkState(z: Tensor, labels: Tensor, chunk: ClassChunk, withEntropy: boolean): RunningState {
  const largest = stopGradient(maximum(max(z, -1), lowest));
  const relative = sub(z, asColumn(largest));
  const p = exp(relative);
  return {
    largest,
    total: sum(p, -1),
    target: sum(select(isLabel(labels, chunk), z, 0), -1),
    spread: withEntropy ? sum(mul(p, wherePossible(p, relative)), -1) : undefined,
  };
}

function merged(a: RunningState, b: RunningState): RunningState {
  const largest = maximum(a.largest, b.largest);
  const relative = [sub(a.largest, largest), sub(b.largest, largest)] as const;
  const [left, right] = [exp(relative[0]), exp(relative[1])];
  const moved = ({ spread, total }: RunningState, weight: Tensor, by: Tensor): Tensor =>
    mul(weight, add(spread!, mul(total, by)));
  return {
    largest,
    total: add(mul(a.total, left), mul(b.total, right)),
    target: add(a.target, b.target),
    spread: a.spread && add(moved(a, left, relative[0]), moved(b, right, relative[1])),
  };
}

/** loss, lse and, where asked for, entropy. */
export function forwardGraph(
  head: HeadOperands<Tensor>,
  attributes: LinearCrossEntropyAttributes,
  boundaries?: readonly number[],
): readonly Tensor[] {
  const { x, labels } = head;
  let state: RunningState | undefined;
  for (const each of classChunks(head, attributes, boundaries)) {
    const [rows, chunk]: readonly [Tensor, ClassChunk] = state ? behind(tensorsOf(state), x, each) : [x, each];
    const next = chunkState(chunkLogits(rows, chunk, attributes), labels, chunk, attributes.entropy);
    state = state ? merged(state, next) : next;
  }
  const { largest, total, target, spread } = state!; // there is at least one class, hence a chunk
  const logTotal = log(total);
  const logSumExp = add(logTotal, largest);
  const loss = select(equal(labels, attributes.ignoredLabel), 0, sub(logSumExp, target));
  return spread ? [loss, logSumExp, sub(logTotal, div(spread, total))] : [loss, logSumExp];
}

/** The gradients named by `needed`, in order. */
export function backwardGraph(
  operands: readonly Tensor[],
  attributes: LinearCrossEntropyBackwardAttributes,
  boundaries?: readonly number[],
): readonly Tensor[] {
  const { forward, needed } = attributes;
  const head = separateBackward(operands, attributes);
  const { x, logSumExp, entropy, cotangents } = head;
  const labels = barrier(head.labels, cotangents);
  const row = (i: number): Tensor => reshape(slice(cotangents, 0, i, i + 1), labels.shape);
  const perLogit = (value: Tensor): Tensor =>
    asColumn(forward.temperature === 1 ? value : div(value, forward.temperature));
  const fromLoss = select(equal(labels, forward.ignoredLabel), 0, row(0));
  const [atLabel, everywhere] = [perLogit(fromLoss), perLogit(add(fromLoss, row(1)))];
  const places = gradientPlaces(forward);
  const wants = (place: number | undefined): boolean => place !== undefined && needed.includes(place);

  let dx: Tensor | undefined;
  const dWeight: Tensor[] = [];
  const dBias: Tensor[] = [];
  let before: readonly Tensor[] = [cotangents];
  for (const each of classChunks(head, forward, boundaries)) {
    const [rows, chunk]: readonly [Tensor, ClassChunk] = behind(before, x, each);
    const relative = sub(chunkLogits(rows, chunk, forward), asColumn(logSumExp));
    const p = exp(relative);
    const spread = entropy && mul(perLogit(row(2)), add(wherePossible(p, relative), asColumn(entropy)));
    const weighted = mul(p, spread ? sub(everywhere, spread) : everywhere);
    const dz = sub(weighted, select(isLabel(labels, chunk), atLabel, 0));
    if (wants(places.x)) {
      const part = linearTransposed(dz, chunk.weight);
      dx = dx ? add(dx, part) : part;
    }
    if (wants(places.weight)) dWeight.push(cast(matmul(dz, rows, { transposeA: true }), head.weight[0]!.dtype));
    if (wants(places.bias)) dBias.push(sum(dz, 0));
    before = [dx, dWeight.at(-1), dBias.at(-1)].filter((tensor) => tensor !== undefined);
  }
  const pieces = (place: number): readonly Tensor[] => {
    if (place === places.x) return [dx!];
    return place === places.weight ? dWeight : dBias;
  };
  return needed.map((place) => concat(pieces(place), 0));
}
