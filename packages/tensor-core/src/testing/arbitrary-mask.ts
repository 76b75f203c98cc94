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

/** Any mask for `sizes`: every leaf, `and`, `or` and `not`, with operands for all batches or one. */
export function arbitraryMask({ batch, queries, keys }: MaskSizes): fc.Arbitrary<HostMask> {
  const batches = fc.constantFrom(1, batch);
  const ids = (length: number, bound: number): fc.Arbitrary<Tensor> =>
    batches.chain((rows) => arbitraryIndices([rows, length], bound)).map(toTensor);
  const table = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).chain(([rows, columns]) => {
    const row = fc.array(fc.boolean(), { minLength: columns, maxLength: columns });
    return fc.array(row, { minLength: rows, maxLength: rows });
  });
  const leaf = fc.oneof(
    fc.constant(causal()),
    fc.integer({ min: -2, max: keys + 1 }).map((offset) => causal(tensor(Int32Array.of(offset)))),
    fc.tuple(ids(queries, 3), ids(keys, 3)).map(([query, key]) => segments(query, key)),
    fc.nat(Math.max(queries, keys) + 1).map(window),
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
