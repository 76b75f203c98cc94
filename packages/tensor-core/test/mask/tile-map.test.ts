/** Tile maps against the predicate: never wrong on any expression, and tight on the forms that models use. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type HostTensor,
  type Mask,
  mask,
  maskPredicate,
  maskTile,
  maskTileMap,
  splitMask,
  tensor,
} from '../../src/index.js';
import { type HostMask, arbitraryMask } from '../../src/testing/index.js';

interface Example {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly tileQueries: number;
  readonly tileKeys: number;
  readonly masking: HostMask;
}

const positions = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 4, max: 24 }));
const tile = fc.integer({ min: 1, max: 9 });

const examples: fc.Arbitrary<Example> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    queries: positions,
    keys: positions,
    tileQueries: tile,
    tileKeys: tile,
  })
  .chain((sizes) => arbitraryMask(sizes).map((masking) => ({ ...sizes, masking })));

/** What each tile is, from every pair in it, in the order of the map. */
function tilesByPairs({ batch, queries, keys, tileQueries, tileKeys, masking }: Example): number[] {
  const allow = maskPredicate(masking.expression, masking.operands);
  const tiles: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let q = 0; q < queries; q += tileQueries) {
      for (let k = 0; k < keys; k += tileKeys) {
        let [some, all] = [false, true];
        for (let query = q; query < Math.min(queries, q + tileQueries); query++) {
          for (let key = k; key < Math.min(keys, k + tileKeys); key++) {
            const allowed = allow(b, query, key);
            some ||= allowed;
            all &&= allowed;
          }
        }
        tiles.push(all ? maskTile.full : some ? maskTile.partial : maskTile.skip);
      }
    }
  }
  return tiles;
}

const mapOf = ({ masking: { expression, operands }, ...sizes }: Example): number[] => [
  ...maskTileMap(expression, operands, sizes).data,
];

/** The operands of a mask built from host data. */
function hostMask(chosen: Mask): HostMask {
  const { expression, operands } = splitMask(chosen);
  const hostOf = ({ shape, dtype, storage }: (typeof operands)[number]): HostTensor => {
    if (storage?.kind !== 'host') throw new TypeError('this operand is not host data');
    return { shape, dtype, data: storage.data };
  };
  return { expression, operands: operands.map(hostOf) };
}

const row = (...values: number[]) => tensor(Int32Array.from(values), [1, values.length]);
const blocks = (length: number, size: number) => row(...Array.from({ length }, (_, at) => Math.floor(at / size)));

describe('a tile map', () => {
  it('never calls a tile skip or full that is not, for any expression', () => {
    fc.assert(
      fc.property(examples, (example) => {
        const { shape, data } = maskTileMap(example.masking.expression, example.masking.operands, example);
        const expected = tilesByPairs(example);
        expect(shape).toEqual([
          example.batch,
          Math.ceil(example.queries / example.tileQueries),
          Math.ceil(example.keys / example.tileKeys),
        ]);
        expect(data).toHaveLength(expected.length);
        data.forEach((found, at) => {
          if (found !== maskTile.partial) expect(found, `tile ${at}`).toBe(expected[at]);
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('is exact for a single leaf and its opposite', () => {
    const isLeaf = ({ kind }: HostMask['expression']): boolean => !['and', 'or', 'not', 'window'].includes(kind);
    const leaves = examples.filter(({ masking: { expression } }) =>
      isLeaf(expression.kind === 'not' ? expression.part : expression),
    );
    fc.assert(
      fc.property(leaves, (example) => {
        expect(mapOf(example)).toEqual(tilesByPairs(example));
      }),
      { numRuns: 400 },
    );
  });

  const length = 60;
  const system = 8;
  // System prompt, image, latents, answer, as in the bottleneck: no run of one role ends where a tile ends.
  const rolesOf = row(...Array.from({ length }, (_, at) => (at < system ? 2 : at < 35 ? 0 : at < 42 ? 1 : 2)));
  const bottleneck = [
    [true, true, true],
    [true, true, true],
    [false, true, true],
  ];
  it.each<[string, () => Mask]>([
    ['causal', () => mask.causal()],
    ['causal after cached keys', () => mask.causal(tensor(Int32Array.of(13)))],
    ['a sliding window', () => mask.and(mask.causal(), mask.window(11))],
    [
      'a sliding window after cached keys',
      () => {
        const offset = tensor(Int32Array.of(17));
        return mask.and(mask.causal(offset), mask.window(9, offset));
      },
    ],
    ['packed samples', () => mask.and(mask.causal(), mask.segments(blocks(length, 13)))],
    ['windows of a vision tower', () => mask.segments(blocks(length, 16))],
    ['a padded batch', () => mask.and(mask.causal(), mask.prefix(tensor(Int32Array.of(41))))],
    ['the bottleneck', () => mask.roles(rolesOf, bottleneck)],
  ])('is exact for %s', (_name, build) => {
    const masking = hostMask(build());
    for (const tileQueries of [1, 5, 8, 60]) {
      for (const tileKeys of [1, 7, 8, 60]) {
        const example = { batch: 1, queries: length, keys: length, tileQueries, tileKeys, masking };
        expect(mapOf(example)).toEqual(tilesByPairs(example));
      }
    }
  });

  it('skips above the diagonal, drops the mask below it, and keeps it on it', () => {
    const sizes = { batch: 1, queries: 12, keys: 12, tileQueries: 4, tileKeys: 4 };
    const { skip, full, partial } = maskTile;
    const rows = [
      [partial, skip, skip],
      [full, partial, skip],
      [full, full, partial],
    ];
    expect(mapOf({ ...sizes, masking: hostMask(mask.causal()) })).toEqual(rows.flat());
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses tiles of %s positions', (size) => {
    const sizes = { batch: 1, queries: 4, keys: 4, tileQueries: 4, tileKeys: size };
    expect(() => maskTileMap({ kind: 'causal', offset: null }, [], sizes)).toThrow(RangeError);
  });
});
