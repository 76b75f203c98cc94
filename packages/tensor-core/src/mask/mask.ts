/**
 * Attention masks as data: a small algebra of who may see whom.
 *
 * A mask is a predicate allow(b, q, k) on batch, query position and key position. Leaves: `causal`, `segments`, `window`,
 * `prefix`, `roles`, `dense`; nodes: `and`, `or`, `not`. Run-time operands (segment ids, roles, offsets) are tensors, the
 * rest is static, so one plan serves all contents. A query that may see no key attends to nothing: output 0, gradient 0.
 *
 * Operand shapes, with B the batch or 1:
 *   causal    offset i32 [B], optional                key ≤ query + offset (the number of keys cached before the queries)
 *   window    offset i32 [B], optional                |query + offset − key| < size
 *   segments  query i32 [B, Sq], key i32 [B, Sk]      equal ids see each other
 *   roles     query i32 [B, Sq], key i32 [B, Sk]      table[role of query][role of key]
 *   prefix    length i32 [B]                          keys below the length
 *   dense     bool [B, Sq, Sk]
 *
 * A role that the table has no row (or column) for sees nothing (or is seen by nothing): the leaf is false there, on every
 * device. Positions are i32: offset plus the number of queries stays below 2^31. What each leaf means is written once, in
 * program.ts.
 */
import type { Tensor } from '../tensor.js';

/** `roles` table: row = role of the query, column = role of the key. */
export type RoleTable = readonly (readonly boolean[])[];

export type Mask =
  | { readonly kind: 'causal'; readonly offset?: Tensor }
  | { readonly kind: 'segments'; readonly query: Tensor; readonly key: Tensor }
  | { readonly kind: 'window'; readonly size: number; readonly offset?: Tensor }
  | { readonly kind: 'prefix'; readonly length: Tensor }
  | { readonly kind: 'roles'; readonly query: Tensor; readonly key: Tensor; readonly table: RoleTable }
  | { readonly kind: 'dense'; readonly allow: Tensor }
  | { readonly kind: 'and'; readonly parts: readonly Mask[] }
  | { readonly kind: 'or'; readonly parts: readonly Mask[] }
  | { readonly kind: 'not'; readonly part: Mask };

/** Keys up to the query's own position, counted after `offset` cached keys. */
export const causal = (offset?: Tensor): Mask => (offset ? { kind: 'causal', offset } : { kind: 'causal' });

/** Only inside the same segment: packed samples, frames, windows of a vision tower. */
export const segments = (query: Tensor, key: Tensor = query): Mask => ({ kind: 'segments', query, key });

/**
 * Keys less than `size` positions away on either side, the query counted after `offset` cached keys as in `causal`.
 * A sliding window that looks back only is `and(causal(offset), window(size, offset))`.
 */
export const window = (size: number, offset?: Tensor): Mask =>
  offset ? { kind: 'window', size, offset } : { kind: 'window', size };

/** The first `length` keys of each batch entry. */
export const prefix = (length: Tensor): Mask => ({ kind: 'prefix', length });

/**
 * A table on the roles of query and key; the bottleneck of LIVR is `and(causal(), roles(…))`. Roles outside the table see
 * nothing and are seen by nothing, so −1 can stand for padding.
 */
export const roles = (query: Tensor, table: RoleTable, key: Tensor = query): Mask => ({
  kind: 'roles',
  query,
  key,
  table,
});

/** Any boolean mask. */
export const dense = (allow: Tensor): Mask => ({ kind: 'dense', allow });

export const and = (...parts: readonly Mask[]): Mask => ({ kind: 'and', parts });
export const or = (...parts: readonly Mask[]): Mask => ({ kind: 'or', parts });
export const not = (part: Mask): Mask => ({ kind: 'not', part });
