/** The first largest element, or the first NaN, against a scan; ties and NaN anywhere. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OrderedType } from '../../src/kernels/index.js';
import { TIERS, arenaFor, size } from './support.js';

const arrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;
const special = [0, -0, 1, -1, 3.4e38, -3.4e38, Infinity, -Infinity, Number.NaN, 2 ** 31, -(2 ** 31), 2 ** 32 - 1];

/** Few different elements, so that there are ties; NaN in some rows only. */
const element = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -3, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(...special) },
);

function firstLargest(row: ArrayLike<number>): number {
  const all = Array.from(row);
  const nan = all.findIndex(Number.isNaN);
  return nan >= 0 ? nan : all.findIndex((x) => all.every((other) => x >= other));
}

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('of every row', () => {
    const matrix = fc
      .tuple(size(6), fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 })))
      .chain(([rows, columns]) =>
        fc.record({
          columns: fc.constant(columns),
          elements: fc.array(element, { minLength: rows * columns, maxLength: rows * columns, size: 'max' }),
        }),
      );
    const dtypes = fc.constantFrom<OrderedType>('f32', 'i32', 'u32');
    const property = fc.property(matrix, dtypes, ({ columns, elements }, dtype) => {
      arena.reset();
      const data = arrays[dtype].from(elements);
      const rows = data.length / columns;
      const x = arena.u8(new Uint8Array(data.buffer));
      const out = arena.output(rows);
      kernels.argmax(dtype, out, x, rows, columns);
      arena.checkGuards();
      const expected = Array.from({ length: rows }, (_, row) =>
        firstLargest(data.subarray(row * columns, (row + 1) * columns)),
      );
      expect([...new Int32Array(kernels.memory.buffer, out, rows)]).toEqual(expected);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test('rows without an element and operands outside the memory are refused', () => {
    const end = kernels.memory.buffer.byteLength;
    expect(() => kernels.argmax('f32', 0, 0, 1, 0)).toThrow(/argmax columns is 0/);
    expect(() => kernels.argmax('f32', 0, end, 1, 4)).toThrow(/argmax x/);
    expect(() => kernels.argmax('f32', end, 0, 1, 4)).toThrow(/argmax out/);
  });
});
