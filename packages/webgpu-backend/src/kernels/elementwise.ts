/**
 * Ops on single elements, y[i] = f(a[i'], b[i''], …) over broadcast operands; the fused expressions that such ops and
 * reductions become; and the two ops that only write, `full` and `iota`.
 */
import { type DType, type FusedExpression, sizeOf } from '@mindseye/tensor-core';
import { canGenerate, expressionDispatch, singleExpression } from '../generate/expression.js';
import { constantCode } from '../generate/nodes.js';
import { scalarNames, scalarOf } from '../generate/scalars.js';
import { output } from '../wgsl/dispatch.js';
import { mapDispatch } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import type { Kernel } from './kernel.js';

const single = (name: string): Kernel => ({
  accepts: ([a], attributes) => scalarOf(name, a!.dtype, attributes) !== undefined,
  lower({ inputs, outputs, attributes, overwritten = [] }) {
    const expression = singleExpression(inputs, outputs[0]!, name, attributes);
    return [expressionDispatch({ name, expression, inputs, outputs, overwritten })];
  },
  inPlace: true,
});

const fusedExpression: Kernel<FusedExpression> = {
  accepts: (inputs, expression, storageBuffers) => canGenerate(expression, inputs, storageBuffers),
  lower: ({ inputs, outputs, attributes: expression, overwritten = [] }) => [
    expressionDispatch({ name: 'fusedExpression', expression, inputs, outputs, overwritten }),
  ],
  inPlace: true,
};

const full: Kernel<{ readonly value: number; readonly dtype: DType }> = {
  accepts: () => true,
  lower({ outputs: [y], attributes: { value, dtype } }) {
    const uniforms = new Uniforms();
    const code = constantCode[dtype](uniforms, value);
    return [
      mapDispatch({
        name: 'full',
        operands: [],
        results: [{ name: 'y', dtype, from: output(), value: 'word' }],
        uniforms,
        count: sizeOf(y!.shape),
        body: `  let word = ${code};`,
      }),
    ];
  },
};

const iota: Kernel<{ readonly dtype: DType }> = {
  accepts: (_inputs, { dtype }) => dtype === 'f32' || dtype === 'i32' || dtype === 'u32',
  lower: ({ outputs: [y], attributes: { dtype } }) => [
    mapDispatch({
      name: 'iota',
      operands: [],
      results: [{ name: 'y', dtype, from: output(), value: `${dtype}(i)` }],
      uniforms: new Uniforms(),
      count: sizeOf(y!.shape),
      body: '',
    }),
  ],
};

export const elementwiseKernels: Readonly<Record<string, Kernel>> = {
  ...Object.fromEntries(scalarNames.map((name) => [name, single(name)])),
  fusedExpression: fusedExpression as Kernel,
  full: full as Kernel,
  iota: iota as Kernel,
};
