/**
 * Elementwise ops: y[i] = f(a[i'], b[i''], …) over broadcast operands, one invocation per element.
 *
 * The shader is generated from an expression. Sizes and strides are uniforms, so that a shader is shared by all shapes
 * that collapse to as many axes.
 */
import type { DType, TensorSpec } from '@mindseye/tensor-core';
import { f32ToBf16, f32ToF16, sizeOf } from '@mindseye/tensor-core';
import { type WgslScalar, wgslTypeOf } from '../element.js';
import { type Dispatch, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { halfCodes } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { broadcastStrides, offsetCode } from '../wgsl/view.js';
import { type Expression, decoded, encoded, expressions } from './expressions.js';
import type { Kernel, KernelCall } from './kernel.js';

const operandNames = ['a', 'b', 'c'] as const;

interface ElementwiseDefinition {
  readonly name: string;
  readonly expression: Expression;
  readonly call: Pick<KernelCall, 'inputs' | 'outputs'>;
  /** WGSL types of the operands and the result, where bits are moved and not computed with. */
  readonly types?: readonly WgslScalar[];
  readonly resultType?: WgslScalar;
  readonly uniforms?: Uniforms;
}

function elementwise(definition: ElementwiseDefinition): readonly Dispatch[] {
  const { name, expression, call, uniforms = new Uniforms() } = definition;
  const [result] = call.outputs as readonly [TensorSpec];
  const types = definition.types ?? call.inputs.map(({ dtype }) => wgslTypeOf(dtype));
  const names = operandNames.slice(0, call.inputs.length);
  const view = {
    shape: result.shape,
    strides: call.inputs.map(({ shape }) => broadcastStrides(shape, result.shape)),
  };
  const places = names.map((operand) => `${operand}At`);
  return [
    elementDispatch({
      name,
      operands: [
        ...names.map((operand, i) => ({ name: `${operand}Data`, type: types[i]!, from: input(i) })),
        { name: 'y', type: definition.resultType ?? wgslTypeOf(result.dtype), from: output() },
      ],
      uniforms,
      declarations: expression.functions ? [expression.functions] : [],
      count: sizeOf(result.shape),
      body: `${names.length > 0 ? offsetCode(uniforms, 'i', view, places) : ''}
${names.map((operand) => `  let ${operand} = ${operand}Data[${operand}At];`).join('\n')}
  y[i] = ${expression.code};`,
    }),
  ];
}

const fromTable = (name: string): Kernel => ({
  accepts: ([a]) => expressions[name]![a!.dtype] !== undefined,
  lower: (call) => elementwise({ name, expression: expressions[name]![call.inputs[0]!.dtype]!, call }),
});

const cast: Kernel<{ readonly dtype: DType }> = {
  accepts: () => true,
  lower({ inputs, outputs, attributes: { dtype } }) {
    const from = inputs[0]!.dtype;
    const { code, type } = decoded[from];
    const halves = [from, dtype].some((one) => one === 'f16' || one === 'bf16');
    const expression = { code: encoded[dtype](code, type), ...(halves && { functions: halfCodes }) };
    return elementwise({ name: `cast ${from} to ${dtype}`, expression, call: { inputs, outputs } });
  },
};

/** Moves words, whatever they stand for. */
const select: Kernel = {
  accepts: () => true,
  lower: (call) =>
    elementwise({
      name: 'select',
      expression: { code: 'select(c, b, a != 0u)' },
      call,
      types: ['u32', 'u32', 'u32'],
      resultType: 'u32',
    }),
};

const shiftRight: Kernel<{ readonly bits: number }> = {
  accepts: ([x]) => x!.dtype === 'u32',
  lower({ inputs, outputs, attributes: { bits } }) {
    const uniforms = new Uniforms();
    const expression = { code: `a >> ${uniforms.u32(bits)}` };
    return elementwise({ name: 'shiftRight', expression, call: { inputs, outputs }, uniforms });
  },
};

/** The word of `value` in a tensor of `dtype`. */
const wordOf: Readonly<Record<DType, (value: number, uniforms: Uniforms) => string>> = {
  f32: (value, uniforms) => uniforms.f32(value),
  i32: (value, uniforms) => uniforms.i32(value),
  u32: (value, uniforms) => uniforms.u32(value),
  bool: (value, uniforms) => uniforms.u32(value === 0 ? 0 : 1),
  f16: (value, uniforms) => uniforms.u32(f32ToF16(value)),
  bf16: (value, uniforms) => uniforms.u32(f32ToBf16(value)),
};

const full: Kernel<{ readonly value: number; readonly dtype: DType }> = {
  accepts: () => true,
  lower({ outputs, attributes: { value, dtype } }) {
    const uniforms = new Uniforms();
    const expression = { code: wordOf[dtype](value, uniforms) };
    return elementwise({ name: 'full', expression, call: { inputs: [], outputs }, uniforms });
  },
};

const iota: Kernel<{ readonly dtype: DType }> = {
  accepts: (_inputs, { dtype }) => dtype === 'f32' || dtype === 'i32' || dtype === 'u32',
  lower: ({ outputs, attributes: { dtype } }) =>
    elementwise({ name: 'iota', expression: { code: `${dtype}(i)` }, call: { inputs: [], outputs } }),
};

export const elementwiseKernels: Readonly<Record<string, Kernel>> = {
  ...Object.fromEntries(Object.keys(expressions).map((name) => [name, fromTable(name)])),
  cast: cast as Kernel,
  select,
  shiftRight: shiftRight as Kernel,
  full: full as Kernel,
  iota: iota as Kernel,
};
