/** A small model trained with donated state: a layer with dropout, gated units, a norm, attention and cross entropy. */
import * as t from '@mindseye/tensor-core';
import { seededValue, toTensor } from '@mindseye/tensor-core/testing';

const [batch, length, width, classes] = [2, 6, 8, 5];

interface Parameters {
  readonly input: t.Tensor;
  readonly gate: t.Tensor;
  readonly norm: t.Tensor;
  readonly head: t.Tensor;
}

export interface TrainingState {
  readonly parameters: Parameters;
  readonly optimizer: t.AdamWState<Parameters>;
  /** Sum of the losses so far, so that a step leaves nothing behind but its state. */
  readonly lossSum: t.Tensor;
}

const adamW = t.adamW<Parameters>();

interface Batch {
  readonly x: t.Tensor;
  readonly labels: t.Tensor;
  readonly seed: t.Tensor;
}

const parameter = (shape: readonly number[], seed: number): t.Tensor =>
  toTensor(seededValue(shape, 'f32', 'ordinary', seed));

export function startTraining(): TrainingState {
  const parameters = {
    input: parameter([width, width], 1),
    gate: parameter([width, width], 2),
    norm: parameter([width], 3),
    head: parameter([classes, width], 4),
  };
  return { parameters, optimizer: adamW.init(parameters), lossSum: t.tensor(0) };
}

export function makeBatch(step: number): Batch {
  const labels = Int32Array.from({ length: batch * length }, (_, i) =>
    (i + step) % 4 === 0 ? t.ignoredLabel : (i * 7 + step) % classes,
  );
  return {
    x: toTensor(seededValue([batch, length, width], 'f32', 'ordinary', 100 + (step % 5))),
    labels: t.tensor(labels),
    seed: t.tensor(Uint32Array.of(step, 7)),
  };
}

function loss({ input, gate, norm, head }: Parameters, { x, labels, seed }: Batch): t.Tensor {
  const n = t.dropout(t.rmsNorm(x, norm, 1e-6), 0.1, seed, 0);
  const hidden = t.swiglu(t.linear(n, gate), t.linear(n, input));
  const heads = t.permute(t.reshape(hidden, [batch, length, 2, width / 2]), [0, 2, 1, 3]);
  const attended = t.permute(t.attention(heads, heads, heads, { mask: t.mask.causal() }), [0, 2, 1, 3]);
  return t.mean(
    t.softmaxCrossEntropy(
      t.linear(t.reshape(t.add(x, t.reshape(attended, x.shape)), [batch * length, width]), head),
      labels,
    ),
  );
}

export type TrainingStep = (state: TrainingState, batch: Batch, rates: t.Hyperparameters) => Promise<TrainingState>;

export function trainingStep(device: t.Device): TrainingStep {
  const step = (state: TrainingState, given: Batch, rates: t.Hyperparameters): TrainingState => {
    const [value, gradients] = t.valueAndGrad(loss)(state.parameters, given);
    const clipped = t.clipByGlobalNorm(gradients, 1);
    const { parameters, state: optimizer } = adamW.update(state.parameters, clipped.gradients, state.optimizer, rates);
    return { parameters, optimizer, lossSum: t.add(state.lossSum, value) };
  };
  return t.compile(step, { device, donate: [0, 1, 2], name: 'the training step' });
}

/** Every tensor of the state after `steps` steps. */
export async function train(
  device: t.Device,
  steps: number,
  onStep: (step: number) => void = () => {},
): Promise<t.Tensor[]> {
  const step = trainingStep(device);
  let state = startTraining();
  for (let i = 0; i < steps; i++) {
    state = await step(state, makeBatch(i), adamW.hyperparameters(i + 1, 1e-2));
    onStep(i);
  }
  return t.flatten(state);
}
