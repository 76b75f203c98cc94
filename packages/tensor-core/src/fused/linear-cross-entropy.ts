/**
 * Cross entropy of a linear head without its logits: the loss of softmaxCrossEntropy(linear(x, W, b) / T, labels).
 *
 *   z = (x·Wᵀ + b) / T,   lse = log Σ_j e^(z_j),   loss = lse − z_label,   entropy = lse − Σ_j p_j·z_j,   p = e^(z − lse)
 *
 * x [n, d], labels i32 [n], W [classes, d] in any storage, b [classes] or none → loss [n], lse [n], and entropy [n] where it
 * is asked for. The log-probability of a label is −loss. Rows with the ignored label have loss 0 and send no gradient back
 * from it; their lse and entropy are those of every other row. A bias of −Infinity forbids a class.
 *
 * Backward, with the logits computed again:
 *   dz = (p∘(dloss + dlse − dentropy·(z − lse + entropy)) − onehot(label)·dloss) / T,
 *   dx = dz·W,   dW = dzᵀ·x (dense weights),   db = Σ_rows dz.
 *
 * Memory: both directions work on `chunkClasses` classes at a time, so that beside x, W and the results only [n, chunk]
 * logits and, for weights that are not f32, a [chunk, d] copy are alive. W is read once in each direction. dx is added up
 * chunk by chunk (three [n, d] at a time where an engine cannot add in place); dW is put together from its chunks at the end,
 * so that a head that is trained takes twice its gradient.
 */
import { ShapeError } from '../errors.js';
import { type Op, apply, full, requireF32 } from '../op.js';
import { concat } from '../ops/concat.js';
import { reshape } from '../ops/reshape.js';
import { type QuantizationFormat, checkOperands, operandCount } from '../quantize/format.js';
import {
  type Weight,
  checkQuantized,
  formatOf,
  isQuantized,
  operandsOf,
  weightShape,
} from '../quantize/quantized-tensor.js';
import { isFloat } from '../dtype.js';
import { formatShape, sameShape } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { backwardGraph, forwardGraph } from './linear-cross-entropy-graph.js';
import { backwardLoops, forwardLoops } from './linear-cross-entropy-loops.js';
import { ignoredLabel } from './softmax-cross-entropy.js';

export interface LinearCrossEntropyAttributes {
  /** How the operands hold the weight: null for one dense matrix. */
  readonly format: QuantizationFormat | null;
  readonly biased: boolean;
  /** Whether there is a third output. */
  readonly entropy: boolean;
  readonly temperature: number;
  readonly ignoredLabel: number;
  /** Classes whose logits exist at one time; engines with a kernel of their own may choose otherwise. */
  readonly chunkClasses: number;
}

export interface LinearCrossEntropyBackwardAttributes {
  readonly forward: LinearCrossEntropyAttributes;
  readonly inputCount: number;
  /** Places of the forward inputs whose gradients are the outputs, in order: x, a dense weight, the bias. */
  readonly needed: readonly number[];
}

/** The operands of an application by what they are. */
export interface HeadOperands<T> {
  readonly x: T;
  readonly labels: T;
  /** One dense matrix, or codes, scales and offsets. */
  readonly weight: readonly T[];
  readonly bias: T | undefined;
}

const firstWeightPlace = 2;

const biasPlace = ({ format }: Pick<LinearCrossEntropyAttributes, 'format'>): number =>
  firstWeightPlace + (format ? operandCount(format) : 1);

/** Places of the inputs that gradients flow to; undefined for what is not there. */
export function gradientPlaces(attributes: LinearCrossEntropyAttributes): {
  readonly x: number;
  readonly weight: number | undefined;
  readonly bias: number | undefined;
} {
  return {
    x: 0,
    weight: attributes.format ? undefined : firstWeightPlace,
    bias: attributes.biased ? biasPlace(attributes) : undefined,
  };
}

export function separateHead<T>(inputs: readonly T[], attributes: LinearCrossEntropyAttributes): HeadOperands<T> {
  const end = biasPlace(attributes);
  return {
    x: inputs[0]!,
    labels: inputs[1]!,
    weight: inputs.slice(firstWeightPlace, end),
    bias: attributes.biased ? inputs[end]! : undefined,
  };
}

