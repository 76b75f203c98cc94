/** The nodes of a section of a fused expression as WGSL statements, one `let` each. */
import { type DType, type ExpressionNode, f32ToBf16, f32ToF16 } from '@mindseye/tensor-core';
import type { WgslFunctions } from '../wgsl/functions.js';
import type { Uniforms } from '../wgsl/uniforms.js';
import { scalarOf } from './scalars.js';

/** The word of a number in a tensor of a dtype, as a uniform. */
export const constantCode: Readonly<Record<DType, (uniforms: Uniforms, value: number) => string>> = {
  f32: (uniforms, value) => uniforms.f32(value),
  i32: (uniforms, value) => uniforms.i32(value),
  u32: (uniforms, value) => uniforms.u32(value),
  bool: (uniforms, value) => uniforms.u32(value === 0 ? 0 : 1),
  f16: (uniforms, value) => uniforms.u32(f32ToF16(value)),
  bf16: (uniforms, value) => uniforms.u32(f32ToBf16(value)),
};

export interface SectionCode {
  readonly statements: string;
  readonly functions: readonly WgslFunctions[];
}

export interface SectionSource {
  readonly nodes: readonly ExpressionNode[];
  readonly constants: readonly number[];
  readonly uniforms: Uniforms;
  /** Names of the values: node 3 of `map` is `map3`. */
  readonly prefix: string;
  /** The element of an operand at this place. */
  readonly load: (operand: number, dtype: DType) => string;
  /** The result of the reduction at this place, for epilogues. */
  readonly reduced?: string;
}

export function sectionCode({ nodes, constants, uniforms, prefix, load, reduced }: SectionSource): SectionCode {
  const functions: WgslFunctions[] = [];
  const valueOf = (node: ExpressionNode): string => {
    switch (node.kind) {
      case 'operand':
        return load(node.operand, node.dtype);
      case 'constant':
        return constantCode[node.dtype](uniforms, constants[node.constant]!);
      case 'reduced':
        return reduced!;
      case 'apply': {
        const scalar = scalarOf(node.op, nodes[node.inputs[0]!]!.dtype, node.attributes)!;
        if (scalar.functions) functions.push(scalar.functions);
        const [a = '', b = '', c = ''] = node.inputs.map((input) => `${prefix}${input}`);
        return scalar.code(a, b, c);
      }
    }
  };
  const statements = nodes.map((node, i) => `  let ${prefix}${i} = ${valueOf(node)};`).join('\n');
  return { statements, functions };
}

/** Whether every node of a section has code. */
export const hasCode = (nodes: readonly ExpressionNode[]): boolean =>
  nodes.every(
    (node) => node.kind !== 'apply' || scalarOf(node.op, nodes[node.inputs[0]!]!.dtype, node.attributes) !== undefined,
  );
