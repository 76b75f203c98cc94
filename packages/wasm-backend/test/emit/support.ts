/** Builds one-function modules and runs them. */
import { ModuleBuilder } from '../../src/emit/index.js';
import type { FunctionBuilder, ParameterLocals, Parameters, ValueType } from '../../src/emit/index.js';

/** An instantiated one-function module. */
export interface Runnable {
  readonly run: (...values: number[]) => number;
  readonly memory: WebAssembly.Memory;
}

/** Instantiates a finished module on a memory of one page. */
export function instantiate(module: ModuleBuilder): {
  exports: Record<string, (...values: number[]) => number>;
  memory: WebAssembly.Memory;
} {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { env: { memory } });
  return { exports: instance.exports as Record<string, (...values: number[]) => number>, memory };
}

/** A module with one exported function `run`. */
export function build<P extends Parameters, R extends ValueType | 'void'>(
  parameters: P,
  result: R,
  write: (f: FunctionBuilder, p: ParameterLocals<P>) => void,
): Runnable {
  const module = new ModuleBuilder();
  module.function({ name: 'run', parameters, result, exported: true }, write);
  const { exports, memory } = instantiate(module);
  return { run: exports['run'] as Runnable['run'], memory };
}
