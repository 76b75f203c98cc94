/** Sizes of the matrix products C[m, n] = A[m, k] · B[k, n] that are compared, and their operands. */
import { checkElements, filled } from '../work.ts';

export interface MatmulShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const square = (size: number): MatmulShape => ({ m: size, k: size, n: size });

/** By name, m × k × n. The last two are bound by reading B, the others by arithmetic. */
export const matmulShapes = {
  '512³': square(512),
  '1024³': square(1024),
  '2048³': square(2048),
  'prompt 512×2048×2048': { m: 512, k: 2048, n: 2048 },
  'prompt 64×2048×2048': { m: 64, k: 2048, n: 2048 },
  'tiny MLP 640×96×256': { m: 640, k: 96, n: 256 },
  'token 1×2048×2048': { m: 1, k: 2048, n: 2048 },
  'token 1×2048×11008': { m: 1, k: 2048, n: 11_008 },
} as const satisfies Readonly<Record<string, MatmulShape>>;

export type MatmulShapeName = keyof typeof matmulShapes;
export const matmulShapeNames = Object.keys(matmulShapes) as MatmulShapeName[];

export const gigaflop = ({ m, n, k }: MatmulShape): number => (2 * m * n * k) / 1e9;

/** Values from -0.5 to 0.5, the same in every process. */
export function matrix(rows: number, columns: number, factor: number): Float32Array {
  return filled(rows * columns, (i) => ((i * factor) % 1009) / 1008 - 0.5);
}

export const operandA = ({ m, k }: MatmulShape): Float32Array => matrix(m, k, 7);
export const operandB = ({ n, k }: MatmulShape): Float32Array => matrix(k, n, 13);

/** Compares some elements of C, spread over it, with their exact values. */
export function checkProduct(name: MatmulShapeName, c: ArrayLike<number>): void {
  const { m, n, k } = matmulShapes[name];
  const [a, b] = [operandA({ m, n, k }), operandB({ m, n, k })];
  const exact = (index: number): number => {
    const [row, column] = [Math.floor(index / n), index % n];
    let sum = 0;
    for (let i = 0; i < k; i++) sum += a[row * k + i]! * b[i * n + column]!;
    return sum;
  };
  checkElements(name, c, exact, { size: m * n });
}
