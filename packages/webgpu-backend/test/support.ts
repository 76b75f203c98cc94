/** One device per test file, and comparison of a graph on it with the reference engine. */
import {
  type Device,
  type HostArray,
  RandomStream,
  type Tensor,
  createReferenceDevice,
  sizeOf,
  tensor,
} from '@mindseye/tensor-core';
import { expect } from 'vitest';
import { openAdapter } from '../src/adapter.js';
import { createDevice } from '../src/device.js';
import type { Profile, WebGpuDevice } from '../src/index.js';

/** A device whose slabs and new roots hold NaN before each run, so that what a kernel did not write shows. */
export async function openPoisoned(profile: Profile): Promise<WebGpuDevice> {
  const adapter = await openAdapter({});
  return createDevice(adapter.gpu, adapter.report, { profile, poisons: true });
}

export const gpu: WebGpuDevice = await openPoisoned('checked');
export const reference: Device = createReferenceDevice();

/** f32 values from -2 to 2, the same for the same seed. */
export function values(shape: readonly number[], seed = 1): Tensor {
  const stream = RandomStream.fromSeed(seed);
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => stream.uniform(-2, 2)),
    shape,
  );
}

/** i32 values from 0 to bound - 1. */
export function indices(shape: readonly number[], bound: number, seed = 1): Tensor {
  const stream = RandomStream.fromSeed(seed);
  return tensor(
    Int32Array.from({ length: sizeOf(shape) }, () => stream.integer(bound)),
    shape,
  );
}

/** Largest |actual - expected|, scaled by the largest |expected|; exact equality counts as 0, also of infinities and NaN. */
export function distance(actual: HostArray, expected: HostArray): number {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  let scale = 1;
  expected.forEach((value: number, i: number) => {
    if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value));
    if (Object.is(actual[i], value) || actual[i] === value) return;
    const difference = Math.abs(actual[i]! - value);
    worst = Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
  });
  return worst / scale;
}

/** `build` makes fresh tensors each time it is called, since a tensor belongs to the first device that uses it. */
export async function expectAgreement(build: () => Tensor | readonly Tensor[], tolerance: number): Promise<void> {
  const [actual, expected] = [build(), build()].map((built) => (Array.isArray(built) ? built : [built as Tensor]));
  for (let i = 0; i < expected!.length; i++) {
    const wanted = await expected![i]!.data(reference);
    const got = await actual![i]!.data(gpu);
    expect(got.constructor).toBe(wanted.constructor);
    expect(distance(got, wanted), `output ${i}, ${expected![i]!.toString()}`).toBeLessThanOrEqual(tolerance);
  }
}
