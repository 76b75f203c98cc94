/**
 * Attention masks as data: a small algebra of who may see whom.
 *
 * A mask is a predicate allow(b, q, k) on batch, query position and key position. Leaves: `causal`, `segments`, `window`,
 * `prefix`, `roles`, `dense`; nodes: `and`, `or`, `not`. Run-time operands (segment ids, roles, offsets) are tensors, the
 * rest is static, so one plan serves all contents. A query that may see no key attends to nothing: output 0, gradient 0.
 *
 * Operand shapes, with B the batch or 1:
 *   segments  query i32 [B, Sq], key i32 [B, Sk]     equal ids see each other
 *   roles     query i32 [B, Sq], key i32 [B, Sk]     table[role of query][role of key]
 *   prefix    length i32 [B]                          keys below the length
 *   causal    offset i32 [1], optional                key ≤ query + offset (the number of keys cached before the queries)
 *   dense     bool [B, Sq, Sk]
 */
import type { Tensor } from '../tensor.js';

/** `roles` table: row = role of the query, column = role of the key. */
export type RoleTable = readonly (readonly boolean[])[];

export type Mask =
  | { readonly kind: 'causal'; readonly offset?: Tensor }
  | { readonly kind: 'segments'; readonly query: Tensor; readonly key: Tensor }
  | { readonly kind: 'window'; readonly size: number }
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

/** Keys less than `size` positions away on either side. */
export const window = (size: number): Mask => ({ kind: 'window', size });

/** The first `length` keys of each batch entry. */
export const prefix = (length: Tensor): Mask => ({ kind: 'prefix', length });

/** A table on the roles of query and key; the bottleneck of LIVR is `and(causal(), roles(…))`. */
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
