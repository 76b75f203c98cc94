/**
 * The vocabulary of the emitter: value types, expressions (code that leaves one value on the operand stack) and
 * statements (code that leaves none). Expressions carry their type in TypeScript, so that `f32x4.add(count, x)` with an
 * i32 count is a compile error rather than a validation error at run time.
 */

/** A WebAssembly number or vector type (specification, section 5.3.1). */
export type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** The byte that names each value type in the binary format. */
export const VALUE_TYPE_CODE: Readonly<Record<ValueType, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/**
 * Bytes of the binary format as a tree: an instruction holds the code of its operands as it is, without copying, and a
 * function flattens the whole once.
 */
export type Code = readonly (number | Code)[];

/** Code that leaves one value of type `T` on the operand stack. Immutable; using it twice emits it twice. */
export interface Expression<T extends ValueType = ValueType> {
  readonly type: T;
  readonly code: Code;
}

/** Code that leaves nothing on the operand stack, such as a store. */
export interface Statement {
  readonly type: 'void';
  readonly code: Code;
}

/** A parameter or local variable; as an expression it reads the variable. */
export interface Local<T extends ValueType = ValueType> extends Expression<T> {
  readonly index: number;
  readonly name: string;
}

/** What an instruction accepts: an expression, or a plain number standing for a scalar constant. */
export type Operand<T extends ValueType> = Expression<T> | (T extends 'v128' ? never : number);

/** Parameter names and types of a function, in order. */
export type Parameters = Readonly<Record<string, ValueType>>;

/** A function of the module: its index and signature. `result` is `'void'` when it returns nothing. */
export interface FunctionReference<R extends ValueType | 'void' = ValueType | 'void'> {
  readonly name: string;
  readonly index: number;
  readonly typeIndex: number;
  readonly parameters: readonly ValueType[];
  readonly result: R;
}

/** The label of an enclosing block, loop or if; only valid while that construct is being written. */
export interface Label {
  readonly depth: number;
}
