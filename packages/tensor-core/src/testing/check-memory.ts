/**
 * Long loops that must not grow: training steps with donated state, and decoding steps with a donated cache.
 *
 * Written the way users write them, without asking for a collection. The bytes that the device reports after the first
 * steps are the bytes it reports after the last; what the process holds is measured by the caller, because a library does
 * not know its process.
 */
import type { Device } from '../device.js';
import { attention } from '../fused/attention.js';
import { gelu } from '../fused/gelu.js';
import { linear } from '../fused/linear.js';
import { softmaxCrossEntropy } from '../fused/softmax-cross-entropy.js';
import { valueAndGrad } from '../autograd/grad.js';
import { causal } from '../mask/mask.js';
import { type AdamWState, adamW } from '../optim/adamw.js';
import { clipByGlobalNorm } from '../optim/clip.js';
import type { Hyperparameters } from '../optim/optimizer.js';
import { argmax } from '../ops/argmax.js';
import { gather } from '../ops/gather.js';
import { reshape } from '../ops/reshape.js';
import { mean } from '../ops/sum.js';
import { updateSlice } from '../ops/update-slice.js';
import { compile } from '../plan/compile.js';
import { evaluate } from '../plan/evaluate.js';
import { type Tensor, tensor } from '../tensor.js';
import { seededValue } from './arbitrary-values.js';
import { toTensor } from './host.js';

export interface LoopOptions {
  readonly steps: number;
  /** Bytes that the process holds, in any unit that grows with them; taken after the first tenth of the steps and at the end. */
  readonly measure?: () => number | Promise<number>;
}

export interface LoopReport {
  /** `device.memory()` roots and arena after the first tenth of the steps and at the end. */
  readonly deviceBytes: readonly [early: number, late: number];
  readonly measured: readonly [early: number, late: number];
  /** The last loss or token. */
  readonly last: number;
}

async function loop(
  { steps, measure = () => 0 }: LoopOptions,
  device: Device,
  step: (i: number) => Promise<number>,
): Promise<LoopReport> {
  const held = (): number => device.memory().rootBytes + device.memory().arenaBytes;
  let early: readonly [number, number] = [0, 0];
  let last = Number.NaN;
  for (let i = 0; i < steps; i++) {
    last = await step(i);
    if (i === Math.floor(steps / 10)) early = [held(), await measure()];
  }
  return { deviceBytes: [early[0], held()], measured: [early[1], await measure()], last };
}

const weight = (shape: readonly number[], seed: number): Tensor =>
  toTensor({
    ...seededValue(shape, 'f32', 'ordinary', seed),
    data: seededValue(shape, 'f32', 'ordinary', seed).data.map((value) => value * 0.3),
  });

interface Classifier {
  readonly first: Tensor;
  readonly second: Tensor;
  readonly bias: Tensor;
}

interface TrainingState {
  readonly parameters: Classifier;
  readonly optimizer: AdamWState<Classifier>;
  /** Part of what is donated, so that no scalar waits for the collector. */
  readonly loss: Tensor;
}

/** A two-layer classifier trained by AdamW with clipping; each step reads its loss. */
export async function trainingLoop(device: Device, options: LoopOptions): Promise<LoopReport> {
  const optimizer = adamW<Classifier>({ weightDecay: 0 });
  const lossOf = ({ first, second, bias }: Classifier, x: Tensor, labels: Tensor): Tensor =>
    mean(softmaxCrossEntropy(linear(gelu(linear(x, first)), second, bias), labels));
  const step = compile(
    (
      { parameters, optimizer: state }: TrainingState,
      x: Tensor,
      labels: Tensor,
      hyper: Hyperparameters,
    ): TrainingState => {
      const [loss, gradients] = valueAndGrad(lossOf)(parameters, x, labels);
      const updated = optimizer.update(parameters, clipByGlobalNorm(gradients, 1).gradients, state, hyper);
      return { parameters: updated.parameters, optimizer: updated.state, loss };
    },
    { device, donate: [0, 1, 2, 3], name: 'a training step' },
  );
  const parameters = { first: weight([16, 6], 2), second: weight([3, 16], 3), bias: weight([3], 4) };
  let state: TrainingState = await evaluate(
    { parameters, optimizer: optimizer.init(parameters), loss: tensor(0) },
    { device },
  );
  const inputs = seededValue([8, 6], 'f32', 'ordinary', 1);
  /** The class is the largest of the first three inputs: learnable. */
  const labels = Int32Array.from({ length: 8 }, (_, row) => {
    const scores = [0, 1, 2].map((column) => inputs.data[row * 6 + column]!);
    return scores.indexOf(Math.max(...scores));
  });
  return loop(options, device, async (i) => {
    state = await step(state, toTensor(inputs), tensor(labels.slice()), optimizer.hyperparameters(i + 1, 0.01));
    return state.loss.item(device);
  });
}

interface Decoder {
  readonly embedding: Tensor;
  readonly projections: readonly Tensor[];
}

interface Cache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** One attention layer that decodes greedily into a cache of fixed capacity, starting over when it is full. */
export async function decodingLoop(device: Device, options: LoopOptions): Promise<LoopReport> {
  const [vocabulary, width, capacity] = [11, 8, 64];
  const decoder: Decoder = await evaluate(
    { embedding: weight([vocabulary, width], 5), projections: [6, 7, 8].map((seed) => weight([width, width], seed)) },
    { device },
  );
  const step = compile(
    (id: Tensor, at: Tensor, cache: Cache) => {
      const x = gather(decoder.embedding, id);
      const [q, k, v] = decoder.projections.map((projection) => reshape(linear(x, projection), [1, 2, 1, width / 2]));
      const keys = updateSlice(cache.keys, k!, at, 2);
      const values = updateSlice(cache.values, v!, at, 2);
      const attended = reshape(attention(q!, keys, values, { mask: causal(at) }), [1, width]);
      return { next: reshape(argmax(linear(attended, decoder.embedding)), [1]), cache: { keys, values } };
    },
    { device, donate: [0, 1, 2], name: 'a decoding step' },
  );
  const empty = (): Tensor => tensor(new Float32Array(capacity * width), [1, 2, capacity, width / 2]);
  let cache: Cache = await evaluate({ keys: empty(), values: empty() }, { device });
  let id = tensor(Int32Array.of(3));
  return loop(options, device, async (i) => {
    ({ next: id, cache } = await step(id, tensor(Int32Array.of(i % capacity)), cache));
    return id.item(device);
  });
}
