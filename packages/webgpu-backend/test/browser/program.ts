/** What the page of `browser.test.ts` runs: the published modules on navigator.gpu, and the reference engine beside it. */
import * as t from '@mindseye/tensor-core';
import { openDevice } from '@mindseye/webgpu-backend';
import { train } from '../training-step.js';

export interface BrowserReport {
  readonly architecture: string;
  readonly forward: readonly [actual: readonly number[], expected: readonly number[]];
  readonly gradient: readonly [actual: readonly number[], expected: readonly number[]];
  readonly losses: readonly [actual: readonly number[], expected: readonly number[]];
  readonly badIndex: string;
}

const pattern = (shape: readonly number[], phase: number): t.Tensor =>
  t.tensor(
    Float32Array.from({ length: t.sizeOf(shape) }, (_, i) => Math.sin(i * 0.7 + phase)),
    shape,
  );

/** A small network: product, gate, norm, attention with a mask. */
function forward(w: t.Tensor): t.Tensor {
  const hidden = t.reshape(t.softmax(t.gelu(t.matmul(pattern([18, 20], 1), w))), [1, 3, 6, 16]);
  return t.attention(hidden, hidden, pattern([1, 3, 6, 16], 2), { mask: t.mask.causal() });
}

export async function run(): Promise<BrowserReport> {
  const device = await openDevice();
  const reference = t.createReferenceDevice();
  const gradient = (w: t.Tensor): t.Tensor =>
    t.grad((at: t.Tensor) => t.sum(t.mul(forward(at), pattern([1, 3, 6, 16], 3))))(w);
  const both = async (f: (w: t.Tensor) => t.Tensor): Promise<readonly [number[], number[]]> => [
    [...(await f(pattern([20, 16], 4)).data(device))],
    [...(await f(pattern([20, 16], 4)).data(reference))],
  ];
  const badIndex = await t
    .gather(pattern([3, 2], 0), t.tensor(Int32Array.of(9)))
    .data(device)
    .then(String, String);
  return {
    architecture: device.adapter.architecture,
    forward: await both(forward),
    gradient: await both(gradient),
    losses: [await train(device, 2), await train(reference, 2)],
    badIndex,
  };
}