/** Operands of the backward op: those of the forward op, its outputs, and one row of cotangents [outputs, n] for each. */
export function separateBackward<T>(
  operands: readonly T[],
  { forward, inputCount }: LinearCrossEntropyBackwardAttributes,
): HeadOperands<T> & { readonly logSumExp: T; readonly entropy: T | undefined; readonly cotangents: T } {
  return {
    ...separateHead(operands.slice(0, inputCount), forward),
    logSumExp: operands[inputCount + 1]!,
    entropy: forward.entropy ? operands[inputCount + 2]! : undefined,
    cotangents: operands.at(-1)!,
  };
}

function headShape(weight: readonly TensorSpec[], format: QuantizationFormat | null): readonly [number, number] {
  if (format) return [checkOperands('linearCrossEntropy', weight, format), format.columns];
  const [{ shape, dtype }] = weight as readonly [TensorSpec];
  if (shape.length !== 2 || !isFloat(dtype))
    throw new ShapeError(
      `linearCrossEntropy: a dense weight is f32, f16 or bf16 [classes, d], got ${dtype}${formatShape(shape)}`,
    );
  return shape as [number, number];
}

/** `label` itself, or a RangeError that names it. */
export function checkedLabel(label: number, classes: number, ignored: number): number {
  if (label !== ignored && (label < 0 || label >= classes))
    throw new RangeError(
      `linearCrossEntropy: label ${label} is not one of the ${classes} classes; use ${ignored} to ignore a row`,
    );
  return label;
}

const multiplications = (inputs: readonly TensorSpec[], attributes: LinearCrossEntropyAttributes): number => {
  const { x, weight } = separateHead(inputs, attributes);
  const [rows, width] = x.shape as [number, number];
  return rows * width * weight[0]!.shape[0]!;
};

/** Boundaries for the classes when `input` is cut: only operands that have one row for each class cut them. */
const classBoundaries = (input: number, boundaries: readonly number[]): readonly number[] | undefined =>
  input >= firstWeightPlace ? boundaries : undefined;

export const linearCrossEntropyOp: Op<LinearCrossEntropyAttributes> = {
  name: 'linearCrossEntropy',
  infer(inputs, attributes) {
    const { x, labels, weight, bias } = separateHead<TensorSpec>(inputs, attributes);
    const [classes, width] = headShape(weight, attributes.format);
    if (classes === 0) throw new ShapeError('linearCrossEntropy: the weight has no classes');
    const fits = x.shape.length === 2 && x.shape[1] === width && (!bias || sameShape(bias.shape, [classes]));
    if (!fits)
      throw new ShapeError(
        `linearCrossEntropy: x ${formatShape(x.shape)}${bias ? ` and bias ${formatShape(bias.shape)}` : ''} do not fit the weight [${classes}, ${width}]; they are [n, d] and [classes]`,
      );
    if (labels.dtype !== 'i32' || !sameShape(labels.shape, x.shape.slice(0, 1)))
      throw new ShapeError(
        `linearCrossEntropy: labels are i32[${x.shape[0]}], one for each row of x, got ${labels.dtype}${formatShape(labels.shape)}`,
      );
    requireF32('linearCrossEntropy', [x, bias]);
    const perRow: TensorSpec = { shape: labels.shape, dtype: 'f32' };
    return attributes.entropy ? [perRow, perRow, perRow] : [perRow, perRow];
  },
  decompose: (inputs, attributes) => forwardGraph(separateHead(inputs, attributes), attributes),
  reference: ({ inputs, outputs, attributes }) => forwardLoops(separateHead(inputs, attributes), outputs, attributes),
  vjp({ inputs, outputs, cotangents, attributes, needed }) {
    const wanted = Object.values(gradientPlaces(attributes)).flatMap((place) =>
      place !== undefined && needed[place] ? [place] : [],
    );
    const rows = outputs.map((output, i) => reshape(cotangents[i] ?? full(output.shape, 0), [1, output.size]));
    const gradients = apply(linearCrossEntropyBackwardOp, [...inputs, ...outputs, concat(rows, 0)], {
      forward: attributes,
      inputCount: inputs.length,
      needed: wanted,
    });
    return inputs.map((_, place) => gradients[wanted.indexOf(place)]);
  },
  guard: {
    operands: [1],
    check({ inputs, data: [labels], attributes }) {
      const classes = separateHead(inputs, attributes).weight[0]!.shape[0]!;
      for (const label of labels!) checkedLabel(label, classes, attributes.ignoredLabel);
    },
  },
  flops: (inputs, _outputs, attributes) => 2 * multiplications(inputs, attributes),
  splitRows: (inputs, attributes, input, boundaries) =>
    forwardGraph(separateHead(inputs, attributes), attributes, classBoundaries(input, boundaries)),
};

