/** A small decoder and its training step, run in Node and, served as a module, in the browser. */
import * as t from '@mindseye/tensor-core';
import type { DecoderLayer, DecoderWeights } from './decoder.js';

const sizes = {
  vocabulary: 23,
  width: 32,
  heads: 4,
  keyHeads: 2,
  headWidth: 8,
  hidden: 48,
  batch: 2,
  length: 9,
  layers: 2,
} as const;

export const adamW: t.Optimizer<DecoderWeights, t.AdamWState<DecoderWeights>> = t.adamW<DecoderWeights>();

export interface TrainingState {
  readonly parameters: DecoderWeights;
  readonly adamw: t.AdamWState<DecoderWeights>;
}

export interface Batch {
  readonly tokens: t.Tensor;
  readonly labels: t.Tensor;
  readonly cos: t.Tensor;
  readonly sin: t.Tensor;
  readonly seed: t.Tensor;
}

function normal(shape: readonly number[], stream: number, scale: number): t.Tensor {
  const data = t.fillNormal(new Float32Array(t.sizeOf(shape)), [1, 2], stream);
  return t.tensor(
    data.map((x) => x * scale),
    shape,
  );
}

const constant = (shape: readonly number[], value: number): t.Tensor =>
  t.tensor(new Float32Array(t.sizeOf(shape)).fill(value), shape);

/** DecoderWeights and zero moments, as host tensors. */
export function startTraining(): TrainingState {
  const { width, heads, keyHeads, headWidth, hidden, vocabulary } = sizes;
  const layer = (i: number): DecoderLayer => ({
    attentionNorm: constant([width], 1),
    query: normal([heads * headWidth, width], 10 * i + 1, 0.2),
    queryBias: constant([heads * headWidth], 0),
    key: normal([keyHeads * headWidth, width], 10 * i + 2, 0.2),
    value: normal([keyHeads * headWidth, width], 10 * i + 3, 0.2),
    output: normal([width, heads * headWidth], 10 * i + 4, 0.2),
    mlpNorm: constant([width], 1),
    gate: normal([hidden, width], 10 * i + 5, 0.2),
    up: normal([hidden, width], 10 * i + 6, 0.2),
    down: normal([width, hidden], 10 * i + 7, 0.2),
  });
  const parameters: DecoderWeights = {
    embedding: normal([vocabulary, width], 100, 0.5),
    layers: Array.from({ length: sizes.layers }, (_, i) => layer(i)),
    norm: constant([width], 1),
  };
  const zeros = (): DecoderWeights => t.mapTree(parameters, ({ shape }) => constant(shape, 0));
  return { parameters, adamw: { firstMoment: zeros(), secondMoment: zeros() } };
}

/** Tokens that count upwards from a number given by `index`; the label of each is its successor, the first is ignored. */
export function makeBatch(index: number): Batch {
  const { batch, length, vocabulary, headWidth } = sizes;
  const token = (row: number, at: number): number => (index * 5 + row * 3 + at) % vocabulary;
  const fill = (value: (row: number, at: number) => number): t.Tensor =>
    t.tensor(
      Int32Array.from({ length: batch * length }, (_, i) => value(Math.floor(i / length), i % length)),
      [batch, length],
    );
  const angle = (i: number): number =>
    Math.floor(i / (headWidth / 2)) * 10000 ** ((-2 * (i % (headWidth / 2))) / headWidth);
  const table = (f: (x: number) => number): t.Tensor =>
    t.tensor(
      Float32Array.from({ length: (length * headWidth) / 2 }, (_, i) => f(angle(i))),
      [1, length, headWidth / 2],
    );
  return {
    tokens: fill(token),
    labels: fill((row, at) => (at === 0 ? t.ignoredLabel : token(row, at + 1))),
    cos: table(Math.cos),
    sin: table(Math.sin),
    seed: t.tensor(Uint32Array.of(7, index)),
  };
}

function logits({ embedding, layers, norm }: DecoderWeights, { tokens, cos, sin, seed }: Batch): t.Tensor {
  const { batch, length, heads, keyHeads, headWidth, width } = sizes;
  const split = (x: t.Tensor, count: number): t.Tensor =>
    t.permute(t.reshape(x, [batch, length, count, headWidth]), [0, 2, 1, 3]);
  const decoder = (x: t.Tensor, layer: DecoderLayer, i: number): t.Tensor => {
    const normed = t.rmsNorm(x, layer.attentionNorm);
    const q = t.rope(split(t.linear(normed, layer.query, layer.queryBias), heads), cos, sin);
    const k = t.rope(split(t.linear(normed, layer.key), keyHeads), cos, sin);
    const attended = t.attention(q, k, split(t.linear(normed, layer.value), keyHeads), { mask: t.mask.causal() });
    const merged = t.reshape(t.permute(attended, [0, 2, 1, 3]), [batch, length, width]);
    const afterAttention = t.add(x, t.dropout(t.linear(merged, layer.output), 0.1, seed, i));
    const again = t.rmsNorm(afterAttention, layer.mlpNorm);
    return t.add(
      afterAttention,
      t.linear(t.swiglu(t.linear(again, layer.gate), t.linear(again, layer.up)), layer.down),
    );
  };
  const hidden = layers.reduce(decoder, t.gather(embedding, tokens));
  return t.linear(t.rmsNorm(hidden, norm), embedding);
}

function loss(parameters: DecoderWeights, batch: Batch): t.Tensor {
  const rows = sizes.batch * sizes.length;
  const each = t.softmaxCrossEntropy(
    t.reshape(logits(parameters, batch), [rows, sizes.vocabulary]),
    t.reshape(batch.labels, [rows]),
  );
  return t.div(t.sum(each), sizes.batch * (sizes.length - 1));
}

/** (state, batch, rates) → [state, loss], the state donated. */
export const trainingStep = (
  device: t.Device,
): ((state: TrainingState, batch: Batch, rates: t.Hyperparameters) => Promise<[TrainingState, t.Tensor]>) =>
  t.compile(
    (state: TrainingState, batch: Batch, rates: t.Hyperparameters): [TrainingState, t.Tensor] => {
      const [value, gradients] = t.valueAndGrad(loss)(state.parameters, batch);
      const clipped = t.clipByGlobalNorm(gradients, 1);
      const { parameters, state: adamw } = adamW.update(state.parameters, clipped.gradients, state.adamw, rates);
      return [{ parameters, adamw }, value];
    },
    { device, donate: [0], name: 'trainingStep' },
  );

/** Losses of the first `count` steps. */
export async function train(device: t.Device, count: number): Promise<number[]> {
  const step = trainingStep(device);
  const losses: number[] = [];
  let state = startTraining();
  for (let i = 0; i < count; i++) {
    const [next, value] = await step(state, makeBatch(i), adamW.hyperparameters(i + 1, 1e-2));
    state = next;
    losses.push(await value.item());
  }
  return losses;
}
