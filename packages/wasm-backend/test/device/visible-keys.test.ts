/** What decoding over a long cache looks at: no more tiles of keys than its mask allows, whatever the mask is made of. */
import * as t from '@mindseye/tensor-core';
import { readBack } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { TILE_KEYS, TILE_QUERIES } from '../../src/kernels/index.js';
import { halfCodes } from '../kernels/half-codes.js';
import { values } from '../kernels/support.js';

const tileKeys = TILE_KEYS;
const capacity = 10 * tileKeys + 5;
const i32 = (numbers: readonly number[], shape: readonly number[]): t.Tensor =>
  t.tensor(Int32Array.from(numbers), shape);

interface Decoding {
  readonly queries: number;
  /** Keys in the cache before the queries. */
  readonly cached: number;
  /** Left padding, or the length of a prefix that all see. */
  readonly prefix: number;
}

/** Places of the cache with an id, -1 where nothing is yet. */
const ids = (end: number, id: (place: number) => number): number[] =>
  Array.from({ length: capacity }, (_, place) => (place < end ? id(place) : -1));

/** Masks of decoding, with the places that somebody sees: one first and one end, or several. */
const masks: Readonly<
  Record<string, (given: Decoding) => readonly [mask: t.Mask, seen: readonly (readonly [number, number])[]]>
> = {
  causal: ({ queries, cached }) => [t.mask.causal(i32([cached], [1])), [[0, cached + queries]]],
  'causal and the cache written so far': ({ queries, cached }) => [
    t.mask.and(t.mask.causal(i32([cached], [1])), t.mask.prefix(i32([cached + queries], [1]))),
    [[0, cached + queries]],
  ],
  'causal, but not the left padding': ({ queries, cached, prefix }) => [
    t.mask.and(t.mask.causal(i32([cached], [1])), t.mask.not(t.mask.prefix(i32([prefix], [1])))),
    [[prefix, cached + queries]],
  ],
  'a sliding window': ({ queries, cached }) => [
    t.mask.and(t.mask.causal(i32([cached], [1])), t.mask.window(100, i32([cached], [1]))),
    [[Math.max(0, cached - 99), cached + queries]],
  ],
  'a shared prefix, or the own samples': ({ queries, cached, prefix }) => {
    const own = i32(
      ids(cached + queries, (place) => (place < cached ? 0 : 1)),
      [1, capacity],
    );
    const mask = t.mask.or(
      t.mask.prefix(i32([prefix], [1])),
      t.mask.segments(
        i32(
          Array.from({ length: queries }, () => 1),
          [1, queries],
        ),
        own,
      ),
    );
    return [
      mask,
      [
        [0, prefix],
        [cached, cached + queries],
      ],
    ];
  },
};

const decodings: fc.Arbitrary<Decoding> = fc
  .record({
    queries: fc.integer({ min: 1, max: 8 }),
    cached: fc.integer({ min: 0, max: capacity - 8 }),
    part: fc.nat(1000),
  })
  .map(({ queries, cached, part }) => ({ queries, cached, prefix: Math.floor((part * cached) / 1000) }));

/** Tiles that hold one of the places. */
const tilesOf = (seen: readonly (readonly [number, number])[]): Set<number> => {
  const tiles = new Set<number>();
  for (const [first, end] of seen)
    for (let place = first; place < end; place++) tiles.add(Math.floor(place / tileKeys));
  return tiles;
};

describe.each(Object.keys(masks))('%s', (name) => {
  test('is looked at in its own tiles, and in no other', () => {
    const property = fc.property(decodings, (given) => {
      const [mask, seen] = masks[name]!(given);
      const { expression, operands } = hostMask(mask);
      const map = t.maskTileMap(expression, operands, {
        batch: 1,
        queries: given.queries,
        keys: capacity,
        tileQueries: TILE_QUERIES,
        tileKeys,
      });
      const visited = Array.from(map.data).flatMap((tile, at) => (tile === t.maskTile.skip ? [] : [at]));
      expect(new Set(visited)).toEqual(tilesOf(seen));
    });
    fc.assert(property, { numRuns: 100 });
  });

  test.each(['f32', 'f16', 'bf16'] as const)('leaves the others unread on the device, stored as %s', async (dtype) => {
    const device = createWasmDevice();
    const [heads, width] = [2, 8];
    await fc.assert(
      fc.asyncProperty(decodings, async (given) => {
        const [mask, seen] = masks[name]!(given);
        const visited = tilesOf(seen);
        const isVisited = (at: number): boolean =>
          visited.has(Math.floor((Math.floor(at / width) % capacity) / tileKeys));
        /** What any product with an unread place would become. */
        const cache = (seed: number): t.Tensor => {
          const numbers = values(seed, heads * capacity * width).map((x, at) => (isVisited(at) ? x : Number.NaN));
          const data = dtype === 'f32' ? numbers : halfCodes(dtype, numbers).codes;
          return t.tensor(data, [1, heads, capacity, width], { dtype });
        };
        const q = t.tensor(values(3, 3 * heads * given.queries * width), [1, 3 * heads, given.queries, width]);
        const [y] = await t.evaluate([t.attention(q, cache(1), cache(2), { mask })], { device });
        expect((await readBack(y!)).data.every((x: number) => Number.isFinite(x))).toBe(true);
      }),
      { numRuns: 8 },
    );
  });
});

/** The mask as the device is given it. */
function hostMask(mask: t.Mask): { readonly expression: t.MaskExpression; readonly operands: readonly t.HostTensor[] } {
  const { expression, operands } = t.splitMask(mask);
  return {
    expression,
    operands: operands.map(({ shape, dtype, storage }) => {
      if (storage?.kind !== 'host') throw new TypeError('the operands of these masks are host tensors');
      return { shape, dtype, data: storage.data };
    }),
  };
}
