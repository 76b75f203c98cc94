/** Runs and transposes against nested loops over bytes, with strides that leave gaps. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ElementBytes, MoveLoop } from '../../src/kernels/index.js';
import { TIERS, arenaFor, size, valueSeed, values } from './support.js';

const count = fc.integer({ min: 0, max: 5 });
const gap = fc.nat(2);
const bytes = (seed: number, length: number): Uint8Array =>
  Uint8Array.from(values(seed, length, 128), (value) => value + 128);

interface Loop extends MoveLoop {
  readonly element?: number;
}

/** Copies `element` bytes at every place of the loops. */
function moved(source: Uint8Array, target: Uint8Array, element: number, loops: readonly Loop[]): Uint8Array {
  const walk = (depth: number, from: number, to: number): void => {
    const loop = loops[depth];
    if (!loop) for (let i = 0; i < element; i++) target[to + i] = source[from + i]!;
    else for (let i = 0; i < loop.count; i++) walk(depth + 1, from + i * loop.from, to + i * loop.to);
  };
  walk(0, 0, 0);
  return target;
}

const extent = (element: number, loops: readonly MoveLoop[], side: 'from' | 'to'): number =>
  loops.some((loop) => loop.count === 0)
    ? 0
    : loops.reduce((end, loop) => end + (loop.count - 1) * loop[side], element);

describe.each(TIERS)('%s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  /** Runs `move` on random bytes and compares the target, gaps included, with nested loops. */
  function check(
    seed: number,
    element: number,
    loops: readonly MoveLoop[],
    move: (to: number, from: number) => void,
  ): void {
    arena.reset();
    const source = bytes(seed, extent(element, loops, 'from'));
    const target = new Uint8Array(extent(element, loops, 'to')).fill(9);
    const [from, to] = [arena.u8(source), arena.u8(target)];
    move(to, from);
    arena.checkGuards();
    const actual = new Uint8Array(kernels.memory.buffer, to, target.length).slice();
    expect(actual).toEqual(moved(source, target, element, loops));
  }

  test('runs of any length, up to those that the engine copies', () => {
    const run = fc.oneof(size(70), fc.integer({ min: 1020, max: 1030 }));
    const property = fc.property(
      run,
      count,
      count,
      fc.tuple(gap, gap, gap, gap),
      valueSeed,
      (runBytes, n, m, gaps, seed) => {
        const inner = { count: n, to: runBytes + gaps[0], from: runBytes + gaps[1] };
        // Outer places may lie between inner ones on the reading side.
        const outer = { count: m, to: Math.max(1, n) * inner.to + gaps[2], from: gaps[3] };
        check(seed, runBytes, [outer, inner], (to, from) => kernels.copyRuns({ to, from, runBytes, inner, outer }));
      },
    );
    fc.assert(property, { numRuns: 200 });
  });

  test('transposes of bytes, halves and words', () => {
    const sizes = fc.record({
      elementBytes: fc.constantFrom<ElementBytes>(1, 2, 4, 4),
      rows: size(37),
      columns: size(37),
      batch: count,
      gaps: fc.tuple(gap, gap, gap, gap),
      seed: valueSeed,
    });
    const property = fc.property(sizes, ({ elementBytes, rows, columns, batch, gaps, seed }) => {
      const toStride = elementBytes * (columns + gaps[0]);
      const fromStride = elementBytes * (rows + gaps[1]);
      const outer = {
        count: batch,
        to: Math.max(1, rows) * toStride + elementBytes * gaps[2],
        from: Math.max(1, columns) * fromStride + elementBytes * gaps[3],
      };
      const loops = [
        outer,
        { count: rows, to: toStride, from: elementBytes },
        { count: columns, to: elementBytes, from: fromStride },
      ];
      check(seed, elementBytes, loops, (to, from) =>
        kernels.transpose({ to, from, elementBytes, rows, columns, toStride, fromStride, outer }),
      );
    });
    fc.assert(property, { numRuns: 300 });
  });

  test('operands outside the memory are refused by name', () => {
    const end = kernels.memory.buffer.byteLength;
    const once = { count: 1, to: 0, from: 0 };
    const runs = { to: 0, from: 0, runBytes: 8, inner: once, outer: once };
    expect(() => kernels.copyRuns({ ...runs, to: end - 7 })).toThrow(/copyRuns to/);
    expect(() => kernels.copyRuns({ ...runs, from: end - 7 })).toThrow(/copyRuns from/);
    const tile = { elementBytes: 4, rows: 2, columns: 2, toStride: 8, fromStride: 8, outer: once } as const;
    expect(() => kernels.transpose({ ...tile, to: end - 15, from: 0 })).toThrow(/transpose to/);
    expect(() => kernels.transpose({ ...tile, to: 0, from: end - 15 })).toThrow(/transpose from/);
  });
});
