/** 32-bit variables by their names. */
import type { FunctionBuilder, Local } from '../../emit/index.js';

/** Declares i32 locals; each starts as 0 when the function is entered. */
export function wordLocals<Name extends string>(
  f: FunctionBuilder,
  ...names: readonly Name[]
): Readonly<Record<Name, Local<'i32'>>> {
  return Object.fromEntries(names.map((name) => [name, f.local('i32', name)])) as Record<Name, Local<'i32'>>;
}
