/** Query heads that share keys and values stored in any way, few queries and many, against sums in double precision. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUERY_BLOCK, type VisibleKeys } from '../../src/kernels/attention-blocks.js';
import type { StoredMatrix } from '../../src/kernels/index.js';
import { halfCodes } from './half-codes.js';
import { arenaFor, rowsOf, TIERS, valueSeed, values, worstError } from './support.js';

const storages: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];

const cases = fc.record({
  heads: fc.integer({ min: 1, max: 9 }),
  // Around four queries, sixteen, and a block, together and alone.
  queries: fc.constantFrom(0, 1, 2, 5, 13, 17, QUERY_BLOCK + 1),
  // Around the keys that are read at a time.
  keys: fc.constantFrom(0, 1, 5, 64, 255, 257, 530),
  width: fc.constantFrom(1, 3, 8, 20),
  masked: fc.boolean(),
  /** Parts of the keys that are looked at, in 16ths. */
  cuts: fc.option(fc.array(fc.nat(16), { minLength: 4, maxLength: 4 })),
  seed: valueSeed,
});

const NAN_HALF = 0x7fff;

describe.each(TIERS)('attention of a group of heads, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  /** Puts rows into the arena, NaN where `isSeen` is false; returns their offset and the numbers they hold. */
  const store = (
    storage: StoredMatrix,
    numbers: Float32Array,
    isSeen: (at: number) => boolean,
  ): readonly [number, Float32Array] => {
    if (storage === 'f32') return [arena.f32(numbers.map((x, at) => (isSeen(at) ? x : Number.NaN))), numbers];
    const { codes, numbers: rounded } = halfCodes(storage, numbers);
    const at = arena.bytes(codes.byteLength);
    const hidden = codes.map((code, i) => (isSeen(i) ? code : NAN_HALF));
    new Uint16Array(kernels.memory.buffer, at, codes.length).set(hidden);
    return [at, rounded];
  };

  test.each(storages)('keys and values in %s', (storage) => {
    const property = fc.property(cases, ({ heads, queries, keys, width, masked, cuts, seed }) => {
      const [a, b, c, d] = (cuts ?? [0, 16, 16, 16]).toSorted((x, y) => x - y).map((cut) => (cut * keys) >> 4);
      const runs = [
        { first: a!, count: b! - a! },
        { first: c!, count: d! - c! },
      ].filter(({ count }) => count > 0);
      const inRun = (key: number): boolean => runs.some(({ first, count }) => key >= first && key < first + count);
      const chance = values(seed + 4, queries * keys);
      /** Every third query sees nothing at all. */
      const allows = (query: number, key: number): boolean =>
        inRun(key) && (!masked || (query % 3 !== 2 && chance[query * keys + key]! > 0));
      const bytes: number[] = [];
      for (let query = 0; query < queries; query++)
        for (let key = 0; key < keys; key++) if (inRun(key)) bytes.push(Number(allows(query, key)));
      const visible: VisibleKeys[] = Array.from({ length: Math.ceil(queries / QUERY_BLOCK) }, () => ({ runs, masked }));

      arena.reset();
      const rows = heads * queries;
      const q = values(seed, rows * width, 2);
      const isSeen = (at: number): boolean => inRun(Math.floor(at / width));
      const [k, keyNumbers] = store(storage, values(seed + 1, keys * width, 2), isSeen);
      const [v, valueNumbers] = store(storage, values(seed + 2, keys * width, 2), isSeen);
      const [y, lse] = [arena.output(rows * width), arena.output(rows)];
      const sizes = { heads, queries, keys, width, storage };
      const scratch = arena.bytes(kernels.attentionScratchBytes(sizes));
      const mask = masked ? { mask: arena.u8(bytes) } : {};
      kernels.attention({ ...sizes, q: arena.f32(q), k, v, y, lse, scale: 0.3, visible, ...mask, scratch });
      arena.checkGuards();

      const [keyRows, valueRows] = [rowsOf(keyNumbers, keys, width), rowsOf(valueNumbers, keys, width)];
      const expected = rowsOf(q, rows, width).map((row, i) => {
        const scores = keyRows.map((key, j) =>
          allows(i % queries, j) ? 0.3 * key.reduce((total, x, p) => total + x * row[p]!, 0) : -Infinity,
        );
        const largest = Math.max(...scores);
        if (largest === -Infinity) return { lse: Infinity, y: row.map(() => 0) };
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const mean = row.map((_, p) => weights.reduce((sum, w, j) => sum + w * valueRows[j]![p]!, 0) / total);
        return { lse: largest + Math.log(total), y: mean };
      });
      const tolerance = { absolute: 4e-6, relative: 4e-6 };
      const of = (at: number, wanted: number[]): number => worstError(arena.read(at, wanted.length), wanted, tolerance);
      expect(
        of(
          y,
          expected.flatMap((row) => row.y),
        ),
      ).toBeLessThanOrEqual(1);
      expect(
        of(
          lse,
          expected.map((row) => row.lse),
        ),
      ).toBeLessThanOrEqual(1);
    });
    fc.assert(property, { numRuns: 40 });
  });

  test('a head has the same bits alone and among others, as long as its queries take the same way', () => {
    const [queries, keys, width] = [1, 300, 16];
    arena.reset();
    const [q, k, v] = [values(1, 8 * width), values(2, keys * width), values(3, keys * width)];
    const shared = { queries, keys, width, scale: 0.25, k: arena.f32(k), v: arena.f32(v), storage: 'f32' as const };
    const run = (heads: number, at: number): Float32Array => {
      const [y, lse] = [arena.output(heads * width), arena.output(heads)];
      const scratch = arena.bytes(kernels.attentionScratchBytes({ ...shared, heads }));
      kernels.attention({ ...shared, heads, q: at, y, lse, scratch });
      return arena.read(y, heads * width);
    };
    const at = arena.f32(q);
    const together = run(8, at);
    for (let head = 0; head < 8; head++)
      expect(run(1, at + 4 * head * width)).toEqual(together.slice(head * width, (head + 1) * width));
  });

  test('rows of 16 bits that are not dense are an error', () => {
    const sizes = { queries: 1, keys: 2, width: 4, storage: 'f16' as const };
    const operands = { ...sizes, q: 0, k: 0, v: 0, y: 0, lse: 0, scale: 1, scratch: 4096, rowStrideK: 5 };
    expect(() => kernels.attention(operands)).toThrow(/rows of f16 keys are 5 elements apart; they must be dense/);
  });
});
