/**
 * A mask as a small program: what each kind of mask means, written once.
 *
 * Every leaf sets one number of the query against one number of the key, so each side can be computed on its own, once
 * per position. With q and k the positions and b the batch entry:
 *
 *   causal    q + offset(b) ≥ k
 *   window    q + offset(b) > k − size   and   q + offset(b) < k + size
 *   segments  id(b, q) = id(b, k)
 *   prefix    length(b) > k
 *   roles     table[role(b, q)][role(b, k)], false where the table has no such cell
 *   dense     allow(b, q, k)
 *
 * Numbers are i32; sums wrap around as i32 sums do on every device. Readers of programs: predicate.ts (functions over host
 * arrays), mask-tensor.ts (core ops), tile-map.ts (which tiles matter), operands.ts (shapes), and the devices' kernels.
 */
import { ShapeError } from '../errors.js';
import type { MaskExpression } from './expression.js';
import type { RoleTable } from './mask.js';

/** An operand read at the batch entry, or at the batch entry and the position: i32 [B] or [B, positions]. */
export interface MaskLoad {
  readonly op: 'load';
  /** Place in the operand list of the mask. */
  readonly operand: number;
  readonly per: 'batch' | 'position';
  /** What the operand is, for errors. */
  readonly name: string;
}

/** A whole number for each position of one side, queries or keys. */
export type MaskNumber =
  | { readonly op: 'position' }
  | { readonly op: 'constant'; readonly value: number }
  | MaskLoad
  | { readonly op: 'add'; readonly left: MaskNumber; readonly right: MaskNumber };

/** How the query's number stands to the key's. */
export type MaskRelation = 'equal' | 'less' | 'greater' | 'greaterEqual';

/** The condition under which a query may see a key. */
export type MaskProgram =
  | { readonly op: 'compare'; readonly relation: MaskRelation; readonly query: MaskNumber; readonly key: MaskNumber }
  /** The cell in the query's row and the key's column; false outside the table, which is a full rectangle. */
  | { readonly op: 'table'; readonly table: RoleTable; readonly query: MaskNumber; readonly key: MaskNumber }
  /** A bool operand [B, queries, keys]. */
  | { readonly op: 'pairs'; readonly operand: number; readonly name: string }
  /** `and` of nothing is true, `or` of nothing false. */
  | { readonly op: 'and' | 'or'; readonly parts: readonly MaskProgram[] }
  | { readonly op: 'not'; readonly part: MaskProgram };

/** Half of the range of i32, so that a position plus a window cannot wrap around. */
const largestWindow = 2 ** 30;

const position: MaskNumber = { op: 'position' };
const load = (operand: number, per: MaskLoad['per'], name: string): MaskLoad => ({ op: 'load', operand, per, name });
const plus = (left: MaskNumber, value: number): MaskNumber => ({
  op: 'add',
  left,
  right: { op: 'constant', value },
});
const compare = (query: MaskNumber, relation: MaskRelation, key: MaskNumber): MaskProgram => ({
  op: 'compare',
  relation,
  query,
  key,
});

/** The query's position among the keys: after the cached ones. */
const positionAfter = (offset: number | null, name: string): MaskNumber =>
  offset === null ? position : { op: 'add', left: position, right: load(offset, 'batch', name) };

/** The program of a mask expression. Throws a ShapeError for a table that is no rectangle or a window that is no size. */
export function maskProgram(expression: MaskExpression): MaskProgram {
  switch (expression.kind) {
    case 'causal':
      return compare(positionAfter(expression.offset, 'causal: offset'), 'greaterEqual', position);
    case 'window': {
      const { size } = expression;
      checkWindow(size);
      const query = positionAfter(expression.offset, 'window: offset');
      const parts = [compare(query, 'greater', plus(position, -size)), compare(query, 'less', plus(position, size))];
      return { op: 'and', parts };
    }
    case 'segments': {
      const [query, key] = [expression.query, expression.key];
      return compare(load(query, 'position', 'segments: query'), 'equal', load(key, 'position', 'segments: key'));
    }
    case 'prefix':
      return compare(load(expression.length, 'batch', 'prefix: length'), 'greater', position);
    case 'roles': {
      const { table } = expression;
      checkTable(table);
      const query = load(expression.query, 'position', 'roles: query');
      return { op: 'table', table, query, key: load(expression.key, 'position', 'roles: key') };
    }
    case 'dense':
      return { op: 'pairs', operand: expression.allow, name: 'dense: allow' };
    case 'not':
      return { op: 'not', part: maskProgram(expression.part) };
    case 'and':
    case 'or':
      return { op: expression.kind, parts: expression.parts.map(maskProgram) };
  }
}

function checkWindow(size: number): void {
  if (!Number.isInteger(size) || size < 0 || size > largestWindow)
    throw new ShapeError(`mask window: size ${size} is not a whole number from 0 to ${largestWindow}`);
}

function checkTable(table: RoleTable): void {
  const columns = table[0]?.length ?? 0;
  if (columns === 0 || table.some((row) => row.length !== columns))
    throw new ShapeError(
      `mask roles: the table has rows of ${table.map((row) => row.length).join(', ') || 'no'} cells, it must be a full rectangle`,
    );
}
