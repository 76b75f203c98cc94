/** Sizes of the matrix products C[m, n] = A[m, k] · B[k, n] that are compared, and their operands. */
export interface MatmulShape {
  readonly name: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export const matmulShapes: readonly MatmulShape[] = [
  { name: '256³', m: 256, n: 256, k: 256 },
  { name: '512³', m: 512, n: 512, k: 512 },
  { name: 'tiny MLP 640×256×96', m: 640, n: 256, k: 96 },
  { name: '3B projection 64×2048×2048', m: 64, n: 2048, k: 2048 },
  { name: '3B decoding 1×2048×2048', m: 1, n: 2048, k: 2048 },
];

export const gigaflop = ({ m, n, k }: MatmulShape): number => (2 * m * n * k) / 1e9;

/** Values from -0.5 to 0.5, the same in every process. */
export function matrix(rows: number, columns: number, factor: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => ((i * factor) % 1009) / 1008 - 0.5);
}

export const operandA = ({ m, k }: MatmulShape): Float32Array => matrix(m, k, 7);
export const operandB = ({ n, k }: MatmulShape): Float32Array => matrix(k, n, 13);

/** The exact value of some elements of C, spread over it. */
export function checkProduct({ m, n, k, name }: MatmulShape, c: ArrayLike<number>): void {
  const [a, b] = [operandA({ m, n, k, name }), operandB({ m, n, k, name })];
  for (const place of [0, 0.37, 0.71, 0.999]) {
    const [row, column] = [Math.floor(place * m), Math.floor(place * n)];
    let expected = 0;
    for (let i = 0; i < k; i++) expected += a[row * k + i]! * b[i * n + column]!;
    const actual = c[row * n + column]!;
    if (!(Math.abs(actual - expected) <= 1e-3 * Math.max(1, Math.abs(expected)))) {
      throw new Error(`${name}: element [${row}, ${column}] is ${actual}, it should be ${expected}`);
    }
  }
}
