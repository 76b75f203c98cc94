/** Products of few rows with codes as they lie, against the decoded matrix in double precision. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CodeBits, arrangedBytes, mostProductRows } from '../../src/kernels/index.js';
import { arenaFor, expectClose, rowsOf, size, sum, TIERS, valueSeed, values } from './support.js';

describe.each(TIERS)('few rows and codes, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test.each([4, 8] as const satisfies readonly CodeBits[])('codes of %i bits', (bits) => {
    const format = fc.record({
      m: fc.integer({ min: 1, max: mostProductRows }),
      n: size(6),
      runs: fc.integer({ min: 0, max: 9 }),
      groupSize: fc.constantFrom(32, 64, 128),
      withOffsets: fc.boolean(),
      zero: fc.constantFrom(0, 2 ** (bits - 1)),
      gap: fc.nat(3),
    });
    fc.assert(
      fc.property(format, valueSeed, ({ m, n, runs, groupSize, withOffsets, zero, gap }, seed) => {
        arena.reset();
        const columns = 32 * runs;
        const [words, groups] = [(columns * bits) / 32, Math.ceil(columns / groupSize)];
        const stored = Uint32Array.from(values(seed, n * words), (value) => (value * 2 ** 31) >>> 0);
        const codes = arena.bytes(stored.byteLength);
        new Uint32Array(kernels.memory.buffer, codes, stored.length).set(stored);
        const [scales, offsets] = [values(seed + 1, n * groups), values(seed + 2, n * groups)];
        const a = values(seed + 3, m * columns);
        const arranged = arena.bytes(arrangedBytes(m, columns, groupSize));
        kernels.arrangeRows({ into: arranged, a: arena.f32(a), m, columns, bits, groupSize });
        const rowStrideC = n + gap;
        const c = arena.output((m - 1) * rowStrideC + n);
        const factors = { scales: arena.f32(scales), ...(withOffsets && { offsets: arena.f32(offsets) }) };
        kernels.quantizedRowProducts({
          arranged,
          codes,
          ...factors,
          c,
          m,
          n,
          columns,
          bits,
          groupSize,
          zero,
          rowStrideC,
        });
        arena.checkGuards();
        const weight = Array.from({ length: n * columns }, (_, i) => {
          const [row, column] = [Math.floor(i / columns), i % columns];
          const word = stored[row * words + Math.floor((column * bits) / 32)]!;
          const code = (word >>> ((column * bits) % 32)) & (2 ** bits - 1);
          const group = row * groups + Math.floor(column / groupSize);
          return scales[group]! * (code - zero) + (withOffsets ? offsets[group]! : 0);
        });
        const rows = rowsOf(weight, n, columns);
        rowsOf(a, m, columns).forEach((row, i) => {
          const expected = rows.map((codesOfRow) => sum(codesOfRow.map((w, p) => w * row[p]!)));
          expectClose(arena, c + 4 * i * rowStrideC, expected, { absolute: 4e-6 * 2 ** bits, relative: 1e-5 });
        });
      }),
    );
  });

  test('columns that are not multiples of 32, and more rows, are refused', () => {
    const operands = { arranged: 0, codes: 0, scales: 0, c: 0, n: 1, bits: 4, zero: 8, rowStrideC: 1 } as const;
    expect(() => kernels.quantizedRowProducts({ ...operands, m: 1, columns: 40, groupSize: 32 })).toThrow(
      /multiples of 32/,
    );
    expect(() => kernels.quantizedRowProducts({ ...operands, m: 5, columns: 32, groupSize: 32 })).toThrow(
      /decode the matrix/,
    );
  });
});
