/**
 * The static half of a mask: the same tree with its tensors replaced by their places in an operand list.
 *
 * An attention node carries the expression as an attribute and the operands as inputs. Here an expression is lowered in
 * two ways: to a predicate over host arrays (the reference loops), and to a boolean tensor (the decomposition).
 */
import { ShapeError } from '../errors.js';
import { asTensor, full } from '../op.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { equal, less, lessEqual } from '../ops/compare.js';
import { gather } from '../ops/gather.js';
import { arange } from '../ops/iota.js';
import { logicalAnd, logicalNot, logicalOr } from '../ops/logical.js';
import { mul } from '../ops/mul.js';
import { reshape } from '../ops/reshape.js';
import { sub } from '../ops/sub.js';
import type { HostTensor } from '../op.js';
import type { Tensor } from '../tensor.js';
import { concat } from '../ops/concat.js';
import type { Mask, RoleTable } from './mask.js';

export type MaskExpression =
  | { readonly kind: 'causal'; readonly offset: number | null }
  | { readonly kind: 'segments'; readonly query: number; readonly key: number }
  | { readonly kind: 'window'; readonly size: number }
  | { readonly kind: 'prefix'; readonly length: number }
  | { readonly kind: 'roles'; readonly query: number; readonly key: number; readonly table: RoleTable }
  | { readonly kind: 'dense'; readonly allow: number }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly MaskExpression[] }
  | { readonly kind: 'not'; readonly part: MaskExpression };

/** Splits a mask into its static expression and its operands. */
export function splitMask(mask: Mask): { readonly expression: MaskExpression; readonly operands: readonly Tensor[] } {
  const operands: Tensor[] = [];
  const place = (tensor: Tensor): number => {
    const known = operands.indexOf(tensor);
    return known >= 0 ? known : operands.push(tensor) - 1;
  };
  const walk = (part: Mask): MaskExpression => {
    switch (part.kind) {
      case 'causal':
        return { kind: 'causal', offset: part.offset ? place(part.offset) : null };
      case 'segments':
        return { kind: 'segments', query: place(part.query), key: place(part.key) };
      case 'roles':
        return { kind: 'roles', query: place(part.query), key: place(part.key), table: part.table };
      case 'prefix':
        return { kind: 'prefix', length: place(part.length) };
      case 'dense':
        return { kind: 'dense', allow: place(part.allow) };
      case 'window':
        return part;
      case 'not':
        return { kind: 'not', part: walk(part.part) };
      case 'and':
      case 'or':
        return { kind: part.kind, parts: part.parts.map(walk) };
    }
  };
  return { expression: walk(mask), operands };
}

export type MaskPredicate = (batch: number, query: number, key: number) => boolean;

/** The mask as a function of positions, reading its operands from host arrays. */
export function maskPredicate(expression: MaskExpression, operands: readonly HostTensor[]): MaskPredicate {
  const rows = (place: number): ((batch: number, at: number) => number) => {
    const { data, shape } = operands[place]!;
    const length = shape.at(-1)!;
    return shape[0] === 1 ? (_batch, at) => data[at]! : (batch, at) => data[batch * length + at]!;
  };
  switch (expression.kind) {
    case 'causal': {
      const offset = expression.offset === null ? 0 : operands[expression.offset]!.data[0]!;
      return (_batch, query, key) => key <= query + offset;
    }
    case 'segments': {
      const [ofQuery, ofKey] = [rows(expression.query), rows(expression.key)];
      return (batch, query, key) => ofQuery(batch, query) === ofKey(batch, key);
    }
    case 'window':
      return (_batch, query, key) => Math.abs(query - key) < expression.size;
    case 'prefix': {
      const { data } = operands[expression.length]!;
      return (batch, _query, key) => key < data[data.length === 1 ? 0 : batch]!;
    }
    case 'roles': {
      const [ofQuery, ofKey] = [rows(expression.query), rows(expression.key)];
      return (batch, query, key) => {
        const [row, column] = [ofQuery(batch, query), ofKey(batch, key)];
        const allowed = expression.table[row]?.[column];
        if (allowed === undefined)
          throw new RangeError(`mask roles: the table has no cell for query role ${row} and key role ${column}`);
        return allowed;
      };
    }
    case 'dense': {
      const { data, shape } = operands[expression.allow]!;
      const [batches, queries, keys] = shape as [number, number, number];
      return (batch, query, key) => data[((batches === 1 ? 0 : batch) * queries + query) * keys + key] === 1;
    }
    case 'not': {
      const part = maskPredicate(expression.part, operands);
      return (batch, query, key) => !part(batch, query, key);
    }
    case 'and': {
      const parts = expression.parts.map((part) => maskPredicate(part, operands));
      return (batch, query, key) => parts.every((part) => part(batch, query, key));
    }
    case 'or': {
      const parts = expression.parts.map((part) => maskPredicate(part, operands));
      return (batch, query, key) => parts.some((part) => part(batch, query, key));
    }
  }
}

