/** Rows added in index order: the same bits as a loop, for f32 and for words that wrap. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AddedType } from '../../src/kernels/index.js';
import { TIERS, arenaFor, size, valueSeed, values } from './support.js';

const arrays = { f32: Float32Array, i32: Int32Array } as const;

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('rows of any width, many into one', () => {
    const sizes = fc.record({
      rows: fc.integer({ min: 1, max: 6 }),
      count: size(20),
      columns: size(40),
      dtype: fc.constantFrom<AddedType>('f32', 'i32'),
      seed: valueSeed,
    });
    const property = fc.property(sizes, ({ rows, count, columns, dtype, seed }) => {
      const data = (at: number, length: number) =>
        arrays[dtype].from(values(at, length, dtype === 'f32' ? 3 : 2 ** 31));
      const [table, updates] = [data(seed, rows * columns), data(seed + 1, count * columns)];
      const indices = Int32Array.from(values(seed + 2, count, rows), (value) => Math.floor(Math.abs(value)));
      arena.reset();
      const y = arena.u8(new Uint8Array(table.buffer));
      const operands = {
        y,
        updates: arena.u8(new Uint8Array(updates.buffer)),
        indices: arena.u8(new Uint8Array(indices.buffer)),
      };
      kernels.scatterAdd(dtype, { ...operands, rows, count, columns });
      arena.checkGuards();
      indices.forEach((row, i) => {
        for (let c = 0; c < columns; c++) table[row * columns + c]! += updates[i * columns + c]!;
      });
      expect(new arrays[dtype](kernels.memory.buffer, y, rows * columns).slice()).toEqual(table);
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('operands outside the memory are refused by name', () => {
    const end = kernels.memory.buffer.byteLength;
    const operands = { y: 0, updates: 0, indices: 0, rows: 1, count: 1, columns: 4 };
    for (const name of ['y', 'updates', 'indices'] as const)
      expect(() => kernels.scatterAdd('f32', { ...operands, [name]: end })).toThrow(new RegExp(`scatterAdd ${name}`));
  });
});
