/**
 * Constants and the constructors with which the instruction tables are written: each takes an opcode and returns a typed
 * function that joins its operands and the opcode.
 */
import { Instruction } from './instruction.js';
import { signedLeb128, unsignedLeb128 } from './leb128.js';
import type { Expression, Operand, Statement, ValueType } from './types.js';

/** An instruction of one operand. */
export type Unary<I extends ValueType, O extends ValueType = I> = (operand: Operand<I>) => Expression<O>;
/** An instruction of two operands of one type. */
export type Binary<I extends ValueType, O extends ValueType = I> = (
  left: Operand<I>,
  right: Operand<I>,
) => Expression<O>;
/** An instruction of three operands of one type. */
export type Ternary<T extends ValueType> = (first: Operand<T>, second: Operand<T>, third: Operand<T>) => Expression<T>;
/** Shift of every lane by a scalar count. */
export type Shift = (vector: Operand<'v128'>, count: Operand<'i32'>) => Expression<'v128'>;
/** Load from `address + offset`; the offset is a compile-time constant in bytes. */
export type Load<T extends ValueType> = (address: Operand<'i32'>, offset?: number) => Expression<T>;
/** Store to `address + offset`; the offset is a compile-time constant in bytes. */
export type Store<T extends ValueType> = (address: Operand<'i32'>, value: Operand<T>, offset?: number) => Statement;
/** Reads one lane of a vector. */
export type ExtractLane<O extends ValueType> = (vector: Operand<'v128'>, lane: number) => Expression<O>;
/** Replaces one lane of a vector. */
export type ReplaceLane<I extends ValueType> = (
  vector: Operand<'v128'>,
  lane: number,
  value: Operand<I>,
) => Expression<'v128'>;
/** Stores one lane of a vector to `address + offset`. */
export type StoreLane = (address: Operand<'i32'>, vector: Operand<'v128'>, lane: number, offset?: number) => Statement;

/** The opcode bytes of a SIMD instruction: prefix 0xfd, then its number in LEB128. */
export function simd(opcode: number): readonly number[] {
  return [0xfd, ...unsignedLeb128(opcode)];
}

const scratch = new DataView(new ArrayBuffer(16));

/** The bytes that `write` puts into a view of `size` bytes, at most 16. */
export function littleEndian(size: number, write: (view: DataView) => void): number[] {
  write(scratch);
  const bytes: number[] = [];
  for (let i = 0; i < size; i += 1) bytes.push(scratch.getUint8(i));
  return bytes;
}

type ConstantType = 'i32' | 'f32' | 'f64';

const CONSTANT_BYTES: Readonly<Record<ConstantType, (value: number) => number[]>> = {
  i32: (value) => [0x41, ...signedLeb128(value)],
  f32: (value) => [0x43, ...littleEndian(4, (view) => view.setFloat32(0, value, true))],
  f64: (value) => [0x44, ...littleEndian(8, (view) => view.setFloat64(0, value, true))],
};

/** Offsets and counters repeat: one instruction serves all i32 constants of a value. */
const known = new Map<number, Expression<'i32'>>();
/** Values below are kept; what comes from an application must not pile up. */
const MOST_KNOWN = 4096;

/** A scalar constant of the given type. */
export function constant<T extends ConstantType>(type: T, value: number): Expression<T> {
  const isKept = type === 'i32' && value >= 0 && value < MOST_KNOWN;
  const kept = isKept ? known.get(value) : undefined;
  if (kept) return kept as Expression<T>;
  const made = new Instruction(type, CONSTANT_BYTES[type](value));
  if (isKept) known.set(value, made as Instruction<'i32'>);
  return made;
}

/** An operand as an expression: a number becomes a constant of the expected type. */
export function operandOf<T extends ValueType>(type: T, operand: Operand<T>): Expression<T> {
  if (typeof operand !== 'number') return operand;
  if (type === 'v128') throw new TypeError('a v128 operand must be an expression; splat the number first');
  return constant(type as ConstantType, operand) as unknown as Expression<T>;
}

