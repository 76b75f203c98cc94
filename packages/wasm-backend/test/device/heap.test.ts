import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heap, WasmMemoryError, heapAlignment } from '../../src/device/heap.js';
import { ReusedRange } from '../../src/device/reused-range.js';
import { SEED } from '../kernels/support.js';
import { boundedMemory } from './support.js';

const pageBytes = 65_536;

interface Held {
  readonly start: number;
  readonly byteLength: number;
}

const rounded = (byteLength: number): number => Math.max(1, Math.ceil(byteLength / heapAlignment)) * heapAlignment;

/** Allocations (a size) and frees (a place in the list of what is held). */
const operations = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ allocate: fc.oneof(fc.nat(200), fc.nat(5000), fc.nat(200_000)) }) },
    { weight: 2, arbitrary: fc.record({ free: fc.nat() }) },
  ),
  { maxLength: 60 },
);

/** Applies the operations and tells of each allocation. */
function replay(
  heap: Heap,
  list: readonly ({ allocate: number } | { free: number })[],
  onAllocate: (fresh: Held, held: readonly Held[]) => void,
): Held[] {
  const held: Held[] = [];
  for (const operation of list) {
    if ('allocate' in operation) {
      const fresh = { start: heap.allocate(operation.allocate), byteLength: operation.allocate };
      onAllocate(fresh, held);
      held.push(fresh);
    } else if (held.length > 0) {
      const [gone] = held.splice(operation.free % held.length, 1);
      heap.free(gone!.start, gone!.byteLength);
    }
    expect(heap.usedBytes).toBe(held.reduce((sum, { byteLength }) => sum + rounded(byteLength), 0));
  }
  return held;
}

test('ranges are aligned, inside the memory, and apart from all that is held', () => {
  const property = fc.property(operations, (list) => {
    const memory = boundedMemory(2 ** 30);
    replay(new Heap(memory), list, (fresh, held) => {
      const end = fresh.start + rounded(fresh.byteLength);
      expect(fresh.start % heapAlignment).toBe(0);
      expect(fresh.start).toBeGreaterThanOrEqual(heapAlignment);
      expect(end).toBeLessThanOrEqual(memory.buffer.byteLength);
      for (const other of held)
        expect(end <= other.start || other.start + rounded(other.byteLength) <= fresh.start).toBe(true);
    });
  });
  fc.assert(property, { seed: SEED, numRuns: 100 });
});

test('whatever the order of frees, everything given back joins into one range, and memory does not grow for it', () => {
  const property = fc.property(operations, (list) => {
    const memory = boundedMemory(2 ** 30);
    const heap = new Heap(memory);
    for (const { start, byteLength } of replay(heap, list, () => {})) heap.free(start, byteLength);
    expect(heap.usedBytes).toBe(0);
    const size = memory.buffer.byteLength;
    expect(heap.allocate(size - heapAlignment)).toBe(heapAlignment);
    expect(memory.buffer.byteLength).toBe(size);
  });
  fc.assert(property, { seed: SEED, numRuns: 100 });
});

test('a freed range is used again, the lowest first', () => {
  const heap = new Heap(boundedMemory(2 ** 20));
  const [a, b, c] = [heap.allocate(100), heap.allocate(100), heap.allocate(100)];
  heap.free(c, 100);
  heap.free(a, 100);
  expect(heap.allocate(64)).toBe(a);
  expect(heap.allocate(64)).toBe(a + 64);
  expect(heap.allocate(500)).toBe(b + 128);
});

test('growth takes what is missing only', () => {
  const memory = boundedMemory(2 ** 24);
  const heap = new Heap(memory);
  const big = heap.allocate(3 * pageBytes);
  expect(memory.buffer.byteLength).toBe(4 * pageBytes);
  heap.allocate(pageBytes - 64 - heapAlignment);
  expect(memory.buffer.byteLength).toBe(4 * pageBytes);
  heap.free(big, 3 * pageBytes);
  // 64 bytes at the end are still free, and fill up the last page that is needed.
  heap.allocate(3 * pageBytes + 1);
  expect(memory.buffer.byteLength).toBe(7 * pageBytes);
});

test('a full memory is an error that says how much was asked for, and leaves the heap as it was', () => {
  const memory = boundedMemory(4 * pageBytes);
  const heap = new Heap(memory);
  const held = heap.allocate(2 * pageBytes);
  const used = heap.usedBytes;
  expect(() => heap.allocate(3 * pageBytes)).toThrow(WasmMemoryError);
  expect(() => heap.allocate(3 * pageBytes)).toThrow(/holds 196608 bytes and cannot grow by \d+: use a smaller batch/);
  expect(heap.usedBytes).toBe(used);
  heap.free(held, 2 * pageBytes);
  expect(heap.allocate(3 * pageBytes)).toBe(heapAlignment);
});

test('a reused range grows by moving, and holds nothing after it could not grow', () => {
  const heap = new Heap(boundedMemory(4 * pageBytes));
  const range = new ReusedRange(heap);
  const small = range.reserve(100);
  expect(range.reserve(60)).toBe(small);
  expect(heap.usedBytes).toBe(rounded(100));
  range.reserve(pageBytes);
  expect(heap.usedBytes).toBe(pageBytes);
  expect(() => range.reserve(5 * pageBytes)).toThrow(WasmMemoryError);
  expect(heap.usedBytes).toBe(0);
  const other = heap.allocate(pageBytes);
  const again = range.reserve(pageBytes);
  expect(Math.abs(again - other)).toBeGreaterThanOrEqual(pageBytes);
});
