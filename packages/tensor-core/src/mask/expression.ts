/**
 * The static half of a mask: the same tree with its tensors replaced by their places in an operand list.
 *
 * An attention node carries the expression as an attribute and the operands as inputs. `program.ts` says what an
 * expression means; predicates, tensors, tile maps and kernels are all made from that program.
 */
import type { Tensor } from '../tensor.js';
import type { Mask, RoleTable } from './mask.js';

export type MaskExpression =
  | { readonly kind: 'causal'; readonly offset: number | null }
  | { readonly kind: 'segments'; readonly query: number; readonly key: number }
  | { readonly kind: 'window'; readonly size: number; readonly offset: number | null }
  | { readonly kind: 'prefix'; readonly length: number }
  | { readonly kind: 'roles'; readonly query: number; readonly key: number; readonly table: RoleTable }
  | { readonly kind: 'dense'; readonly allow: number }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly MaskExpression[] }
  | { readonly kind: 'not'; readonly part: MaskExpression };

/** Splits a mask into its static expression and its operands; one tensor in several leaves is one operand. */
export function splitMask(mask: Mask): { readonly expression: MaskExpression; readonly operands: readonly Tensor[] } {
  const operands: Tensor[] = [];
  const place = (tensor: Tensor): number => {
    const known = operands.indexOf(tensor);
    return known >= 0 ? known : operands.push(tensor) - 1;
  };
  const placeOrNull = (tensor: Tensor | undefined): number | null => (tensor ? place(tensor) : null);
  const walk = (part: Mask): MaskExpression => {
    switch (part.kind) {
      case 'causal':
        return { kind: 'causal', offset: placeOrNull(part.offset) };
      case 'segments':
        return { kind: 'segments', query: place(part.query), key: place(part.key) };
      case 'window':
        return { kind: 'window', size: part.size, offset: placeOrNull(part.offset) };
      case 'prefix':
        return { kind: 'prefix', length: place(part.length) };
      case 'roles':
        return { kind: 'roles', query: place(part.query), key: place(part.key), table: part.table };
      case 'dense':
        return { kind: 'dense', allow: place(part.allow) };
      case 'not':
        return { kind: 'not', part: walk(part.part) };
      case 'and':
      case 'or':
        return { kind: part.kind, parts: part.parts.map(walk) };
    }
  };
  return { expression: walk(mask), operands };
}
