/** Masks as bytes against the predicate that the reference loops use. */
import { maskPredicate } from '@mindseye/tensor-core';
import { arbitraryMask } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maskBytes } from '../../src/device/mask-bytes.js';
import { SEED } from '../kernels/support.js';

test('every expression gives the bytes of its predicate, for each batch entry', () => {
  const sizes = fc.record({ batch: fc.integer({ min: 1, max: 3 }), queries: fc.nat(6), keys: fc.nat(7) });
  const property = fc.property(
    sizes.chain((given) => arbitraryMask(given).map((mask) => ({ ...given, mask }))),
    ({ batch, queries, keys, mask: { expression, operands } }) => {
      const allow = maskPredicate(expression, operands);
      for (let b = 0; b < batch; b++) {
        const bytes = maskBytes(
          expression,
          (place) => {
            const { data, shape } = operands[place]!;
            const length = data.length / shape[0]!;
            return shape[0] === 1 ? data : data.subarray(b * length, (b + 1) * length);
          },
          queries,
          keys,
        );
        const expected = Array.from({ length: queries * keys }, (_, at) =>
          Number(allow(b, Math.floor(at / keys), at % keys)),
        );
        expect([...bytes]).toEqual(expected);
      }
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 400 });
});

test('a role without a cell in the table is named', () => {
  const roles = [Int32Array.of(0, 2), Int32Array.of(0, 0)];
  expect(() =>
    maskBytes({ kind: 'roles', query: 0, key: 1, table: [[true], [true]] }, (place) => roles[place]!, 2, 2),
  ).toThrow('mask roles: the table has no cell for query role 2 and key role 0');
});
