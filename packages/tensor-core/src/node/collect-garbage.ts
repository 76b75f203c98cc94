/**
 * A garbage collection now, with the finalizers that follow it: what a memory budget needs in Node.
 *
 * Node exposes its collector only behind a flag; the flag is switched on for one new context, so the process's own global
 * scope stays as it is.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Collects, then lets finalizers run. Takes some ten milliseconds: for budgets, not for loops. */
export async function collectGarbage(): Promise<void> {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  // Finalizers run in a task of their own, and may leave more to collect.
  for (let turn = 0; turn < 2; turn++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
