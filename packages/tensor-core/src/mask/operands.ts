/** Do the operands of a mask fit? Each load of the program says what its operand must be; B is the batch, or 1 for all. */
import { ShapeError } from '../errors.js';
import type { TensorSpec } from '../tensor.js';
import type { MaskExpression } from './expression.js';
import { type MaskNumber, type MaskProgram, maskProgram } from './program.js';

/**
 * Throws a ShapeError unless every operand fits `batch`, `queries` and `keys`:
 * i32 [B] per batch entry, i32 [B, positions] per position, bool [B, queries, keys] per pair.
 */
export function checkMaskOperands(
  expression: MaskExpression,
  operands: readonly TensorSpec[],
  batch: number,
  queries: number,
  keys: number,
): void {
  const need = (operand: number, name: string, dtype: TensorSpec['dtype'], tail: readonly number[]): void => {
    const { shape, dtype: actual } = operands[operand]!;
    const fits = actual === dtype && (shape[0] === batch || shape[0] === 1) && shape.slice(1).join() === tail.join();
    if (!fits)
      throw new ShapeError(
        `mask ${name} is ${actual}[${shape.join(', ')}], it must be ${dtype}[${[`${batch} or 1`, ...tail].join(', ')}]`,
      );
  };
  const checkNumber = (number: MaskNumber, positions: number): void => {
    if (number.op === 'load') need(number.operand, number.name, 'i32', number.per === 'batch' ? [] : [positions]);
    if (number.op === 'add') {
      checkNumber(number.left, positions);
      checkNumber(number.right, positions);
    }
  };
  const check = (program: MaskProgram): void => {
    switch (program.op) {
      case 'compare':
      case 'table':
        checkNumber(program.query, queries);
        checkNumber(program.key, keys);
        return;
      case 'pairs':
        need(program.operand, program.name, 'bool', [queries, keys]);
        return;
      case 'and':
      case 'or':
        program.parts.forEach(check);
        return;
      case 'not':
        check(program.part);
    }
  };
  check(maskProgram(expression));
}
