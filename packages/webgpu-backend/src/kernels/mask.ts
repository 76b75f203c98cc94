/**
 * A mask program as a WGSL predicate.
 *
 * The program is static and becomes code; its operands (segments, roles, lengths) are bound as `mask0`, `mask1`, … and read
 * at run time. What each kind of mask means: tensor-core's `mask/program.ts`.
 */
import {
  type MaskExpression,
  type MaskNumber,
  type MaskProgram,
  type MaskRelation,
  type RoleTable,
  type TensorSpec,
  maskProgram,
} from '@mindseye/tensor-core';
import type { WgslScalar } from '../element.js';
import { wgslTypeOf } from '../element.js';
import { loadElement } from '../wgsl/map.js';

/** Cells of the largest role table that becomes a constant of the shader, one bit per cell. */
const mostCells = 4096;

const tablesOf = (program: MaskProgram): readonly RoleTable[] => {
  if (program.op === 'table') return [program.table];
  if (program.op === 'not') return tablesOf(program.part);
  return program.op === 'and' || program.op === 'or' ? program.parts.flatMap(tablesOf) : [];
};

const cellsOf = (table: RoleTable): number => table.length * table[0]!.length;

/** False for masks that this predicate does not express. */
export const acceptsMask = (expression: MaskExpression | null): boolean =>
  expression === null || tablesOf(maskProgram(expression)).every((table) => cellsOf(table) <= mostCells);

export const maskOperands = (
  specs: readonly TensorSpec[],
): readonly { readonly name: string; readonly type: WgslScalar }[] =>
  specs.map(({ dtype }, i) => ({ name: `mask${i}`, type: wgslTypeOf(dtype) }));

const relations: Readonly<Record<MaskRelation, string>> = {
  equal: '==',
  less: '<',
  greater: '>',
  greaterEqual: '>=',
};

const joins = {
  and: { operator: ' && ', ofNothing: 'true' },
  or: { operator: ' || ', ofNothing: 'false' },
} as const;

/** Names of a side's position and of the number of its positions. */
const sides = {
  query: { position: 'query', positions: 'queries' },
  key: { position: 'key', positions: 'keys' },
} as const;

/** `fn <name>(row, column)`: the bit of a cell, false for numbers outside the table. */
function tableCode(name: string, table: RoleTable): string {
  const bits = table.flat();
  const words = Array.from(
    { length: Math.ceil(bits.length / 32) },
    (_, word) => `${wordOf(bits.slice(word * 32, (word + 1) * 32))}u`,
  );
  const [rows, columns] = [table.length, table[0]!.length];
  // A negative number is a large one as u32.
  return `const ${name}Bits = array<u32, ${words.length}>(${words.join(', ')});
fn ${name}(row: i32, column: i32) -> bool {
  if (u32(row) >= ${rows}u || u32(column) >= ${columns}u) { return false; }
  let cell = u32(row) * ${columns}u + u32(column);
  return ((${name}Bits[cell >> 5u] >> (cell & 31u)) & 1u) == 1u;
}`;
}

const wordOf = (bits: readonly boolean[]): number =>
  bits.reduce((word, allowed, i) => (allowed ? word | (1 << i) : word), 0) >>> 0;

/**
 * Declares `fn isAllowed(batch: u32, query: u32, key: u32, queries: u32, keys: u32) -> bool`, where `queries` and `keys` are
 * the numbers of both, for operands per position and per pair.
 */
export function maskPredicateCode(expression: MaskExpression | null, operands: readonly TensorSpec[]): string {
  const tables: string[] = [];
  /** The batch entry of an operand; all entries share the only one. */
  const entryOf = (operand: number): string => (operands[operand]!.shape[0] === 1 ? '0u' : 'batch');
  const numberCode = (number: MaskNumber, side: keyof typeof sides): string => {
    const { position, positions } = sides[side];
    switch (number.op) {
      case 'position':
        return `i32(${position})`;
      case 'constant':
        return `i32(${number.value})`;
      case 'load': {
        const start = entryOf(number.operand);
        const at = number.per === 'batch' ? start : `${start} * ${positions} + ${position}`;
        return `mask${number.operand}[${at}]`;
      }
      case 'add':
        return `(${numberCode(number.left, side)} + ${numberCode(number.right, side)})`;
    }
  };
  const code = (program: MaskProgram): string => {
    switch (program.op) {
      case 'compare':
        return `${numberCode(program.query, 'query')} ${relations[program.relation]} ${numberCode(program.key, 'key')}`;
      case 'table': {
        const name = `roles${tables.length}`;
        tables.push(tableCode(name, program.table));
        return `${name}(${numberCode(program.query, 'query')}, ${numberCode(program.key, 'key')})`;
      }
      case 'pairs': {
        const row = `(${entryOf(program.operand)} * queries + query)`;
        return `${loadElement(`mask${program.operand}`, 'bool', `(${row} * keys + key)`)} == 1u`;
      }
      case 'not':
        return `!(${code(program.part)})`;
      case 'and':
      case 'or': {
        const { operator, ofNothing } = joins[program.op];
        return program.parts.map((part) => `(${code(part)})`).join(operator) || ofNothing;
      }
    }
  };
  const body = expression === null ? 'true' : code(maskProgram(expression));
  return `${tables.join('\n')}
fn isAllowed(batch: u32, query: u32, key: u32, queries: u32, keys: u32) -> bool { return ${body}; }`;
}