/** The mask as a bool tensor [batch or 1, queries, keys]. */
export function maskTensor(
  expression: MaskExpression,
  operands: readonly Tensor[],
  queries: number,
  keys: number,
): Tensor {
  const queryAt = reshape(arange(queries), [1, queries, 1]);
  const keyAt = reshape(arange(keys), [1, 1, keys]);
  const perQuery = (place: number): Tensor => reshape(operands[place]!, [operands[place]!.shape[0]!, queries, 1]);
  const perKey = (place: number): Tensor => reshape(operands[place]!, [operands[place]!.shape[0]!, 1, keys]);
  const join = (parts: readonly Tensor[], combine: (a: Tensor, b: Tensor) => Tensor, none: number): Tensor =>
    parts.reduce(combine, full([1, queries, keys], none, 'bool'));
  switch (expression.kind) {
    case 'causal':
      return lessEqual(keyAt, expression.offset === null ? queryAt : add(queryAt, operands[expression.offset]!));
    case 'segments':
      return equal(perQuery(expression.query), perKey(expression.key));
    case 'window': {
      const distance = sub(queryAt, keyAt);
      return logicalAnd(less(distance, expression.size), less(asTensor(-expression.size, 'i32'), distance));
    }
    case 'prefix':
      return less(broadcastTo(keyAt, [1, queries, keys]), reshape(operands[expression.length]!, [-1, 1, 1]));
    case 'roles': {
      const columns = expression.table[0]?.length ?? 0;
      const cells = concat(
        expression.table.flat().map((allowed) => full([1], allowed ? 1 : 0, 'i32')),
        0,
      );
      return cast(gather(cells, add(mul(perQuery(expression.query), columns), perKey(expression.key))), 'bool');
    }
    case 'dense':
      return operands[expression.allow]!;
    case 'not':
      return logicalNot(maskTensor(expression.part, operands, queries, keys));
    case 'and':
      return join(
        expression.parts.map((part) => maskTensor(part, operands, queries, keys)),
        logicalAnd,
        1,
      );
    case 'or':
      return join(
        expression.parts.map((part) => maskTensor(part, operands, queries, keys)),
        logicalOr,
        0,
      );
  }
}

function checkTable(table: RoleTable): void {
  const columns = table[0]?.length ?? 0;
  if (columns === 0 || table.some((row) => row.length !== columns))
    throw new ShapeError(
      `mask roles: the table has rows of ${table.map((row) => row.length).join(', ') || 'no'} cells, it must be a full rectangle`,
    );
}

/** Throws unless every operand fits `batch`, `queries` and `keys`. */
export function checkMaskOperands(
  expression: MaskExpression,
  operands: readonly { readonly shape: readonly number[]; readonly dtype: string }[],
  batch: number,
  queries: number,
  keys: number,
): void {
  const need = (place: number, what: string, dtype: string, tail: readonly number[], batched = true): void => {
    const { shape, dtype: actual } = operands[place]!;
    const lead = batched ? shape[0] === batch || shape[0] === 1 : true;
    const rest = batched ? shape.slice(1) : shape;
    if (actual !== dtype || !lead || rest.join() !== tail.join()) {
      throw new ShapeError(
        `mask ${expression.kind}: ${what} is ${actual}[${shape.join(', ')}], it must be ${dtype}[${[...(batched ? [`${batch} or 1`] : []), ...tail].join(', ')}]`,
      );
    }
  };
  switch (expression.kind) {
    case 'causal':
      if (expression.offset !== null) need(expression.offset, 'offset', 'i32', [1], false);
      return;
    case 'segments':
    case 'roles':
      if (expression.kind === 'roles') checkTable(expression.table);
      need(expression.query, 'query', 'i32', [queries]);
      need(expression.key, 'key', 'i32', [keys]);
      return;
    case 'prefix':
      need(expression.length, 'length', 'i32', []);
      return;
    case 'dense':
      need(expression.allow, 'allow', 'bool', [queries, keys]);
      return;
    case 'not':
      return checkMaskOperands(expression.part, operands, batch, queries, keys);
    case 'and':
    case 'or':
      for (const part of expression.parts) checkMaskOperands(part, operands, batch, queries, keys);
      return;
    case 'window':
      if (!Number.isInteger(expression.size) || expression.size < 0)
        throw new ShapeError(`mask window: size ${expression.size} is not a whole number from 0 up`);
      return;
  }
}
