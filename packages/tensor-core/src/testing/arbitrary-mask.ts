/** Random mask expressions over their whole algebra, with operands that fit given lengths. */
import fc from 'fast-check';
import { type MaskExpression, splitMask } from '../mask/expression.js';
import { type Mask, and, causal, dense, not, or, prefix, roles, segments, window } from '../mask/mask.js';
import type { HostTensor } from '../op.js';
import { type Tensor, tensor } from '../tensor.js';
import { arbitraryIndices, arbitraryValue } from './arbitrary-values.js';
import { toTensor } from './host.js';

export interface MaskSizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
}

/** A mask as a host value: its expression, and the operands the expression points to. */
export interface HostMask {
  readonly expression: MaskExpression;
  readonly operands: readonly HostTensor[];
}

/** Host operands of a mask that was built from host data and never evaluated. */
function hostMask(mask: Mask): HostMask {
  const { expression, operands } = splitMask(mask);
  return {
    expression,
    operands: operands.map(({ shape, dtype, storage }) => {
      if (storage?.kind !== 'host') throw new TypeError('mask operands of a host mask are host tensors');
      return { shape, dtype, data: storage.data };
    }),
  };
}

/** Ids that only a careful comparison gets right: negative ones, and both ends of i32. */
const rareIds = [-1, 2 ** 31 - 1, -(2 ** 31)];

/** i32 ids below `bound`, now and then a rare one (for `roles`: one that the table has no cell for). */
const arbitraryIds = (shape: readonly number[], bound: number): fc.Arbitrary<Tensor> =>
  fc
    .tuple(arbitraryIndices(shape, bound), fc.option(fc.tuple(fc.nat(), fc.constantFrom(...rareIds, bound))))
    .map(([{ data, ...spec }, rare]) => {
      const ids = Int32Array.from(data);
      if (rare && ids.length > 0) ids[rare[0] % ids.length] = rare[1];
      return toTensor({ ...spec, data: ids });
    });

/** Any mask for `sizes`: every leaf, nested `and`, `or` and `not`, with operands for all batch entries or one. */
export function arbitraryMask({ batch, queries, keys }: MaskSizes): fc.Arbitrary<HostMask> {
  const batches = fc.constantFrom(1, batch);
  const ids = (length: number, bound: number): fc.Arbitrary<Tensor> =>
    batches.chain((rows) => arbitraryIds([rows, length], bound));
  const table = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).chain(([rows, columns]) => {
    const row = fc.array(fc.boolean(), { minLength: columns, maxLength: columns });
    return fc.array(row, { minLength: rows, maxLength: rows });
  });
  const anyOffset = fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: -2, max: keys + 1 }) },
    { weight: 1, arbitrary: fc.constantFrom(2 ** 30, -(2 ** 30)) },
  );
  const offset = batches.chain((rows) =>
    fc.array(anyOffset, { minLength: rows, maxLength: rows }).map((offsets) => tensor(Int32Array.from(offsets))),
  );
  const optionalOffset = fc.option(offset, { nil: undefined });
  const leaf = fc.oneof(
    optionalOffset.map(causal),
    fc.tuple(ids(queries, 3), ids(keys, 3)).map(([query, key]) => segments(query, key)),
    fc.tuple(fc.nat(Math.max(queries, keys) + 1), optionalOffset).map(([size, by]) => window(size, by)),
    batches.chain((rows) => arbitraryIndices([rows], keys + 2)).map((length) => prefix(toTensor(length))),
    table.chain((cells) =>
      fc.tuple(ids(queries, cells.length), ids(keys, cells[0]!.length)).map(([query, key]) => roles(query, cells, key)),
    ),
    batches
      .chain((rows) => arbitraryValue([rows, queries, keys], 'bool', 'ordinary'))
      .map((allow) => dense(toTensor(allow))),
  );
  const { mask } = fc.letrec<{ mask: Mask }>((tie) => ({
    mask: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.array(tie('mask'), { maxLength: 3 }).map((parts) => and(...parts)),
      fc.array(tie('mask'), { maxLength: 3 }).map((parts) => or(...parts)),
      tie('mask').map(not),
    ),
  }));
  return mask.map(hostMask);
}
