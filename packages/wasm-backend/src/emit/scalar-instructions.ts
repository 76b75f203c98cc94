/**
 * Scalar instructions as tables of typed functions (specification, section 5.4). Names are those of the text format with
 * `_s`/`_u` written as `Signed`/`Unsigned`.
 */
import { Instruction } from './instruction.js';
import { binary, constant, load, operandOf, store, unary } from './operands.js';
import type { Binary, Load, Store, Unary } from './operands.js';
import type { Expression, Operand, Statement, ValueType } from './types.js';

type Scalar = 'i32' | 'f32' | 'f64';

interface Comparisons<T extends Scalar> {
  readonly eq: Binary<T, 'i32'>;
  readonly ne: Binary<T, 'i32'>;
}

interface FloatInstructions<T extends 'f32' | 'f64'> extends Comparisons<T> {
  readonly const: (value: number) => Expression<T>;
  readonly load: Load<T>;
  readonly store: Store<T>;
  readonly lt: Binary<T, 'i32'>;
  readonly gt: Binary<T, 'i32'>;
  readonly le: Binary<T, 'i32'>;
  readonly ge: Binary<T, 'i32'>;
  readonly abs: Unary<T>;
  readonly neg: Unary<T>;
  readonly sqrt: Unary<T>;
  readonly add: Binary<T>;
  readonly sub: Binary<T>;
  readonly mul: Binary<T>;
  readonly div: Binary<T>;
  readonly min: Binary<T>;
  readonly max: Binary<T>;
  readonly copysign: Binary<T>;
}

/** 32-bit integers: loop counters, byte addresses and conditions. */
export const i32: Comparisons<'i32'> & {
  readonly const: (value: number) => Expression<'i32'>;
  readonly load: Load<'i32'>;
  readonly load8Unsigned: Load<'i32'>;
  readonly load16Unsigned: Load<'i32'>;
  readonly store: Store<'i32'>;
  readonly store8: Store<'i32'>;
  readonly store16: Store<'i32'>;
  readonly eqz: Unary<'i32'>;
  readonly ltSigned: Binary<'i32'>;
  readonly ltUnsigned: Binary<'i32'>;
  readonly gtSigned: Binary<'i32'>;
  readonly gtUnsigned: Binary<'i32'>;
  readonly leUnsigned: Binary<'i32'>;
  readonly geUnsigned: Binary<'i32'>;
  readonly add: Binary<'i32'>;
  readonly sub: Binary<'i32'>;
  readonly mul: Binary<'i32'>;
  readonly divUnsigned: Binary<'i32'>;
  readonly remUnsigned: Binary<'i32'>;
  readonly and: Binary<'i32'>;
  readonly or: Binary<'i32'>;
  readonly xor: Binary<'i32'>;
  readonly shl: Binary<'i32'>;
  readonly shrSigned: Binary<'i32'>;
  readonly shrUnsigned: Binary<'i32'>;
  readonly reinterpretF32: Unary<'f32', 'i32'>;
} = {
  const: (value) => constant('i32', value),
  load: load('i32', [0x28], 2),
  load8Unsigned: load('i32', [0x2d], 0),
  load16Unsigned: load('i32', [0x2f], 1),
  store: store('i32', [0x36], 2),
  store8: store('i32', [0x3a], 0),
  store16: store('i32', [0x3b], 1),
  eqz: unary('i32', 'i32', [0x45]),
  eq: binary('i32', 'i32', [0x46]),
  ne: binary('i32', 'i32', [0x47]),
  ltSigned: binary('i32', 'i32', [0x48]),
  ltUnsigned: binary('i32', 'i32', [0x49]),
  gtSigned: binary('i32', 'i32', [0x4a]),
  gtUnsigned: binary('i32', 'i32', [0x4b]),
  leUnsigned: binary('i32', 'i32', [0x4d]),
  geUnsigned: binary('i32', 'i32', [0x4f]),
  add: binary('i32', 'i32', [0x6a]),
  sub: binary('i32', 'i32', [0x6b]),
  mul: binary('i32', 'i32', [0x6c]),
  divUnsigned: binary('i32', 'i32', [0x6e]),
  remUnsigned: binary('i32', 'i32', [0x70]),
  and: binary('i32', 'i32', [0x71]),
  or: binary('i32', 'i32', [0x72]),
  xor: binary('i32', 'i32', [0x73]),
  shl: binary('i32', 'i32', [0x74]),
  shrSigned: binary('i32', 'i32', [0x75]),
  shrUnsigned: binary('i32', 'i32', [0x76]),
  reinterpretF32: unary('f32', 'i32', [0xbc]),
};

