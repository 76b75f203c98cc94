/** Rows of a tensor added to, replaced, scattered by mask and permuted in groups. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  createReferenceDevice,
  full,
  indexAdd,
  indexCopy,
  inversePermutation,
  maskedScatter,
  permuteRowGroups,
  tensor,
  RandomStream,
  ShapeError,
} from '../../src/index.js';
import { arbitrarySeed, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice();
const read = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];
const f32 = (...values: number[]): Tensor => tensor(Float32Array.from(values));
const i32 = (...values: number[]): Tensor => tensor(Int32Array.from(values));
const bools = (...values: number[]): Tensor => tensor(Uint8Array.from(values));

describe('rows by index', () => {
  it('indexAdd adds repeated rows, indexCopy replaces', async () => {
    const x = tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
    const rows = tensor(Float32Array.of(10, 20, 30, 40), [2, 2]);
    expect(await read(indexAdd(x, i32(2, 2), rows))).toEqual([1, 2, 3, 4, 45, 66]);
    expect(await read(indexCopy(x, i32(2, 0), rows))).toEqual([30, 40, 3, 4, 10, 20]);
    expect(await read(indexCopy(x, tensor(new Int32Array(0)), tensor(new Float32Array(0), [0, 2])))).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
    await expect(indexAdd(x, i32(3, 0), rows).data(device)).rejects.toThrow(/index 3 is outside the table's 3 rows/);
    expect(() => indexAdd(x, i32(0), rows)).toThrow(
      /indexAdd: x f32\[3, 2\], indices i32\[1\] and rows f32\[2, 2\] do not fit/,
    );
    expect(() => indexCopy(x, f32(0, 1), rows)).toThrow(ShapeError);
  });

  it('maskedScatter fills the marked rows in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 8 }), fc.nat(2), async (flags, spare) => {
        const marked = flags.filter(Boolean).length;
        const x = tensor(Float32Array.from(flags.keys()), [flags.length, 1]);
        const source = tensor(
          Float32Array.from({ length: marked + spare }, (_, i) => 100 + i),
          [marked + spare, 1],
        );
        let next = 100;
        const expected = flags.map((flag, i) => (flag ? next++ : i));
        expect(await read(maskedScatter(x, bools(...flags.map(Number)), source))).toEqual(expected);
      }),
    );
  });

  it('maskedScatter refuses too few rows when it runs, and operands that do not fit before', async () => {
    const x = full([3, 1], 0);
    for (const rows of [0, 1])
      await expect(maskedScatter(x, bools(1, 0, 1), full([rows, 1], 1)).data(device)).rejects.toThrow(
        /is outside the table's/,
      );
    expect(() => maskedScatter(x, bools(1, 0), full([2, 1], 1))).toThrow(
      /maskedScatter: x f32\[3, 1\], mask bool\[2\] and source f32\[2, 1\] do not fit/,
    );
  });

  it('group permutations and their inverses undo each other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        arbitrarySeed(),
        async (groups, group, seed) => {
          const order = RandomStream.fromSeed(seed).shuffle(Array.from({ length: groups }, (_, i) => i));
          const x = seededValue([groups * group, 2], 'f32', 'ordinary', seed);
          const moved = permuteRowGroups(toTensor(x), i32(...order), group);
          const first = await read(moved);
          for (let row = 0; row < groups * group; row++) {
            const from = order[Math.floor(row / group)]! * group + (row % group);
            expect(first.slice(2 * row, 2 * row + 2)).toEqual([...x.data.subarray(2 * from, 2 * from + 2)]);
          }
          const back = permuteRowGroups(moved, inversePermutation(i32(...order)), group);
          expect(await read(back)).toEqual([...x.data]);
        },
      ),
      { numRuns: 50 },
    );
    expect(() => permuteRowGroups(full([5, 2], 0), i32(0, 1), 2)).toThrow(
      /permuteRowGroups: x f32\[5, 2\] and order i32\[2\]/,
    );
    expect(() => inversePermutation(f32(0))).toThrow(/inversePermutation takes i32 \[n\], got f32\[1\]/);
  });
});
