/**
 * A mask program as a bool tensor [B, queries, keys], B the batch or 1: the mask in the decomposition of attention.
 *
 * Numbers of the query side are [B, queries, 1], of the key side [B, 1, keys]; conditions broadcast and are stretched to
 * the whole only at the end.
 */
import { asTensor, full } from '../op.js';
import { add } from '../ops/add.js';
import { broadcastTo } from '../ops/broadcast-to.js';
import { cast } from '../ops/cast.js';
import { equal, greater, greaterEqual, less } from '../ops/compare.js';
import { concat } from '../ops/concat.js';
import { gather } from '../ops/gather.js';
import { arange } from '../ops/iota.js';
import { logicalAnd, logicalNot, logicalOr } from '../ops/logical.js';
import { mul } from '../ops/mul.js';
import { reshape } from '../ops/reshape.js';
import { select } from '../ops/select.js';
import type { Tensor } from '../tensor.js';
import type { MaskExpression } from './expression.js';
import type { RoleTable } from './mask.js';
import { type MaskNumber, type MaskProgram, type MaskRelation, maskProgram } from './program.js';

const relations: Readonly<Record<MaskRelation, (query: Tensor, key: Tensor) => Tensor>> = {
  equal,
  less,
  greater,
  greaterEqual,
};

const joins = {
  and: { combine: logicalAnd, ofNothing: 1 },
  or: { combine: logicalOr, ofNothing: 0 },
} as const;

/** One side of the mask: `place` puts values [B, positions] on the side's axis. */
interface Side {
  readonly positions: number;
  place(values: Tensor, batch: number): Tensor;
}

const sides = {
  query: (positions: number): Side => ({ positions, place: (x, batch) => reshape(x, [batch, positions, 1]) }),
  key: (positions: number): Side => ({ positions, place: (x, batch) => reshape(x, [batch, 1, positions]) }),
};

function numberTensor(number: MaskNumber, operands: readonly Tensor[], side: Side): Tensor {
  switch (number.op) {
    case 'position':
      return side.place(arange(side.positions), 1);
    case 'constant':
      return asTensor(number.value, 'i32');
    case 'load': {
      const operand = operands[number.operand]!;
      const batch = operand.shape[0]!;
      return number.per === 'batch' ? reshape(operand, [batch, 1, 1]) : side.place(operand, batch);
    }
    case 'add':
      return add(numberTensor(number.left, operands, side), numberTensor(number.right, operands, side));
  }
}

/** Table cells by row and column numbers. A last row and column of false cells take the numbers outside the table. */
function lookUp(table: RoleTable, rows: Tensor, columns: Tensor): Tensor {
  const [rowCount, columnCount] = [table.length, table[0]!.length];
  const none = Array.from({ length: columnCount }, () => false);
  const cells = [...table, none].flatMap((row) => [...row, false]);
  const values = concat(
    cells.map((allowed) => full([1], allowed ? 1 : 0, 'i32')),
    0,
  );
  const inside = (numbers: Tensor, count: number): Tensor =>
    select(logicalAnd(greaterEqual(numbers, 0), less(numbers, count)), numbers, asTensor(count, 'i32'));
  const place = add(mul(inside(rows, rowCount), columnCount + 1), inside(columns, columnCount));
  return cast(gather(values, place), 'bool');
}

/** The mask as a bool tensor [batch or 1, queries, keys]. */
export function maskTensor(
  expression: MaskExpression,
  operands: readonly Tensor[],
  queries: number,
  keys: number,
): Tensor {
  const [querySide, keySide] = [sides.query(queries), sides.key(keys)];
  const conditionOf = (program: MaskProgram): Tensor => {
    switch (program.op) {
      case 'compare': {
        const query = numberTensor(program.query, operands, querySide);
        return relations[program.relation](query, numberTensor(program.key, operands, keySide));
      }
      case 'table': {
        const query = numberTensor(program.query, operands, querySide);
        return lookUp(program.table, query, numberTensor(program.key, operands, keySide));
      }
      case 'pairs':
        return operands[program.operand]!;
      case 'and':
      case 'or': {
        const { combine, ofNothing } = joins[program.op];
        const [first = full([1, 1, 1], ofNothing, 'bool'), ...rest] = program.parts.map(conditionOf);
        return rest.reduce(combine, first);
      }
      case 'not':
        return logicalNot(conditionOf(program.part));
    }
  };
  const allow = conditionOf(maskProgram(expression));
  const shape = [allow.shape[0]!, queries, keys];
  return broadcastTo(allow, shape);
}
