/** Products of few rows with a transposed matrix in each storage, against sums in double precision. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKernels, mostProductRows } from '../../src/kernels/index.js';
import type { StoredMatrix } from '../../src/kernels/index.js';
import { Arena, arenaFor, expectClose, rowsOf, size, sum, TIERS, valueSeed, values } from './support.js';
import { Threads } from '../../src/threads/threads.js';
import { halfCodes } from './half-codes.js';

const storages: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];

/** Puts a matrix into an arena; returns its offset and the numbers it holds. */
function storeIn(arena: Arena, storage: StoredMatrix, numbers: Float32Array): readonly [number, Float32Array] {
  if (storage === 'f32') return [arena.f32(numbers), numbers];
  const { codes, numbers: rounded } = halfCodes(storage, numbers);
  const at = arena.bytes(codes.byteLength);
  new Uint16Array(arena.kernels.memory.buffer, at, codes.length).set(codes);
  return [at, rounded];
}

describe.each(TIERS)('few rows, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  const store = (storage: StoredMatrix, numbers: Float32Array): readonly [number, Float32Array] =>
    storeIn(arena, storage, numbers);

  test.each(storages)('a matrix in %s', (storage) => {
    const sizes = fc.record({
      m: fc.integer({ min: 0, max: mostProductRows }),
      n: fc.oneof(size(13), fc.integer({ min: 16, max: 40 })),
      k: size(100),
    });
    fc.assert(
      fc.property(sizes, valueSeed, fc.nat(3), ({ m, n, k }, seed, gap) => {
        arena.reset();
        const a = values(seed, m * k);
        const [b, numbers] = store(storage, values(seed + 1, n * k));
        const rowStrideC = n + gap;
        const c = arena.output(m === 0 ? 0 : (m - 1) * rowStrideC + n);
        kernels.rowProducts({ a: arena.f32(a), b, c, m, n, k, storage, rowStrideC });
        arena.checkGuards();
        const columns = rowsOf(numbers, n, k);
        rowsOf(a, m, k).forEach((row, i) => {
          const expected = columns.map((column) => sum(column.map((value, p) => value * row[p]!)));
          expectClose(arena, c + 4 * i * rowStrideC, expected, { absolute: 2e-6 * Math.max(1, k), relative: 0 });
        });
      }),
    );
  });

  test('an element has the same bits whatever the number of rows around it', () => {
    fc.assert(
      fc.property(size(140), valueSeed, fc.constantFrom(...storages), (k, seed, storage) => {
        arena.reset();
        const n = 23;
        const a = arena.f32(values(seed, mostProductRows * k));
        const [b] = store(storage, values(seed + 1, n * k));
        const all = arena.output(mostProductRows * n);
        kernels.rowProducts({ a, b, c: all, m: mostProductRows, n, k, storage });
        const bytes = storage === 'f32' ? 4 : 2;
        for (let i = 0; i < mostProductRows; i++)
          for (let j = 0; j < n; j++) {
            const one = arena.output(1);
            kernels.rowProducts({ a: a + 4 * i * k, b: b + bytes * j * k, c: one, m: 1, n: 1, k, storage });
            expect(arena.read(one, 1)[0]).toBe(arena.read(all + 4 * (i * n + j), 1)[0]);
          }
      }),
      { numRuns: 30 },
    );
  });

  test('infinities and NaN reach the products that they are part of, and no other', () => {
    arena.reset();
    const k = 5;
    const a = arena.f32([1, 1, 1, 1, 1]);
    const rows = [1, 2, 3, 4, 5, Infinity, 0, 0, 0, 0, 0, 0, 0, 0, -Infinity, 0, 0, Number.NaN, 0, 0, 1, 1, 1, 1, 1];
    const c = arena.output(5);
    kernels.rowProducts({ a, b: arena.f32(rows), c, m: 1, n: 5, k, storage: 'f32' });
    expect([...arena.read(c, 5)]).toEqual([15, Infinity, -Infinity, Number.NaN, 5]);
  });

  test('threads have the bits of one', () => {
    const memory = new WebAssembly.Memory({ initial: 256, maximum: 256, shared: true });
    const crew = new Arena(createKernels({ tier, memory, threads: new Threads(3, { eager: true }) }));
    const sizes = fc.record({ m: fc.integer({ min: 1, max: 6 }), n: size(90), k: size(70) });
    fc.assert(
      fc.property(sizes, valueSeed, fc.constantFrom(...storages), ({ m, n, k }, seed, storage) => {
        const [one, three] = [arena, crew].map((on) => {
          on.reset();
          const [b] = storeIn(on, storage, values(seed, n * k));
          const [a, c] = [on.f32(values(seed + 1, m * k)), on.output(m * n)];
          on.kernels.rowProducts({ a, b, c, m, n, k, storage });
          on.checkGuards();
          return on.read(c, m * n);
        });
        expect(three).toEqual(one);
      }),
    );
    crew.kernels.engine.threads.end();
  });

  test('more rows are refused', () => {
    const sizes = { m: mostProductRows + 1, n: 1, k: 1 };
    expect(() => kernels.rowProducts({ a: 0, b: 0, c: 0, ...sizes, storage: 'f32' })).toThrow(/use matmul/);
  });
});

describe.skipIf(!TIERS.includes('revectorized'))('joined vectors', () => {
  test('have the bits of those that are not joined, for every number of rows', () => {
    const [plain, joined] = [arenaFor('relaxed'), arenaFor('revectorized')];
    const sizes = fc.record({ m: fc.integer({ min: 1, max: mostProductRows }), n: size(40), k: size(140) });
    fc.assert(
      fc.property(sizes, valueSeed, fc.constantFrom(...storages), ({ m, n, k }, seed, storage) => {
        const [expected, actual] = [plain, joined].map((arena) => {
          arena.reset();
          const [b] = storeIn(arena, storage, values(seed, n * k));
          const [a, c] = [arena.f32(values(seed + 1, m * k)), arena.output(m * n)];
          arena.kernels.rowProducts({ a, b, c, m, n, k, storage });
          return arena.read(c, m * n);
        });
        expect(actual).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });
});
