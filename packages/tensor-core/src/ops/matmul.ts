import { ShapeError } from '../errors.js';
import { type Op, applyOne } from '../op.js';
import { formatShape, sameShape, sizeOf } from '../shape.js';
import type { Tensor, TensorSpec } from '../tensor.js';
import { add } from './add.js';
import { broadcastTo } from './broadcast-to.js';
import { concat } from './concat.js';
import { formatSpecs } from './operands.js';
import { reshape } from './reshape.js';
import { slice } from './slice.js';

export interface MatmulAttributes {
  /** Read the last two axes of the operand swapped. */
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

export interface MatmulSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Sizes of one matmul application, or a ShapeError that names both operands. Kernels of every device use it. */
export function matmulSizes(a: TensorSpec, b: TensorSpec, { transposeA, transposeB }: MatmulAttributes): MatmulSizes {
  const describe = (spec: TensorSpec, transposed: boolean): string =>
    `${spec.dtype}${formatShape(spec.shape)}${transposed ? ' transposed' : ''}`;
  const operands = `${describe(a, transposeA)} and ${describe(b, transposeB)}`;
  if (a.dtype !== 'f32' || b.dtype !== 'f32')
    throw new ShapeError(`matmul multiplies f32 tensors, got ${operands}: cast them first`);
  if (a.shape.length < 2 || !sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) {
    throw new ShapeError(`matmul: ${operands} need two axes each and the same batch axes before them`);
  }
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [inner, n] = transposeB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  if (k !== inner) throw new ShapeError(`matmul: ${operands} do not meet (${k} against ${inner})`);
  return { batch: sizeOf(a.shape.slice(0, -2)), m, n, k };
}

/** C[…, m, n] = Σ_k A[…, m, k] · B[…, k, n], each operand optionally transposed; accumulated in 64 bits. */
export const matmulOp: Op<MatmulAttributes> = {
  name: 'matmul',
  infer([a, b], attributes) {
    const { m, n } = matmulSizes(a!, b!, attributes);
    return [{ shape: [...a!.shape.slice(0, -2), m, n], dtype: 'f32' }];
  },
  reference({ inputs: [a, b], outputs: [y], attributes }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const [left, right, to] = [a!.data, b!.data, y!.data];
    const [aRow, aStep] = attributes.transposeA ? [1, m] : [k, 1];
    const [bColumn, bStep] = attributes.transposeB ? [k, 1] : [1, n];
    for (let z = 0; z < batch; z++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let total = 0;
          let p = z * m * k + i * aRow;
          let q = z * k * n + j * bColumn;
          for (let step = 0; step < k; step++, p += aStep, q += bStep) total += left[p]! * right[q]!;
          to[(z * m + i) * n + j] = total;
        }
      }
    }
  },
  flops([a, b], _outputs, attributes) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    return 2 * batch * m * n * k;
  },
  vjp({ inputs: [a, b], cotangents: [dy], attributes: { transposeA, transposeB } }) {
    // With A' and B' the operands as read: dA' = dY·B'ᵀ and dB' = A'ᵀ·dY; a transposed operand wants its gradient transposed.
    const da = transposeA ? multiply(b!, dy!, transposeB, true) : multiply(dy!, b!, false, !transposeB);
    const db = transposeB ? multiply(dy!, a!, true, transposeA) : multiply(a!, dy!, !transposeA, false);
    return [da, db];
  },
  splitRows: ([a, b], { transposeA, transposeB }, input, boundaries) => {
    if (a!.rank !== 2 || b!.rank !== 2)
      throw new ShapeError(
        `matmul: ${formatSpecs([a!, b!])}: only a plain matrix can be read in parts, reshape the operands to two axes`,
      );
    const cuts = boundaries.slice(1).map((end, i) => [boundaries[i]!, end] as const);
    // Rows of the result come from rows (or transposed rows) of one operand alone; else each part adds to the sum over k.
    const isSum = input === 0 ? transposeA : !transposeB;
    const parts = cuts.map(([from, to]) => {
      const rows = (x: Tensor): Tensor => slice(x, 0, from, to);
      const along = (x: Tensor, transposed: boolean): Tensor => slice(x, transposed ? 0 : 1, from, to);
      if (input === 0) return multiply(rows(a!), isSum ? along(b!, !transposeB) : b!, transposeA, transposeB);
      return multiply(isSum ? along(a!, transposeA) : a!, rows(b!), transposeA, transposeB);
    });
    return [isSum ? parts.reduce(add) : concat(parts, input)];
  },
};

const multiply = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor =>
  applyOne(matmulOp, [a, b], { transposeA, transposeB });

/**
 * Matrix product over the last two axes (torch.matmul for ranks of at least 2).
 *
 * Batch axes are equal, or one operand is a plain matrix: on the right it multiplies every row, on the left it is repeated.
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false }: Partial<MatmulAttributes> = {},
): Tensor {
  if (b.rank === 2 && a.rank > 2 && !transposeA) {
    const rows = a.shape.slice(0, -1);
    const flat = multiply(reshape(a, [sizeOf(rows), a.shape.at(-1)!]), b, false, transposeB);
    return reshape(flat, [...rows, flat.shape[1]!]);
  }
  const batch = a.rank >= b.rank ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  const lift = (x: Tensor): Tensor => (x.rank === 2 ? broadcastTo(x, [...batch, ...x.shape]) : x);
  return multiply(lift(a), lift(b), transposeA, transposeB);
}
