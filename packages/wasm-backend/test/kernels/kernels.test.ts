import { describe, expect, test } from 'vitest';
import { createKernels, emitFamily, familyNames, probeTier, supportsTier } from '../../src/kernels/index.js';
import { TIERS, values } from './support.js';

describe('createKernels', () => {
  test('every engine of the test matrix has a tier, and the best is the default', () => {
    expect(TIERS.length).toBeGreaterThan(0);
    expect(probeTier()).toBe((['revectorized', 'relaxed', 'simd128'] as const).find(supportsTier));
    expect(createKernels().tier).toBe(probeTier());
  });

  test.each(TIERS)('the same tier %s always has the same bytes', (tier) => {
    for (const name of familyNames) expect(emitFamily(name, tier, false)).toEqual(emitFamily(name, tier, false));
  });

  test.each(TIERS)('tier %s works on a shared memory and after the memory has grown', (tier) => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
    const kernels = createKernels({ tier, memory });
    memory.grow(2);
    const x = 2 * 65_536;
    new Float32Array(memory.buffer, x, 6).set(values(1, 6));
    kernels.add(x + 64, x, x, 6);
    expect(new Float32Array(memory.buffer, x + 64, 6).slice()).toEqual(values(1, 6).map((v) => 2 * v));
  });

  test('two kernel sets on two memories do not share anything', () => {
    const [a, b] = [createKernels(), createKernels()];
    a.scale(0, 0, 1, 4);
    new Float32Array(a.memory.buffer).fill(1);
    expect(new Float32Array(b.memory.buffer).every((v) => v === 0)).toBe(true);
  });
});
