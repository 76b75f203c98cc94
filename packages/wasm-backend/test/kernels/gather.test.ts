/** Rows picked from a table, repeated words and counted numbers, byte for byte. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TIERS, arenaFor, size, valueSeed, values } from './support.js';

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;
  const bytesAt = (pointer: number, count: number): number[] => [
    ...new Uint8Array(kernels.memory.buffer, pointer, count),
  ];

  test('gather copies rows of any number of bytes', () => {
    const sizes = fc.record({
      rows: fc.integer({ min: 1, max: 6 }),
      count: size(20),
      rowBytes: fc.oneof(size(70), fc.constantFrom(1023, 1024, 1500)),
      seed: valueSeed,
    });
    fc.assert(
      fc.property(sizes, ({ rows, count, rowBytes, seed }) => {
        const table = Uint8Array.from(values(seed, rows * rowBytes, 128), (v) => v + 128);
        const indices = Int32Array.from(values(seed + 1, count, rows), (v) => Math.floor(Math.abs(v)));
        arena.reset();
        const to = arena.bytes(count * rowBytes);
        const at = { table: arena.u8(table), indices: arena.u8(new Uint8Array(indices.buffer)) };
        kernels.gather({ to, ...at, count, rows, rowBytes });
        arena.checkGuards();
        const expected = [...indices].flatMap((row) => [...table.subarray(row * rowBytes, (row + 1) * rowBytes)]);
        expect(bytesAt(to, count * rowBytes)).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });

  test('fill repeats a word, iota counts', () => {
    const cases = fc.record({
      count: size(100),
      cut: fc.integer({ min: 0, max: 3 }),
      word: fc.oneof(fc.constant(0), fc.integer()),
    });
    fc.assert(
      fc.property(cases, ({ count, cut, word }) => {
        arena.reset();
        const length = Math.max(0, 4 * count - cut);
        const [to, whole, real] = [arena.bytes(length), arena.output(count), arena.output(count)];
        kernels.fill(to, word, length);
        kernels.iota('i32', whole, count);
        kernels.iota('f32', real, count);
        arena.checkGuards();
        const words = new Uint8Array(new Int32Array(count).fill(word).buffer, 0, length);
        const numbers = Array.from({ length: count }, (_, i) => i);
        expect(bytesAt(to, length)).toEqual([...words]);
        expect([...new Int32Array(kernels.memory.buffer, whole, count)]).toEqual(numbers);
        expect([...arena.read(real, count)]).toEqual(numbers);
      }),
      { numRuns: 100 },
    );
  });

  test('a range outside the memory is an error that names it', () => {
    const end = kernels.memory.buffer.byteLength;
    expect(() => kernels.fill(end - 4, 1, 8)).toThrow(/fill to/);
    expect(() => kernels.iota('f32', end, 1)).toThrow(/iota to/);
    const operands = { to: 0, table: 0, indices: 0, count: 1, rows: 1, rowBytes: 4 };
    expect(() => kernels.gather({ ...operands, table: end })).toThrow(/gather table/);
    expect(() => kernels.gather({ ...operands, indices: end })).toThrow(/gather indices/);
  });
});
