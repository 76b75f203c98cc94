/** Matrix products as tests describe them: operands with padded rows in an arena, and the simple loop. */
import fc from 'fast-check';
import type { MatmulArguments, Tier } from '../../src/kernels/index.js';
import { type Arena, multiplyAddOf, size, valueSeed, values } from './support.js';

export interface ProductCase {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly accumulate: boolean;
  /** Elements between the rows of every matrix. */
  readonly padding: number;
  readonly seed: number;
  /** Values of a few elements of A and B, such as NaN. */
  readonly specials: readonly number[];
}

/** Products of up to `most` rows, columns and depth. */
export const productCase = (most: number): fc.Arbitrary<ProductCase> =>
  fc.record({
    m: size(most),
    n: size(most),
    k: size(most),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    accumulate: fc.boolean(),
    padding: fc.constantFrom(0, 0, 1, 3),
    seed: valueSeed,
    specials: fc.constant([]),
  });

export interface Operands {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly c: Float32Array;
  readonly rowStrideA: number;
  readonly rowStrideB: number;
  readonly rowStrideC: number;
}

/** The matrices of a case; those of a batch follow one another. */
export function operandsOf(
  test: ProductCase,
  { scale = 1, batch = 1 }: { readonly scale?: number; readonly batch?: number } = {},
): Operands {
  const { m, n, k, transposeA, transposeB, padding, seed, specials } = test;
  const [rowsA, columnsA] = transposeA ? [k, m] : [m, k];
  const [rowsB, columnsB] = transposeB ? [n, k] : [k, n];
  const strides = { rowStrideA: columnsA + padding, rowStrideB: columnsB + padding, rowStrideC: n + padding };
  const a = values(seed, batch * rowsA * strides.rowStrideA, scale);
  const b = values(seed + 1, batch * rowsB * strides.rowStrideB, scale);
  specials.forEach((value, i) => {
    const into = i % 2 === 0 ? a : b;
    if (into.length > 0) into[(seed + 7919 * i) % into.length] = value;
  });
  return { a, b, c: values(seed + 2, batch * m * strides.rowStrideC), ...strides };
}

/** Places operands and scratch in an arena; what `matmul` takes. */
export function placed(arena: Arena, test: ProductCase, operands: Operands, batch = 1): MatmulArguments {
  const { m, n, k, transposeA, transposeB, accumulate } = test;
  const { rowStrideA, rowStrideB, rowStrideC } = operands;
  arena.reset();
  const [a, b, c] = [arena.f32(operands.a), arena.f32(operands.b), arena.f32(operands.c)];
  const scratch = arena.bytes(arena.kernels.matmulScratchBytes(m, n, k, { batch, transposeA }));
  const strides = { rowStrideA, rowStrideB, rowStrideC };
  return { a, b, c, m, n, k, transposeA, transposeB, accumulate, scratch, ...strides };
}

/** The simple loop in the tier's own rounding, in the order of k. */
export function simpleLoop(tier: Tier, test: ProductCase, operands: Operands): Float32Array {
  const { m, n, k, transposeA, transposeB, accumulate } = test;
  const { a, b, c, rowStrideA, rowStrideB, rowStrideC } = operands;
  const multiplyAdd = multiplyAddOf(tier);
  const expected = c.slice();
  for (let i = 0; i < m; i += 1) {
    for (let j = 0; j < n; j += 1) {
      let sum = accumulate ? (c[i * rowStrideC + j] as number) : 0;
      for (let p = 0; p < k; p += 1) {
        const x = a[transposeA ? p * rowStrideA + i : i * rowStrideA + p] as number;
        const y = b[transposeB ? j * rowStrideB + p : p * rowStrideB + j] as number;
        sum = multiplyAdd(x, y, sum);
      }
      expected[i * rowStrideC + j] = sum;
    }
  }
  return expected;
}
