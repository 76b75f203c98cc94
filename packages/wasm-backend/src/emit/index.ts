/** A small typed assembler for WebAssembly modules: the code of every kernel is written through it at run time. */
export { FunctionBuilder } from './function-builder.js';
export type { LoopRange } from './function-builder.js';
export { signedLeb128, unsignedLeb128 } from './leb128.js';
export { ModuleBuilder } from './module-builder.js';
export type { FunctionSignature, ParameterLocals } from './module-builder.js';
export { f32, f64, i32, memory, select } from './scalar-instructions.js';
export type {
  Expression,
  FunctionReference,
  Label,
  Local,
  Operand,
  Parameters,
  Statement,
  ValueType,
} from './types.js';
export { f32x4, f64x2 } from './float-vector-instructions.js';
export { i16x8, i32x4, i64x2, i8x16, v128 } from './vector-instructions.js';
