/** The case of fused expressions: random ones, of every kind that a backend has to make code for. */
import { arbitraryExpression } from '../arbitrary-expression.js';
import { type OpCase, floatInputs } from './case.js';

const fusedExpression: OpCase = {
  invocations: (options) => arbitraryExpression(options),
  differentiable: floatInputs,
  // A few roundings in a row, and sums in another order.
  tolerance: { absolute: 1e-5, relative: 1e-4, ulps: 16, norm: 1e-5 },
};

export const expressionCases: Readonly<Record<string, OpCase>> = { fusedExpression };