/** `[operand] -> [result]`. */
export function unary<I extends ValueType, O extends ValueType>(
  input: I,
  output: O,
  opcode: readonly number[],
): Unary<I, O> {
  return (operand) => new Instruction(output, opcode, operandOf(input, operand));
}

/** `[left right] -> [result]`. */
export function binary<I extends ValueType, O extends ValueType>(
  input: I,
  output: O,
  opcode: readonly number[],
): Binary<I, O> {
  return (left, right) => new Instruction(output, opcode, operandOf(input, left), operandOf(input, right));
}

/** `[first second third] -> [result]`. */
export function ternary<T extends ValueType>(type: T, opcode: readonly number[]): Ternary<T> {
  return (a, b, c) => new Instruction(type, opcode, operandOf(type, a), operandOf(type, b), operandOf(type, c));
}

/** A vector instruction of one operand, by its SIMD opcode. */
export const vectorUnary = (opcode: number): Unary<'v128'> => unary('v128', 'v128', simd(opcode));
/** A vector instruction of two operands, by its SIMD opcode. */
export const vectorBinary = (opcode: number): Binary<'v128'> => binary('v128', 'v128', simd(opcode));

/** `[vector count] -> [vector]`. */
export function shift(opcode: readonly number[]): Shift {
  return (vector, count) => new Instruction('v128', opcode, operandOf('v128', vector), operandOf('i32', count));
}

/**
 * The opcode with the alignment hint (as a power of two) and the offset that follow every memory opcode; the bytes of each offset
 * are made once.
 */
function memoryOpcode(opcode: readonly number[], alignment: number): (offset: number) => readonly number[] {
  const made = new Map<number, readonly number[]>();
  return (offset) => {
    const bytes = made.get(offset) ?? [...opcode, ...unsignedLeb128(alignment), ...unsignedLeb128(offset)];
    if (offset < MOST_KNOWN) made.set(offset, bytes);
    return bytes;
  };
}

/** A load whose alignment hint is `2^alignment` bytes; the hint is never a requirement. */
export function load<T extends ValueType>(type: T, opcode: readonly number[], alignment: number): Load<T> {
  const at = memoryOpcode(opcode, alignment);
  return (address, offset = 0) => new Instruction(type, at(offset), operandOf('i32', address));
}

/** A store whose alignment hint is `2^alignment` bytes. */
export function store<T extends ValueType>(type: T, opcode: readonly number[], alignment: number): Store<T> {
  const at = memoryOpcode(opcode, alignment);
  return (address, value, offset = 0) =>
    new Instruction('void', at(offset), operandOf('i32', address), operandOf(type, value));
}

function checkLane(lane: number, lanes: number): number {
  if (!Number.isInteger(lane) || lane < 0 || lane >= lanes)
    throw new RangeError(`lane ${lane} is not in [0, ${lanes})`);
  return lane;
}

/** Reads a lane of a vector of `lanes` lanes. */
export function extractLane<O extends ValueType>(type: O, opcode: readonly number[], lanes: number): ExtractLane<O> {
  return (vector, lane) => new Instruction(type, [...opcode, checkLane(lane, lanes)], operandOf('v128', vector));
}

/** Replaces a lane of a vector of `lanes` lanes. */
export function replaceLane<I extends ValueType>(type: I, opcode: readonly number[], lanes: number): ReplaceLane<I> {
  return (vector, lane, value) =>
    new Instruction('v128', [...opcode, checkLane(lane, lanes)], operandOf('v128', vector), operandOf(type, value));
}

/** Stores a lane of a vector of `lanes` lanes. */
export function storeLane(opcode: readonly number[], alignment: number, lanes: number): StoreLane {
  const at = memoryOpcode(opcode, alignment);
  return (address, vector, lane, offset = 0) =>
    new Instruction(
      'void',
      [...at(offset), checkLane(lane, lanes)],
      operandOf('i32', address),
      operandOf('v128', vector),
    );
}
