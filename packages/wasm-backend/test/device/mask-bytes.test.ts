/** Tile maps as runs of keys, and masks as bytes, against the predicate that the reference loops use. */
import { maskPredicate, maskTileMap } from '@mindseye/tensor-core';
import { type HostMask, arbitraryMask } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maskBytes } from '../../src/device/mask-bytes.js';
import { attentionTiles, visibleKeys } from '../../src/device/visible-keys.js';
import { QUERY_BLOCK, type VisibleKeys } from '../../src/kernels/attention-blocks.js';
import { SEED } from '../kernels/support.js';

interface Example {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly mask: HostMask;
}

const length = (long: number): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.nat(7) },
    { weight: 1, arbitrary: fc.integer({ min: long - 1, max: 2 * long + 3 }) },
  );

const examples: fc.Arbitrary<Example> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    queries: length(QUERY_BLOCK),
    keys: length(attentionTiles.tileKeys),
  })
  .chain((sizes) => arbitraryMask(sizes).map((mask) => ({ ...sizes, mask })));

/** Pairs that the kernel takes as allowed when it is given these runs and bytes: what is in no run is not. */
function pairsOf(visible: readonly VisibleKeys[], bytes: Uint8Array, queries: number, keys: number): Uint8Array {
  const pairs = new Uint8Array(queries * keys);
  let next = 0;
  for (const [block, { runs, masked }] of visible.entries()) {
    for (let query = block * QUERY_BLOCK; query < Math.min(queries, (block + 1) * QUERY_BLOCK); query++) {
      for (const { first, count } of runs)
        for (let key = first; key < first + count; key++) pairs[query * keys + key] = masked ? bytes[next++]! : 1;
    }
  }
  expect(next).toBe(bytes.length);
  return pairs;
}

test('runs and bytes together say what the predicate says, for each batch entry of any expression', () => {
  const property = fc.property(examples, ({ batch, queries, keys, mask: { expression, operands } }) => {
    const allow = maskPredicate(expression, operands);
    const map = maskTileMap(expression, operands, { batch, queries, keys, ...attentionTiles });
    for (let b = 0; b < batch; b++) {
      const visible = visibleKeys(map, b, keys);
      const bytes = maskBytes(expression, operands, b, { queries, keys }, visible);
      const expected = Uint8Array.from({ length: queries * keys }, (_, at) =>
        Number(allow(b, Math.floor(at / keys), at % keys)),
      );
      expect(pairsOf(visible, bytes, queries, keys)).toEqual(expected);
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 400 });
});

test('keys that a block does not see are in no run, and a block that sees all of its keys has no bytes', () => {
  const [queries, keys] = [3 * QUERY_BLOCK, 400];
  const sizes = { batch: 1, queries, keys, ...attentionTiles };
  const causal = visibleKeys(maskTileMap({ kind: 'causal', offset: null }, [], sizes), 0, keys);
  expect(causal).toEqual([
    { runs: [{ first: 0, count: 128 }], masked: true },
    { runs: [{ first: 0, count: 256 }], masked: true },
    { runs: [{ first: 0, count: 384 }], masked: true },
  ]);
  // The middle tiles are hidden from everyone, the rest is seen by everyone.
  const roles = Int32Array.from({ length: keys }, (_, at) => (at >= 128 && at < 256 ? 1 : 0));
  const operands = [
    { shape: [1, queries], dtype: 'i32', data: new Int32Array(queries) },
    { shape: [1, keys], dtype: 'i32', data: roles },
  ] as const;
  const expression = { kind: 'roles', query: 0, key: 1, table: [[true, false]] } as const;
  const holed = visibleKeys(maskTileMap(expression, operands, sizes), 0, keys);
  const runs = [
    { first: 0, count: 128 },
    { first: 256, count: 144 },
  ];
  expect(holed).toEqual([0, 1, 2].map(() => ({ runs, masked: false })));
  expect(maskBytes(expression, operands, 0, { queries, keys }, holed)).toHaveLength(0);
  const nothing = visibleKeys(maskTileMap({ kind: 'or', parts: [] }, [], sizes), 0, keys);
  expect(nothing).toEqual([0, 1, 2].map(() => ({ runs: [], masked: false })));
});
