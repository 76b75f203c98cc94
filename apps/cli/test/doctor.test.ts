import { createReferenceDevice } from '@mindseye/tensor-core';
import { describe, expect, test } from 'vitest';
import { selfTest } from '../src/doctor/self-test.js';
import { succeed } from './support/command.js';

describe('doctor', () => {
  test('names the machine and passes on the CPU devices', async () => {
    expect(await succeed('doctor')).toMatch(/Node .*v\d+.*wasm .*tests passed/s);
    const { passed, machine, devices } = JSON.parse(await succeed('doctor', '--json'));
    expect(passed).toBe(true);
    expect(machine.map(({ name }: { name: string }) => name)).toEqual(['mindseye', 'Node', 'CPU', 'memory', 'images']);
    expect(devices.map(({ name }: { name: string }) => name)).toEqual(['reference', 'wasm', 'webgpu']);
    expect(devices[1].detail).toMatch(/^WebAssembly, instruction tier \w+: .+; \d+ threads?; at most \d+\.0 GiB$/);
  });

  test('the self-test sees a device that computes wrongly, and one that fails', async () => {
    const right = createReferenceDevice();
    const wrong = {
      ...right,
      read: async (...args: Parameters<typeof right.read>) => (await right.read(...args)).map((value) => value + 0.01),
    };
    const results = await selfTest({ ...wrong, name: 'wrong' });
    expect(results.every(({ passed }) => !passed)).toBe(true);
    const failing = {
      ...right,
      lower: () => {
        throw new Error('out of order');
      },
    };
    const [first] = await selfTest(failing);
    expect(first).toMatchObject({ passed: false, difference: null, message: 'out of order' });
  });
});
