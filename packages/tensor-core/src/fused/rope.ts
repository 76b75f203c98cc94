/**
 * Rotary position embedding in the rotate-half convention (Su et al. 2021; the layout of Llama and Qwen).
 *
 * x [B, H, S, D], cos and sin [B or 1, S, D/2]. With x₁, x₂ the halves of the last axis:
 *   y₁ = x₁∘cos − x₂∘sin,   y₂ = x₂∘cos + x₁∘sin.
 * A rotation, so the gradient is the rotation by the opposite angle. The tables are data and have no gradient.
 */
import { type Op, applyOne } from '../op.js';
import { add } from '../ops/add.js';
import { concat } from '../ops/concat.js';
import type { NoAttributes } from '../ops/elementwise.js';
import { mul } from '../ops/mul.js';
import { neg } from '../ops/neg.js';
import { misfit, requireAllF32 } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { sub } from '../ops/sub.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';

export const ropeOp: Op<NoAttributes> = {
  name: 'rope',
  infer([x, cos, sin]) {
    const operands = { x: x!, cos: cos!, sin: sin! };
    const [batch, , length, width] = x!.shape;
    const [tables, rows, half] = cos!.shape;
    const fits =
      x!.shape.length === 4 &&
      sameShape(cos!.shape, sin!.shape) &&
      (tables === batch || tables === 1) &&
      rows === length &&
      half === width! / 2;
    if (!fits)
      throw misfit(
        'rope',
        operands,
        'x is [batch, heads, length, width], the tables are [batch or 1, length, width / 2]',
      );
    requireAllF32('rope', operands);
    return [x!];
  },
  decompose([x, cos, sin]) {
    const half = x!.shape[3]! / 2;
    const [first, second] = [slice(x!, 3, 0, half), slice(x!, 3, half)];
    const perHead = (table: Tensor): Tensor => reshape(table, [table.shape[0]!, 1, table.shape[1]!, half]);
    const [c, s] = [perHead(cos!), perHead(sin!)];
    return [concat([sub(mul(first, c), mul(second, s)), add(mul(second, c), mul(first, s))], 3)];
  },
  reference({ inputs: [x, cos, sin], outputs: [y] }) {
    const [batch, heads, length, width] = x!.shape as [number, number, number, number];
    const half = width / 2;
    const [from, to, c, s] = [x!.data, y!.data, cos!.data, sin!.data];
    const tableStride = cos!.shape[0] === 1 ? 0 : length * half;
    for (let row = 0; row < batch * heads * length; row++) {
      const table = Math.floor(row / (heads * length)) * tableStride + (row % length) * half;
      const at = row * width;
      for (let i = 0; i < half; i++) {
        const [x1, x2] = [from[at + i]!, from[at + half + i]!];
        to[at + i] = x1 * c[table + i]! - x2 * s[table + i]!;
        to[at + half + i] = x2 * c[table + i]! + x1 * s[table + i]!;
      }
    }
  },
  // Both halves of a pair are read before either is written.
  overwrites: () => [{ output: 0, input: 0 }],
  flops: ([x]) => 3 * sizeOf(x!.shape),
  vjp: ({ inputs: [, cos, sin], cotangents: [dy] }) => [rope(dy!, cos!, neg(sin!)), undefined, undefined],
};

export const rope = (x: Tensor, cos: Tensor, sin: Tensor): Tensor => applyOne(ropeOp, [x, cos, sin], {});
