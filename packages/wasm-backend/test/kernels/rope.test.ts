import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, expectClose, SEED, size, TIERS, values, valueSeed } from './support.js';

describe.each(TIERS)('rope, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('rope rotates pairs, its gradient rotates back, tables may be full width', () => {
    const sizes = fc.record({ heads: fc.integer({ min: 0, max: 3 }), rows: size(6), half: size(21), seed: valueSeed });
    fc.assert(
      fc.property(sizes, fc.boolean(), ({ heads, rows, half, seed }, fullTables) => {
        const width = 2 * half;
        const x = values(seed, heads * rows * width);
        const angles = values(seed + 1, rows * half, 10);
        const stride = fullTables ? width : half;
        const table = (of: (angle: number) => number): Float32Array =>
          Float32Array.from({ length: rows * stride }, (_, i) =>
            of(angles[Math.floor(i / stride) * half + ((i % stride) % Math.max(half, 1))] as number),
          );
        const [cosTable, sinTable] = [table(Math.cos), table(Math.sin)];
        arena.reset();
        const [input, y, back] = [arena.f32(x), arena.output(x.length), arena.output(x.length)];
        const tables = {
          cos: arena.f32(cosTable),
          sin: arena.f32(sinTable),
          ...(fullTables && { tableStride: width }),
        };
        kernels.rope({ x: input, y, ...tables, heads, rows, width });
        kernels.ropeBackward({ x: y, y: back, ...tables, heads, rows, width });
        kernels.rope({ x: input, y: input, ...tables, heads, rows, width });
        arena.checkGuards();
        const expected = Array.from(x, (v, i) => {
          const column = i % width;
          const row = Math.floor(i / width) % rows;
          const entry = row * stride + (column % half);
          const partner = (column < half ? -1 : 1) * (x[column < half ? i + half : i - half] as number);
          return v * (cosTable[entry] as number) + partner * (sinTable[entry] as number);
        });
        expectClose(arena, y, expected, { absolute: 3e-7, relative: 0 });
        expectClose(arena, back, [...x], { absolute: 6e-7, relative: 0 });
        expect(arena.read(input, x.length)).toEqual(arena.read(y, x.length));
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('entries of a batch have tables of their own', () => {
    const [batch, heads, rows, width] = [3, 2, 5, 12];
    const [x, angles] = [values(1, batch * heads * rows * width), values(2, batch * rows * (width / 2), 10)];
    arena.reset();
    const [input, y, expected] = [arena.f32(x), arena.output(x.length), arena.output(x.length)];
    const [cos, sin] = [arena.f32(angles.map(Math.cos)), arena.f32(angles.map(Math.sin))];
    kernels.rope({ x: input, y, cos, sin, batch, heads, rows, width });
    for (let entry = 0; entry < batch; entry += 1) {
      const [at, table] = [4 * entry * heads * rows * width, 4 * entry * rows * (width / 2)];
      kernels.rope({ x: input + at, y: expected + at, cos: cos + table, sin: sin + table, heads, rows, width });
    }
    arena.checkGuards();
    expect(arena.read(y, x.length)).toEqual(arena.read(expected, x.length));
  });

  test('an odd width is an error that names it', () => {
    const operands = { x: 0, y: 0, cos: 0, sin: 0, heads: 1, rows: 1, width: 3 };
    expect(() => kernels.rope(operands)).toThrow(/rope width \/ 2 is 1.5/);
    expect(() => kernels.rope({ ...operands, width: 8, tableStride: 3 })).toThrow(/table stride of 3 elements/);
  });
});
