import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { type Case, type Results, cases, formulas, maskOf, runCase } from './attention-support.js';
import { Arena, TIERS, arenaFor, values, worstError } from './support.js';

/** Scores in the hundreds keep fewer places after the point. */
const tolerances = (scoreSize: number): Readonly<Record<keyof Results, { absolute: number; relative: number }>> => {
  const forward = { absolute: 1e-5 * scoreSize, relative: 1e-5 };
  const backward = { absolute: 4e-5 * scoreSize, relative: 4e-5 };
  return { y: forward, lse: forward, dq: backward, dk: backward, dv: backward };
};
const rounding = { f32: 0, f16: 2 ** -10, bf16: 2 ** -7 };

function check(arena: Arena, options: Case): void {
  const { actual, inputs, allow } = runCase(arena, options);
  const expected = formulas(options, inputs, allow);
  const scoreSize = Math.max(1, options.magnitude ** 2);
  const allowed = tolerances(scoreSize);
  for (const name of ['y', 'lse', 'dq', 'dk', 'dv'] as const) {
    const isKey = name === 'dk' || name === 'dv';
    const { absolute, relative } = allowed[name];
    const tolerance = { absolute, relative: relative + (isKey ? rounding[options.storage] : 0) };
    expect(worstError(actual[name], expected[name], tolerance), name).toBeLessThanOrEqual(1);
  }
}

const ordinary: Case = {
  batch: 1,
  keyHeads: 1,
  group: 1,
  queries: 5,
  keys: 7,
  width: 8,
  storage: 'f32',
  scale: 0.4,
  padding: 0,
  mask: 'none',
  isShared: true,
  magnitude: 1,
  seed: 1,
};

describe.each(TIERS)('attention, tier %s', (tier) => {
  const arena = arenaFor(tier);

  test('forward and backward equal the formulas', () => {
    fc.assert(
      fc.property(cases, (options) => check(arena, options)),
      { numRuns: 120 },
    );
  });

  test.each(['none', 'pairs', 'program'] as const)('many blocks of queries and keys, mask %s', (mask) => {
    check(arena, { ...ordinary, queries: 300, keys: 650, width: 20, mask, seed: 3 });
  });

  test('query heads in several chunks', () => {
    check(arena, { ...ordinary, group: 5, queries: 150, keys: 40, mask: 'program', seed: 4 });
  });

  test('a query that sees nothing gives 0, and gradients of 0', () => {
    for (const queries of [3, 7, 20, 200]) {
      const options: Case = { ...ordinary, queries, keys: 150, mask: 'pairs', seed: 5 };
      const { actual } = runCase(arena, options);
      for (let query = 2; query < queries; query += 3) {
        expect(actual.lse[query]).toBe(Infinity);
        const ofRow = (data: ArrayLike<number>): number[] =>
          Array.from({ length: options.width }, (_, i) => Math.abs(data[query * options.width + i]!));
        expect([...ofRow(actual.y), ...ofRow(actual.dq)].every((x) => x === 0)).toBe(true);
      }
    }
  });

  test.each([1, 6, 30])('a NaN reaches the queries that see it, and no other: %i queries', (queries) => {
    const [keys, width] = [300, 8];
    arena.reset();
    const k = values(2, keys * width);
    k[260 * width + 3] = Number.NaN;
    const allow = (_entry: number, query: number, key: number): boolean => query % 2 === 0 || key < 260;
    const bytes = Uint8Array.from({ length: queries * keys }, (_, i) =>
      Number(allow(0, Math.floor(i / keys), i % keys)),
    );
    const base = arena.u8(bytes);
    const mask = maskOf({ batch: 1, queries, keys, isShared: true }, allow, () => [
      { kind: 'pairs', query: { base, step: keys }, key: { base: 0, step: 1 } },
    ]);
    const sizes = { queries, keys, width, mask };
    const [y, lse] = [arena.output(queries * width), arena.output(queries)];
    arena.kernels.attention({
      ...sizes,
      q: arena.f32(values(1, queries * width)),
      k: arena.f32(k),
      v: arena.f32(values(3, keys * width)),
      y,
      lse,
      scale: 1,
      scratch: arena.bytes(arena.kernels.attentionScratchBytes(sizes, 'forward')),
    });
    arena.checkGuards();
    const rows = arena.read(y, queries * width);
    for (let query = 0; query < queries; query++) {
      const isNaNs = [...rows.subarray(query * width, (query + 1) * width)].map(Number.isNaN);
      expect(isNaNs.every((is) => is === (query % 2 === 0))).toBe(true);
      expect(Number.isNaN(arena.read(lse, queries)[query])).toBe(query % 2 === 0);
    }
  });

  test('scores beyond the range of e^x stay finite', () => {
    check(arena, { ...ordinary, queries: 40, keys: 90, width: 16, mask: 'program', magnitude: 30, scale: 1, seed: 6 });
  });

  test('keys that nobody sees change no bit, whether their tile is skipped or masked', () => {
    const [queries, keys, width] = [40, 700, 8];
    const isSeen = (key: number): boolean => key < 100 || key >= 520;
    arena.reset();
    const [q, k, v] = [1, 2, 3].map((which) => arena.f32(values(which, (which === 1 ? queries : keys) * width)));
    const bytes = Uint8Array.from({ length: queries * keys }, (_, i) => Number(isSeen(i % keys)));
    const base = arena.u8(bytes);
    const mask = maskOf(
      { batch: 1, queries, keys, isShared: true },
      (_e, _q, key) => isSeen(key),
      () => [{ kind: 'pairs', query: { base, step: keys }, key: { base: 0, step: 1 } }],
    );
    const run = (tiles: Uint8Array): Float32Array => {
      const y = arena.output(queries * width);
      const sizes = { queries, keys, width, mask: { ...mask, tiles } };
      const scratch = arena.bytes(arena.kernels.attentionScratchBytes(sizes, 'forward'));
      const lse = arena.output(queries);
      arena.kernels.attention({ ...sizes, q: q!, k: k!, v: v!, y, lse, scale: 0.4, scratch });
      return arena.read(y, queries * width);
    };
    expect(mask.tiles.includes(0)).toBe(true);
    expect(run(mask.tiles.map(() => 2))).toEqual(run(mask.tiles));
  });

  test('operands that do not fit are errors that name them', () => {
    const end = arena.kernels.memory.buffer.byteLength;
    const operands = { q: 0, k: 0, v: 0, y: 0, lse: 0, queries: 2, keys: 2, width: 4, scale: 1, scratch: 4096 };
    const { attention } = arena.kernels;
    expect(() => attention({ ...operands, lse: end })).toThrow(/attention lse/);
    expect(() => attention({ ...operands, k: end - 4 })).toThrow(/attention k/);
    expect(() => attention({ ...operands, scratch: end - 64 })).toThrow(/attention scratch/);
    expect(() => attention({ ...operands, keys: -2 })).toThrow(/attention keys is -2/);
    expect(() => attention({ ...operands, rowStrideQ: 3 })).toThrow(/rowStrideQ is 3; rows of 4/);
    expect(() => attention({ ...operands, storage: 'f16', rowStrideK: 5 })).toThrow(/rows of f16 keys are 5 elements/);
    const mask = maskOf(
      { batch: 1, queries: 2, keys: 2, isShared: true },
      () => true,
      () => [{ kind: 'true' }],
    );
    const without = { ...mask, tiles: new Uint8Array(0) };
    expect(() => attention({ ...operands, mask: without })).toThrow(/mask has 0 tiles, needs 1/);
    expect(() => attention({ ...operands, mask: { ...mask, entries: 3 } })).toThrow(/3 entries for a batch of 1/);
  });

  test.each(['forward', 'backward'] as const)('scratch grows with the length, not with its square: %s', (direction) => {
    const bytes = (length: number): number => {
      const mask = { entries: 1, instructions: 3, words: 0, depth: 2 };
      const sizes = { keyHeads: 2, group: 8, queries: length, keys: length, width: 128, mask };
      return arena.kernels.attentionScratchBytes(sizes, direction);
    };
    // The tile map has a byte for 16384 pairs.
    const map = (length: number): number => (length / 128) ** 2;
    expect(bytes(8192) - map(8192)).toBeLessThanOrEqual(2 * (bytes(4096) - map(4096)));
    expect(bytes(8192)).toBeLessThan(8192 ** 2 * (direction === 'forward' ? 0.1 : 4));
  });
});

