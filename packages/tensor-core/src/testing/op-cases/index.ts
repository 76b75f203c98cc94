/** A case for every op in `opTable`. A new op needs a row here: a test walks the table and names what is missing. */
import type { OpCase } from './case.js';
import { elementwiseCases } from './elementwise.js';
import { expressionCases } from './expression.js';
import { fusedCases } from './fused.js';
import { imageCases } from './image.js';
import { movementCases } from './movement.js';
import { quantizedCases } from './quantized.js';
import { samplingCases } from './sampling.js';

export const opCases: Readonly<Record<string, OpCase>> = {
  ...elementwiseCases,
  ...movementCases,
  ...imageCases,
  ...samplingCases,
  ...fusedCases,
  ...expressionCases,
  ...quantizedCases,
};
