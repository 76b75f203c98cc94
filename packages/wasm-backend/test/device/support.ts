/** What device tests share: access to bytes and buffers behind handles, and comparison bit for bit. */
import type { DeviceBuffer, HostTensor, Tensor } from '@mindseye/tensor-core';
import { readBack } from '@mindseye/tensor-core/testing';
import { expect } from 'vitest';

const pageBytes = 65_536;

/** A memory of one page that grows to `maximumBytes` at most. */
export const boundedMemory = (maximumBytes: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 1, maximum: Math.ceil(maximumBytes / pageBytes) });

export interface Range {
  readonly pointer: number;
  readonly byteLength: number;
}

/** Where a buffer of the device lies in its memory. */
export const rangeOf = (buffer: DeviceBuffer): Range => buffer as DeviceBuffer & Range;

/** The buffer behind a materialised tensor. */
export function bufferOf(value: Tensor): DeviceBuffer {
  if (value.storage?.kind !== 'device') throw new TypeError(`${value.toString()} is not on a device`);
  return value.storage.buffer;
}

/** Sets every byte outside the given buffers to 255: NaN as f32, a wild index as i32. */
export function poison(memory: WebAssembly.Memory, kept: readonly DeviceBuffer[]): void {
  const bytes = new Uint8Array(memory.buffer);
  const saved = kept
    .map(rangeOf)
    .map(({ pointer, byteLength }) => ({ pointer, data: bytes.slice(pointer, pointer + byteLength) }));
  bytes.fill(255);
  for (const { pointer, data } of saved) bytes.set(data, pointer);
}

/** The bytes of a value, so that NaN equals NaN and -0 is not 0. */
export const bytesOf = ({ data }: Pick<HostTensor, 'data'>): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();

/** Fails unless two lists of tensors agree in every bit. */
export async function expectSameBits(actual: readonly Tensor[], expected: readonly Tensor[]): Promise<void> {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) {
    const [got, wanted] = [await readBack(actual[i]!), await readBack(value)];
    expect(got.shape).toEqual(wanted.shape);
    expect(bytesOf(got), `output ${i}`).toEqual(bytesOf(wanted));
  }
}

/** Largest |actual - expected| relative to the largest |expected|, at least 1. */
export async function distance(actual: Tensor, expected: Tensor): Promise<number> {
  const [got, wanted] = [await actual.data(), await expected.data()];
  expect(got.length).toBe(wanted.length);
  let [worst, scale] = [0, 1];
  wanted.forEach((value: number, i: number) => {
    const difference = Math.abs(got[i]! - value);
    if (Number.isNaN(difference)) worst = Infinity;
    worst = Math.max(worst, difference);
    scale = Math.max(scale, Math.abs(value));
  });
  return worst / scale;
}
