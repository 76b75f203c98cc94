/** Decoding of group-quantised rows, against the formula. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CodeBits } from '../../src/kernels/index.js';
import { arenaFor, expectClose, size, TIERS, valueSeed, values } from './support.js';

describe.each(TIERS)('group-quantised rows, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test.each([4, 8] as const satisfies readonly CodeBits[])('codes of %i bits', (bits) => {
    const format = fc.record({
      rows: size(5),
      columns: fc.oneof(size(140), fc.constantFrom(31, 32, 33, 63, 64, 65, 96, 128)),
      groupSize: fc.constantFrom(32, 64, 128),
      withOffsets: fc.boolean(),
      zero: fc.constantFrom(0, 2 ** (bits - 1)),
    });
    fc.assert(
      fc.property(format, valueSeed, ({ rows, columns, groupSize, withOffsets, zero }, seed) => {
        arena.reset();
        const [words, groups] = [Math.ceil((columns * bits) / 32), Math.ceil(columns / groupSize)];
        const stored = Uint32Array.from(values(seed, rows * words), (value) => (value * 2 ** 31) >>> 0);
        const codes = arena.bytes(stored.byteLength);
        new Uint32Array(kernels.memory.buffer, codes, stored.length).set(stored);
        const [scales, offsets] = [values(seed + 1, rows * groups), values(seed + 2, rows * groups)];
        const out = arena.output(rows * columns);
        const factors = { scales: arena.f32(scales), ...(withOffsets && { offsets: arena.f32(offsets) }) };
        kernels.dequantize({ out, codes, ...factors, rows, columns, bits, groupSize, zero });
        arena.checkGuards();
        const expected = Array.from({ length: rows * columns }, (_, i) => {
          const [row, column] = [Math.floor(i / columns), i % columns];
          const perWord = 32 / bits;
          const word = stored[row * words + Math.floor(column / perWord)]!;
          const code = (word >>> ((column % perWord) * bits)) & (2 ** bits - 1);
          const group = row * groups + Math.floor(column / groupSize);
          return scales[group]! * (code - zero) + (withOffsets ? offsets[group]! : 0);
        });
        expectClose(arena, out, expected, { absolute: 1e-6 * 2 ** bits, relative: 0 });
      }),
    );
  });

  test('groups that are not multiples of 32 columns are refused', () => {
    const sizes = { rows: 1, columns: 40, bits: 4, groupSize: 40, zero: 0 } as const;
    expect(() => kernels.dequantize({ out: 0, codes: 0, scales: 0, ...sizes })).toThrow(/multiples of 32/);
  });
});
