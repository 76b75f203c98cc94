/**
 * Instructions as the tables make them: the operands, and the bytes that follow their code. A module has tens of thousands of
 * them and is written before anything has warmed up, so each is one object, and bytes are shared by all that have the same.
 */
import type { Code, Expression, Statement, ValueType } from './types.js';

/** An instruction of at most three operands. */
export class Instruction<T extends ValueType | 'void'> {
  readonly type: T;
  /** Opcode and immediates. */
  readonly bytes: readonly number[];
  readonly first: Expression | undefined;
  readonly second: Expression | undefined;
  readonly third: Expression | undefined;

  constructor(type: T, bytes: readonly number[], first?: Expression, second?: Expression, third?: Expression) {
    this.type = type;
    this.bytes = bytes;
    this.first = first;
    this.second = second;
    this.third = third;
  }

  get code(): Code {
    const operands = [this.first, this.second, this.third].flatMap((operand) => (operand ? [operand.code] : []));
    return [...operands, this.bytes];
  }
}

/** Appends the code of an expression or statement to `bytes`. */
export function appendCode(bytes: number[], given: Expression | Statement): void {
  if (!(given instanceof Instruction)) {
    appendTree(bytes, given.code);
    return;
  }
  const { first, second, third, bytes: own } = given as Instruction<ValueType | 'void'>;
  if (first) appendCode(bytes, first);
  if (second) appendCode(bytes, second);
  if (third) appendCode(bytes, third);
  for (let i = 0; i < own.length; i += 1) bytes.push(own[i]!);
}

function appendTree(bytes: number[], code: Code): void {
  for (const part of code) {
    if (typeof part === 'number') bytes.push(part);
    else appendTree(bytes, part);
  }
}
