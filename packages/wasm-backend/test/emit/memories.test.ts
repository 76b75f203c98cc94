/** Modules with several memories, and labels. */
import { describe, expect, test } from 'vitest';
import { ModuleBuilder, memory as memoryInstructions } from '../../src/emit/index.js';

const page = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1 });
const bytesOf = (memory: WebAssembly.Memory): Uint8Array => new Uint8Array(memory.buffer);

describe('copyBetween', () => {
  test('copies from one memory to another and back', () => {
    const module = new ModuleBuilder({ memories: ['memory', 'bank'] });
    const parameters = { into: 'i32', from: 'i32', size: 'i32' } as const;
    for (const [name, to, from] of [
      ['fetch', 0, 1],
      ['store', 1, 0],
    ] as const)
      module.function({ name, parameters, result: 'void', exported: true }, (f, p) => {
        f.do(memoryInstructions.copyBetween(to, from, p.into, p.from, p.size));
      });
    const [memory, bank] = [page(), page()];
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { env: { memory, bank } });
    const { fetch, store } = instance.exports as Record<string, (...values: number[]) => void>;
    bytesOf(bank).set([1, 2, 3, 4], 100);
    fetch!(8, 101, 3);
    expect([...bytesOf(memory).subarray(7, 12)]).toEqual([0, 2, 3, 4, 0]);
    store!(65_535, 10, 1);
    expect(bytesOf(bank)[65_535]).toBe(4);
    expect(() => fetch!(65_535, 0, 2)).toThrow(WebAssembly.RuntimeError);
  });
});

test('a label changes the bytes and nothing else', () => {
  const emit = (label?: string): Uint8Array<ArrayBuffer> => {
    const module = new ModuleBuilder({ label });
    module.function({ name: 'run', parameters: {}, result: 'void', exported: true }, () => {});
    return module.encode();
  };
  const [plain, one, other] = [emit(), emit('relaxed'), emit('revectorized')];
  expect(one).not.toEqual(other);
  expect(one.subarray(0, plain.length)).toEqual(plain);
  expect(WebAssembly.validate(other)).toBe(true);
  expect(new TextDecoder().decode(other)).toContain('revectorized');
});
