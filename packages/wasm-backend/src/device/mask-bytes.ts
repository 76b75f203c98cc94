/** A mask as bytes [queries, keys], 1 where the query may see the key: what the attention kernel reads. */
import type { HostArray, MaskExpression, RoleTable } from '@mindseye/tensor-core';

/** Operands of the mask for one batch entry: its own row of each, or the only one. */
export type MaskRow = (operand: number) => HostArray;

type Cell = (query: number, key: number) => boolean;

const filled = (queries: number, keys: number, cell: Cell): Uint8Array => {
  const bytes = new Uint8Array(queries * keys);
  for (let query = 0, at = 0; query < queries; query++)
    for (let key = 0; key < keys; key++) bytes[at++] = cell(query, key) ? 1 : 0;
  return bytes;
};

export function maskBytes(expression: MaskExpression, row: MaskRow, queries: number, keys: number): Uint8Array {
  const part = (inner: MaskExpression): Uint8Array => maskBytes(inner, row, queries, keys);
  const cells = (cell: Cell): Uint8Array => filled(queries, keys, cell);
  switch (expression.kind) {
    case 'causal': {
      const offset = expression.offset === null ? 0 : row(expression.offset)[0]!;
      return cells((query, key) => key <= query + offset);
    }
    case 'segments': {
      const [ofQuery, ofKey] = [row(expression.query), row(expression.key)];
      return cells((query, key) => ofQuery[query] === ofKey[key]);
    }
    case 'roles': {
      const [ofQuery, ofKey, { table }] = [row(expression.query), row(expression.key), expression];
      return cells((query, key) => roleCell(table, ofQuery[query]!, ofKey[key]!));
    }
    case 'window':
      return cells((query, key) => Math.abs(query - key) < expression.size);
    case 'prefix': {
      const length = row(expression.length)[0]!;
      return cells((_query, key) => key < length);
    }
    case 'dense':
      return Uint8Array.from(row(expression.allow));
    case 'not':
      return part(expression.part).map((byte) => 1 - byte);
    case 'and':
      return expression.parts.map(part).reduce(
        (all, next) => all.map((byte, i) => byte & next[i]!),
        cells(() => true),
      );
    case 'or':
      return expression.parts.map(part).reduce(
        (all, next) => all.map((byte, i) => byte | next[i]!),
        cells(() => false),
      );
  }
}

function roleCell(table: RoleTable, query: number, key: number): boolean {
  const allowed = table[query]?.[key];
  if (allowed === undefined)
    throw new RangeError(`mask roles: the table has no cell for query role ${query} and key role ${key}`);
  return allowed;
}
