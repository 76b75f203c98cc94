/**
 * A mask expression as a WGSL predicate.
 *
 * The tree is static and becomes code; its operands (segments, roles, lengths) are bound as `mask0`, `mask1`, … and read at
 * run time. Meaning: tensor-core's `maskPredicate`.
 */
import type { MaskExpression, TensorSpec } from '@mindseye/tensor-core';
import type { WgslScalar } from '../element.js';
import { wgslTypeOf } from '../element.js';

/** A role table's row is one word of bits. */
const mostRoles = 32;

/** False for masks that this predicate does not express. */
export function acceptsMask(expression: MaskExpression | null): boolean {
  if (expression === null) return true;
  switch (expression.kind) {
    case 'roles':
      return expression.table.every((row) => row.length <= mostRoles);
    case 'not':
      return acceptsMask(expression.part);
    case 'and':
    case 'or':
      return expression.parts.every(acceptsMask);
    default:
      return true;
  }
}

export const maskOperands = (
  specs: readonly TensorSpec[],
): readonly { readonly name: string; readonly type: WgslScalar }[] =>
  specs.map(({ dtype }, i) => ({ name: `mask${i}`, type: wgslTypeOf(dtype) }));

/**
 * Declares `fn isAllowed(batch: u32, query: u32, key: u32) -> bool`.
 * @param queries name of the number of queries in the shader, for dense masks and per-query operands; likewise `keys`.
 */
export function maskPredicateCode(expression: MaskExpression | null, operands: readonly TensorSpec[]): string {
  const tables: string[] = [];
  const row = (place: number, at: 'query' | 'key'): string => {
    const length = at === 'query' ? 'queries' : 'keys';
    return operands[place]!.shape[0] === 1 ? `mask${place}[${at}]` : `mask${place}[batch * ${length} + ${at}]`;
  };
  const code = (part: MaskExpression): string => {
    switch (part.kind) {
      case 'causal':
        return part.offset === null ? 'key <= query' : `i32(key) <= i32(query) + mask${part.offset}[0]`;
      case 'segments':
        return `${row(part.query, 'query')} == ${row(part.key, 'key')}`;
      case 'window':
        return `abs(i32(query) - i32(key)) < ${part.size}i`;
      case 'prefix':
        return `i32(key) < mask${part.length}[${operands[part.length]!.shape[0] === 1 ? '0' : 'batch'}]`;
      case 'roles': {
        const rows = part.table.map((cells) => `${bitsOf(cells)}u`);
        const name = `roles${tables.length}`;
        tables.push(`const ${name} = array<u32, ${rows.length}>(${rows.join(', ')});`);
        return `((${name}[${row(part.query, 'query')}] >> u32(${row(part.key, 'key')})) & 1u) == 1u`;
      }
      case 'dense': {
        const batched = operands[part.allow]!.shape[0] === 1 ? 'query' : '(batch * queries + query)';
        return `mask${part.allow}[${batched} * keys + key] == 1u`;
      }
      case 'not':
        return `!(${code(part.part)})`;
      case 'and':
        return part.parts.length === 0 ? 'true' : part.parts.map((inner) => `(${code(inner)})`).join(' && ');
      case 'or':
        return part.parts.length === 0 ? 'false' : part.parts.map((inner) => `(${code(inner)})`).join(' || ');
    }
  };
  const body = expression === null ? 'true' : code(expression);
  return `${tables.join('\n')}
fn isAllowed(batch: u32, query: u32, key: u32, queries: u32, keys: u32) -> bool { return ${body}; }`;
}

const bitsOf = (cells: readonly boolean[]): number =>
  cells.reduce((bits, allowed, i) => (allowed ? bits | (1 << i) : bits), 0) >>> 0;
