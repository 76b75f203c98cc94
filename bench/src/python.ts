/**
 * Engines that only exist in Python. Which Python has them says the variable MINDSEYE_PYTHON; without it they are left out of
 * the benchmarks.
 */
import type { Json, SubjectSpec } from './process/subject.ts';
import { moduleOf } from './benchmark.ts';

export const PYTHON_VARIABLE = 'MINDSEYE_PYTHON';
export const pythonProgram = (): string | undefined => process.env[PYTHON_VARIABLE] || undefined;

/** A subject whose samples a script of `oracle/` takes, called with `options` as JSON. See `oracle/bench_protocol.py`. */
export const pythonSubject = (name: string, script: string, options: Json): SubjectSpec => ({
  name,
  module: moduleOf('python'),
  options: { script, options },
});
