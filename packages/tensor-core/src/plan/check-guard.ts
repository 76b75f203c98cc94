/** Checking and running the steps of a plan with errors that say which step it was: for devices. */
import { withOrigin } from '../graph/origin.js';
import type { HostArray } from '../dtype.js';
import type { PlanGuard } from './lower.js';
import type { Plan } from './plan.js';

/**
 * Throws what the op throws when its operands hold what it cannot take, with the line that built it where that is known.
 *
 * @param read the elements of a value; asked for the operands that the guard looks at.
 */
export function checkGuard(plan: Plan, guard: PlanGuard, read: (value: number) => HostArray): void {
  const { op, inputs, attributes, origin } = guard;
  if (!op.guard) return;
  const data = op.guard.operands.map((operand) => read(inputs[operand]!));
  const specs = inputs.map((value) => plan.values[value]!);
  attributed(origin, () => op.guard!.check({ inputs: specs, data, attributes }));
}

/** The result of `run`, whose errors get the line that built the step. */
export function attributed<T>(origin: string | undefined, run: () => T): T {
  if (origin === undefined) return run();
  try {
    return run();
  } catch (error) {
    throw withOrigin(error, origin);
  }
}