export const linearCrossEntropyBackwardOp: Op<LinearCrossEntropyBackwardAttributes> = {
  name: 'linearCrossEntropyBackward',
  infer: (operands, { needed }) => needed.map((place) => operands[place]!),
  decompose: (operands, attributes) => backwardGraph(operands, attributes),
  reference: ({ inputs, outputs, attributes }) => backwardLoops(inputs, outputs, attributes),
  flops: (operands, _outputs, { forward, inputCount, needed }) =>
    2 *
    multiplications(operands.slice(0, inputCount), forward) *
    (1 + needed.filter((place) => place !== gradientPlaces(forward).bias).length),
  splitRows: (operands, attributes, input, boundaries) =>
    backwardGraph(operands, attributes, input < attributes.inputCount ? classBoundaries(input, boundaries) : undefined),
};

export interface LinearCrossEntropyOptions {
  /** f32 [classes]. */
  readonly bias?: Tensor;
  /** Logits are divided by it; 1 when left out. */
  readonly temperature?: number;
  /** Label of rows without a target; -100 when left out. */
  readonly ignoredLabel?: number;
  /** Also the entropy of each row's distribution. */
  readonly entropy?: boolean;
  /** Classes whose logits exist at one time; chosen so that a chunk's logits and weights take 8 MiB each when left out. */
  readonly chunkClasses?: number;
}

export interface LinearCrossEntropy {
  /** f32 [n], in nats: minus the log-probability of the label; 0 for ignored rows. */
  readonly loss: Tensor;
  /** f32 [n]. */
  readonly logSumExp: Tensor;
  /** f32 [n], in nats, when it was asked for. */
  readonly entropy: Tensor | undefined;
}

const chunkElements = 2 ** 21;
const fewestClasses = 128;

/** A multiple of 128 classes with at most 2²¹ logits and 2²¹ weights, at least 128. */
function defaultChunk(rows: number, width: number): number {
  const fitting = Math.floor(chunkElements / Math.max(rows, width, 1));
  return Math.max(fewestClasses, fitting - (fitting % fewestClasses));
}

/**
 * Cross entropy of a linear head, in chunks of classes (see the head of this file).
 *
 * @param x f32 [n, d], the last hidden states.
 * @param weight [classes, d]: f32, f16, bf16 or quantised. Gradients reach x, the bias, and dense weights.
 * @param labels i32 [n].
 * @throws ShapeError where operands do not fit; RangeError for a temperature or chunk that is not positive and, when it
 *   runs, for a label that is no class.
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Weight,
  labels: Tensor,
  options: LinearCrossEntropyOptions = {},
): LinearCrossEntropy {
  const { bias, temperature = 1, ignoredLabel: ignored = ignoredLabel, entropy = false } = options;
  const [classes, width] = weightShape(isQuantized(weight) ? checkQuantized(weight, 'linearCrossEntropy') : weight);
  const { chunkClasses = Math.min(Math.max(classes, 1), defaultChunk(x.shape[0] ?? 1, width)) } = options;
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new RangeError(`linearCrossEntropy: temperature is a positive number, got ${temperature}`);
  if (!(Number.isInteger(chunkClasses) && chunkClasses > 0))
    throw new RangeError(`linearCrossEntropy: chunkClasses is a positive whole number, got ${chunkClasses}`);
  const operands = [x, labels, ...(isQuantized(weight) ? operandsOf(weight) : [weight]), ...(bias ? [bias] : [])];
  const [loss, logSumExp, entropies] = apply(linearCrossEntropyOp, operands, {
    format: isQuantized(weight) ? formatOf(weight) : null,
    biased: bias !== undefined,
    entropy,
    temperature,
    ignoredLabel: ignored,
    chunkClasses,
  });
  return { loss: loss!, logSumExp: logSumExp!, entropy: entropies };
}
