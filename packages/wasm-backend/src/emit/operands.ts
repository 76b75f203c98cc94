/**
 * Constants and the constructors with which the instruction tables are written: each takes an opcode and returns a typed
 * function that joins the code of its operands and the opcode.
 */
import { signedLeb128, unsignedLeb128 } from './leb128.js';
import type { Code, Expression, Operand, Statement, ValueType } from './types.js';

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

function bytesOf(view: ArrayBufferView): number[] {
  return [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
}

/** A scalar constant of the given type. */
export function constant<T extends 'i32' | 'f32' | 'f64'>(type: T, value: number): Expression<T> {
  const encode = {
    i32: () => [0x41, ...signedLeb128(value)],
    f32: () => [0x43, ...littleEndian(4, (view) => view.setFloat32(0, value, true))],
    f64: () => [0x44, ...littleEndian(8, (view) => view.setFloat64(0, value, true))],
  };
  return { type, code: encode[type]() };
}

/** The bytes that `write` puts into a fresh view of `size` bytes. */
export function littleEndian(size: number, write: (view: DataView) => void): number[] {
  const view = new DataView(new ArrayBuffer(size));
  write(view);
  return bytesOf(view);
}

/** An operand as code: a number becomes a constant of the expected type. */
export function codeOf<T extends ValueType>(type: T, operand: Operand<T>): Code {
  if (typeof operand !== 'number') return operand.code;
  if (type === 'v128') throw new TypeError('codeOf: a v128 operand must be an expression; splat the number first');
  return constant(type as 'i32' | 'f32' | 'f64', operand).code;
}

function expression<T extends ValueType>(type: T, ...code: Code): Expression<T> {
  return { type, code };
}

/** `[operand] -> [result]`. */
export function unary<I extends ValueType, O extends ValueType>(
  input: I,
  output: O,
  opcode: readonly number[],
): Unary<I, O> {
  return (operand) => expression(output, codeOf(input, operand), opcode);
}

/** `[left right] -> [result]`. */
export function binary<I extends ValueType, O extends ValueType>(
  input: I,
  output: O,
  opcode: readonly number[],
): Binary<I, O> {
  return (left, right) => expression(output, codeOf(input, left), codeOf(input, right), opcode);
}

/** `[first second third] -> [result]`. */
export function ternary<T extends ValueType>(type: T, opcode: readonly number[]): Ternary<T> {
  return (a, b, c) => expression(type, codeOf(type, a), codeOf(type, b), codeOf(type, c), opcode);
}

/** A vector instruction of one operand, by its SIMD opcode. */
export const vectorUnary = (opcode: number): Unary<'v128'> => unary('v128', 'v128', simd(opcode));
/** A vector instruction of two operands, by its SIMD opcode. */
export const vectorBinary = (opcode: number): Binary<'v128'> => binary('v128', 'v128', simd(opcode));

/** `[vector count] -> [vector]`. */
export function shift(opcode: readonly number[]): Shift {
  return (vector, count) => expression('v128', codeOf('v128', vector), codeOf('i32', count), opcode);
}

/** The alignment hint (as a power of two) and offset that follow every memory opcode. */
function memoryImmediate(alignment: number, offset: number): number[] {
  return [...unsignedLeb128(alignment), ...unsignedLeb128(offset)];
}

/** A load whose alignment hint is `2^alignment` bytes; the hint is never a requirement. */
export function load<T extends ValueType>(type: T, opcode: readonly number[], alignment: number): Load<T> {
  return (address, offset = 0) => expression(type, codeOf('i32', address), opcode, memoryImmediate(alignment, offset));
}

/** A store whose alignment hint is `2^alignment` bytes. */
export function store<T extends ValueType>(type: T, opcode: readonly number[], alignment: number): Store<T> {
  return (address, value, offset = 0) => ({
    type: 'void',
    code: [codeOf('i32', address), codeOf(type, value), opcode, memoryImmediate(alignment, offset)],
  });
}

function checkLane(lane: number, lanes: number): number {
  if (!Number.isInteger(lane) || lane < 0 || lane >= lanes)
    throw new RangeError(`lane ${lane} is not in [0, ${lanes})`);
  return lane;
}

/** Reads a lane of a vector of `lanes` lanes. */
export function extractLane<O extends ValueType>(type: O, opcode: readonly number[], lanes: number): ExtractLane<O> {
  return (vector, lane) => expression(type, codeOf('v128', vector), opcode, [checkLane(lane, lanes)]);
}

/** Replaces a lane of a vector of `lanes` lanes. */
export function replaceLane<I extends ValueType>(type: I, opcode: readonly number[], lanes: number): ReplaceLane<I> {
  return (vector, lane, value) =>
    expression('v128', codeOf('v128', vector), codeOf(type, value), opcode, [checkLane(lane, lanes)]);
}

/** Stores a lane of a vector of `lanes` lanes. */
export function storeLane(opcode: readonly number[], alignment: number, lanes: number): StoreLane {
  return (address, vector, lane, offset = 0) => ({
    type: 'void',
    code: [
      codeOf('i32', address),
      codeOf('v128', vector),
      opcode,
      memoryImmediate(alignment, offset),
      checkLane(lane, lanes),
    ],
  });
}
