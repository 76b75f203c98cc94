/** Forward and gradient of fused ops against PyTorch in float32, through their loops and through primitives. */
import { describe, expect, it } from 'vitest';
import {
  type HostTensor,
  type Tensor,
  add,
  attention,
  cast,
  createReferenceDevice,
  div,
  equal,
  full,
  gelu,
  geluTanh,
  layerNorm,
  linear,
  logicalNot,
  mask,
  reshape,
  rmsNorm,
  rope,
  silu,
  slice,
  softmax,
  softmaxCrossEntropy,
  sum,
  swiglu,
  vectorJacobianProduct,
} from '../../src/index.js';
import { assertClose, readBack, toTensor } from '../../src/testing/index.js';
import { goldenTensors } from '../support/golden.js';

type Inputs = Readonly<Record<string, Tensor>>;

/** Each case of the golden in terms of this package, from the operands that PyTorch was given. */
const cases: Readonly<Record<string, (inputs: Inputs) => Tensor>> = {
  gelu: ({ x }) => gelu(x!),
  gelu_tanh: ({ x }) => geluTanh(x!),
  silu: ({ x }) => silu(x!),
  softmax: ({ x }) => softmax(x!),
  rms_norm: ({ x, weight }) => rmsNorm(x!, weight!, 1e-6),
  layer_norm: ({ x, weight, bias }) => layerNorm(x!, weight!, bias!, 1e-6),
  linear: ({ x, weight, bias }) => linear(x!, weight!, bias),
  swiglu: ({ gate, up }) => swiglu(gate!, up!),
  rope: ({ x, cos, sin }) => {
    const table = (full: Tensor): Tensor => reshape(slice(full, 1, 0, 4), [1, 5, 4]);
    return reshape(rope(reshape(x!, [1, ...x!.shape]), table(cos!), table(sin!)), x!.shape);
  },
  cross_entropy: ({ logits, labels }) => {
    const counted = cast(logicalNot(equal(labels!, -100)), 'f32');
    return div(sum(softmaxCrossEntropy(logits!, labels!)), sum(counted));
  },
  attention: ({ query, key, value, mask: allow }) =>
    attention(query!, key!, value!, { mask: mask.dense(reshape(allow!, [2, 4, 5])) }),
};

const constants = new Set(['mask', 'labels', 'cos', 'sin']);
const device = { loops: createReferenceDevice(), primitives: createReferenceDevice({ decomposeFused: true }) };

describe.each(Object.keys(device) as (keyof typeof device)[])('PyTorch goldens through %s', (kind) => {
  it('cover every case of the golden', async () => {
    const names = [...(await goldenTensors('operations')).keys()].map((key) => key.split('.')[0]);
    expect(new Set(names)).toEqual(new Set(Object.keys(cases)));
  });

  it.each(Object.keys(cases))('%s', async (name) => {
    const golden = await goldenTensors('operations');
    const of = (key: string): HostTensor => golden.get(`${name}.${key}`)!;
    const keys = [...golden.keys()]
      .filter((key) => key.startsWith(`${name}.`) && !key.includes('.grad.'))
      .map((key) => key.slice(name.length + 1));
    const operands = keys.filter((key) => key !== 'output' && key !== 'cotangent');
    const variables = operands.filter((key) => !constants.has(key));
    const inputs: Inputs = Object.fromEntries(operands.map((key) => [key, toTensor(of(key))]));
    const output = cases[name]!(inputs);
    const gradients = vectorJacobianProduct(
      [output],
      variables.map((key) => inputs[key]!),
      [add(toTensor(of('cotangent')), full([], 0))],
    );
    assertClose(await readBack(output, device[kind]), of('output'), `${name} output`, {
      absolute: 1e-6,
      relative: 1e-5,
    });
    for (const [i, key] of variables.entries())
      assertClose(await readBack(gradients[i]!, device[kind]), of(`grad.${key}`), `${name} gradient of ${key}`, {
        absolute: 2e-6,
        relative: 2e-5,
      });
  });
});