const fused = TIERS.filter((tier) => tier !== 'simd128');

describe('bits', () => {
  type Bits = Readonly<Record<string, readonly number[]>>;
  const run =
    (arena: Arena) =>
    (options: Case): Bits => {
      const { actual } = runCase(arena, options);
      return Object.fromEntries(Object.entries(actual).map(([name, data]) => [name, Array.from(data)]));
    };

  test('tiers that fuse agree in every bit', () => {
    const runs = fused.map((tier) => run(arenaFor(tier)));
    fc.assert(
      fc.property(cases, (options) => {
        const [first, ...others] = runs.map((each) => each(options));
        for (const other of others) expect(other).toEqual(first);
      }),
      { numRuns: 60 },
    );
  });

  test('one thread and three agree in every bit', () => {
    const threads = new Threads(3, { eager: true });
    const memory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: 1024, maximum: 1024, shared: true });
    const [one, three] = [
      run(new Arena(createKernels({ memory: memory(), threads: 1 }))),
      run(new Arena(createKernels({ memory: memory(), threads }))),
    ];
    fc.assert(
      fc.property(cases, (options) => {
        expect(three(options)).toEqual(one(options));
      }),
      { numRuns: 60 },
    );
    threads.end();
  });

  test('a head has the same bits alone and among others', () => {
    const arena = arenaFor(TIERS.at(-1)!);
    const [queries, keys, width] = [1, 300, 16];
    for (const heads of [3, 8, 20]) {
      arena.reset();
      const q = arena.f32(values(1, heads * width));
      const shared = {
        queries,
        keys,
        width,
        scale: 0.25,
        k: arena.f32(values(2, keys * width)),
        v: arena.f32(values(3, keys * width)),
      };
      const attend = (group: number, at: number): Float32Array => {
        const [y, lse] = [arena.output(group * width), arena.output(group)];
        const scratch = arena.bytes(arena.kernels.attentionScratchBytes({ ...shared, group }));
        arena.kernels.attention({ ...shared, group, q: at, y, lse, scratch });
        return arena.read(y, group * width);
      };
      const together = attend(heads, q);
      // Up to four rows take a way of their own, from five on all are lanes of panels.
      const alone = heads <= 4 ? 1 : 5;
      for (let head = 0; head + alone <= heads; head += alone)
        expect(attend(alone, q + 4 * head * width)).toEqual(together.slice(head * width, (head + alone) * width));
    }
  });
});
