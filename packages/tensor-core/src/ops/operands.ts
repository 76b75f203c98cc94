/** How errors name operands: every one with its role, dtype and shape, then the cure. */
import { ShapeError } from '../errors.js';
import { formatShape } from '../shape.js';
import type { TensorSpec } from '../tensor.js';

/** Operands by the role they play in the op. */
export type NamedOperands = Readonly<Record<string, TensorSpec>>;

/** `f32[2, 3]`. */
export const formatSpec = ({ dtype, shape }: TensorSpec): string => `${dtype}${formatShape(shape)}`;

const joined = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)!}`;

/** `f32[2, 3] and i32[4]`. */
export const formatSpecs = (operands: readonly TensorSpec[]): string => joined(operands.map(formatSpec));

/** `x f32[2, 3] and weight f32[4]`. */
export const formatOperands = (operands: NamedOperands): string =>
  joined(Object.entries(operands).map(([role, spec]) => `${role} ${formatSpec(spec)}`));

/** The error of operands that do not go together. */
export const misfit = (op: string, operands: NamedOperands, cure: string): ShapeError =>
  new ShapeError(`${op}: ${formatOperands(operands)} do not fit; ${cure}`);

/** Throws unless all operands are f32, and names all of them: for fused ops of more than one operand. */
export function requireAllF32(op: string, operands: NamedOperands): void {
  if (Object.values(operands).some(({ dtype }) => dtype !== 'f32'))
    throw new ShapeError(`${op} computes in f32, got ${formatOperands(operands)}: cast the others first`);
}
