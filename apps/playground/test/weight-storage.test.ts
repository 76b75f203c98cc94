import { parameterCount, presets } from '@mindseye/qwen-vl';
import { WasmMemoryError } from '@mindseye/wasm-backend';
import { WebGpuError } from '@mindseye/webgpu-backend';
import { expect, test } from 'vitest';
import type { DeviceName, WeightStorage } from '../src/worker/protocol.js';
import { type ModelSize, inPlainWords, requireRoom } from '../src/worker/weight-storage.js';

/** A published model in 16 bits. */
function sizeOf(preset: keyof typeof presets): ModelSize {
  const config = presets[preset]();
  return { location: preset, config, bytes: 2 * parameterCount(config) };
}
const small = sizeOf('qwen2.5-vl-3b');
const large = sizeOf('qwen2.5-vl-7b');

const lineOf = (size: ModelSize, device: DeviceName, storage: WeightStorage): string => {
  try {
    requireRoom(size, { device, storage });
    return 'fits';
  } catch (error) {
    return (error as Error).message;
  }
};

test('what a 32-bit memory holds of the published models, and what to choose instead', () => {
  expect(lineOf(small, 'wasm', 'stored')).toBe(
    'qwen2.5-vl-3b is too large: its weights take 7.51 GB as stored, and the CPU (WebAssembly) holds 3.76 GB of them; choose int4 weights (3.07 GB)',
  );
  expect(lineOf(small, 'wasm', 'int4')).toBe('fits');
  expect(lineOf(large, 'wasm', 'int4')).toMatch(/choose the GPU, or a smaller model$/);
  expect(lineOf(large, 'webgpu', 'stored')).toBe('fits');
});

test('a device without room is told of with the cure, any other error stays itself', () => {
  const full = new WebGpuError('out-of-memory', 'the GPU is out of memory');
  const choices = { device: 'webgpu', storage: 'stored' } as const;
  const told = inPlainWords(full, large, choices) as Error;
  expect(told.message).toMatch(
    /^qwen2.5-vl-7b is too large: .* GB as stored, and the GPU has no room for them; choose int8 weights \(/,
  );
  expect(told.cause).toBe(full);
  expect(
    (inPlainWords(new WasmMemoryError('full'), small, { device: 'wasm', storage: 'int4' }) as Error).message,
  ).toMatch(/in int4, .*; choose the GPU, or a smaller model$/);
  expect((inPlainWords(new RangeError('Array buffer allocation failed'), small, choices) as Error).message).toMatch(
    /has no room/,
  );
  for (const other of [new WebGpuError('device-lost', 'gone'), new RangeError('offset is out of bounds'), 'text'])
    expect(inPlainWords(other, small, choices)).toBe(other);
});

test('what is packed more tightly in the files is not counted as if it were unpacked', () => {
  const packed = { ...large, bytes: 3e9 };
  expect(lineOf(packed, 'wasm', 'int8')).toBe('fits');
});