/** Instructions that f32 and f64 share, given the first opcode of each run in the specification's order. */
function floatInstructions<T extends 'f32' | 'f64'>(
  type: T,
  opcode: { load: number; store: number; eq: number; abs: number; alignment: number },
): FloatInstructions<T> {
  const compare = (index: number): Binary<T, 'i32'> => binary(type, 'i32', [opcode.eq + index]);
  const arithmetic = (index: number): Binary<T> => binary(type, type, [opcode.abs + index]);
  const single = (index: number): Unary<T> => unary(type, type, [opcode.abs + index]);
  return {
    const: (value) => constant(type, value) as Expression<T>,
    load: load(type, [opcode.load], opcode.alignment),
    store: store(type, [opcode.store], opcode.alignment),
    eq: compare(0),
    ne: compare(1),
    lt: compare(2),
    gt: compare(3),
    le: compare(4),
    ge: compare(5),
    abs: single(0),
    neg: single(1),
    sqrt: single(6),
    add: arithmetic(7),
    sub: arithmetic(8),
    mul: arithmetic(9),
    div: arithmetic(10),
    min: arithmetic(11),
    max: arithmetic(12),
    copysign: arithmetic(13),
  };
}

/** Single precision. */
export const f32: FloatInstructions<'f32'> & {
  readonly convertI32Signed: Unary<'i32', 'f32'>;
  readonly convertI32Unsigned: Unary<'i32', 'f32'>;
  readonly demoteF64: Unary<'f64', 'f32'>;
  readonly reinterpretI32: Unary<'i32', 'f32'>;
} = {
  ...floatInstructions('f32', { load: 0x2a, store: 0x38, eq: 0x5b, abs: 0x8b, alignment: 2 }),
  convertI32Signed: unary('i32', 'f32', [0xb2]),
  convertI32Unsigned: unary('i32', 'f32', [0xb3]),
  demoteF64: unary('f64', 'f32', [0xb6]),
  reinterpretI32: unary('i32', 'f32', [0xbe]),
};

/** Double precision. */
export const f64: FloatInstructions<'f64'> & {
  readonly convertI32Unsigned: Unary<'i32', 'f64'>;
  readonly promoteF32: Unary<'f32', 'f64'>;
} = {
  ...floatInstructions('f64', { load: 0x2b, store: 0x39, eq: 0x61, abs: 0x99, alignment: 3 }),
  convertI32Unsigned: unary('i32', 'f64', [0xb8]),
  promoteF32: unary('f32', 'f64', [0xbb]),
};

/** `condition ? whenTrue : whenFalse`, without a branch. Both values are computed. */
export function select<T extends ValueType>(
  whenTrue: Expression<T>,
  whenFalse: Expression<T>,
  condition: Operand<'i32'>,
): Expression<T> {
  // The untyped select accepts numbers only; vectors need the typed form.
  const opcode = whenTrue.type === 'v128' ? [0x1c, 1, 0x7b] : [0x1b];
  return new Instruction(whenTrue.type, opcode, whenTrue, whenFalse, operandOf('i32', condition));
}

/** Bulk memory instructions (specification, section 5.4.6). */
export const memory: {
  /** Fills `size` bytes at `destination` with a byte value. */
  readonly fill: (destination: Operand<'i32'>, value: Operand<'i32'>, size: Operand<'i32'>) => Statement;
  /** Copies `size` bytes; the ranges may overlap. */
  readonly copy: (destination: Operand<'i32'>, source: Operand<'i32'>, size: Operand<'i32'>) => Statement;
  /** As `copy`, from one memory of the module to another, by their indices (multi-memory). */
  readonly copyBetween: (
    destinationMemory: number,
    sourceMemory: number,
    destination: Operand<'i32'>,
    source: Operand<'i32'>,
    size: Operand<'i32'>,
  ) => Statement;
} = {
  fill: (destination, value, size) => bulk([0xfc, 0x0b, 0], destination, value, size),
  copy: (destination, source, size) => bulk([0xfc, 0x0a, 0, 0], destination, source, size),
  copyBetween: (destinationMemory, sourceMemory, destination, source, size) =>
    bulk([0xfc, 0x0a, destinationMemory, sourceMemory], destination, source, size),
};

function bulk(
  opcode: readonly number[],
  ...[first, second, third]: readonly [Operand<'i32'>, Operand<'i32'>, Operand<'i32'>]
): Statement {
  return new Instruction('void', opcode, operandOf('i32', first), operandOf('i32', second), operandOf('i32', third));
}
