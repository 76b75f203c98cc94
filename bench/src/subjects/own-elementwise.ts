/** Elementwise ops and norms through this project's compiled functions. */
import {
  type Tensor,
  add,
  geluTanh,
  layerNorm,
  mul,
  rmsNorm,
  sigmoid,
  softmax,
  swiglu,
  tensor,
  vectorJacobianProduct,
} from '@mindseye/tensor-core';
import { type EngineName, openEngine } from '../engines.ts';
import { compiledWork, stepNames } from '../own-work.ts';
import { filled } from '../work.ts';
import {
  type ElementwiseOpName,
  LAYER_EPSILON,
  RMS_EPSILON,
  SIZE,
  elementwiseOps,
  operandShapes,
} from './elementwise-ops.ts';
import type { PrepareOp } from './elementwise.ts';

type Compute = (...operands: Tensor[]) => Tensor;

const computations: Readonly<Record<ElementwiseOpName, Compute>> = {
  add: (x, y) => add(x!, y!),
  gelu: (x) => geluTanh(x!),
  swiglu: (x, y) => swiglu(x!, y!),
  'fused x·sigmoid(x) + y': (x, y) => add(mul(x!, sigmoid(x!)), y!),
  softmax: (x) => softmax(x!),
  rmsNorm: (x, w) => rmsNorm(x!, w!, RMS_EPSILON),
  layerNorm: (x, w, b) => layerNorm(x!, w!, b!, LAYER_EPSILON),
};

/** Its gradient is the cotangent itself: there is nothing to compute. */
const WITHOUT_BACKWARD: readonly ElementwiseOpName[] = ['add'];

export function ownElementwise(engine: EngineName): PrepareOp {
  const device = openEngine(engine);
  return async (op, values) => {
    const names = elementwiseOps[op].operands;
    const compute = computations[op];
    const operands = names.map((name) => tensor(values[name], operandShapes[name]));
    const output = operandShapes.x;
    const forward = await compiledWork(device, operands, [output], (given) => [compute(...given)]);
    if (WITHOUT_BACKWARD.includes(op)) return { forward, facts: { forward: stepNames(forward.plan) } };
    const cotangent = tensor(
      filled(SIZE, (i) => ((i * 23) % 61) / 60 - 0.5),
      output,
    );
    const shapes = [output, ...names.map((name) => operandShapes[name])];
    const both = await compiledWork(device, [...operands, cotangent], shapes, (given) => {
      const inputs = given.slice(0, -1);
      const result = compute(...inputs);
      return [result, ...vectorJacobianProduct([result], inputs, [given.at(-1)!])];
    });
    return { forward, both, facts: { forward: stepNames(forward.plan), both: stepNames(both.plan) } };
  };
}
