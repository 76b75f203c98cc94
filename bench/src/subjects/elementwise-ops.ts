/**
 * The elementwise ops and norms that are compared, on x and y [1024, 4096], with a weight and a bias [4096] where the op has
 * them: what each has to be, and how many large arrays its forward pass reads and writes.
 */
import { filled } from '../work.ts';

export const ROWS = 1024;
export const COLUMNS = 4096;
export const SIZE = ROWS * COLUMNS;
export const ARRAY_BYTES = 4 * SIZE;
export const RMS_EPSILON = 1e-6;
export const LAYER_EPSILON = 1e-5;

/** Large inputs are x and y; `w` and `b` are vectors of a row's length. */
export type OperandName = 'x' | 'y' | 'w' | 'b';

export interface ElementwiseOp {
  readonly operands: readonly OperandName[];
  /** Arrays of `SIZE` elements read and written. */
  readonly arrays: number;
  /** The exact value at an index. */
  readonly exact: (values: OperandValues, index: number) => number;
}

export type OperandValues = Readonly<Record<OperandName, Float32Array>>;

export const operandShapes: Readonly<Record<OperandName, readonly number[]>> = {
  x: [ROWS, COLUMNS],
  y: [ROWS, COLUMNS],
  w: [COLUMNS],
  b: [COLUMNS],
};

/** From -4 to 4, the same in every process. */
export function operandValues(): OperandValues {
  const values = (size: number, factor: number): Float32Array =>
    filled(size, (i) => (((i * factor) % 8191) / 8190) * 8 - 4);
  return { x: values(SIZE, 7), y: values(SIZE, 13), w: values(COLUMNS, 17), b: values(COLUMNS, 19) };
}

const rowOf = (values: Float32Array, index: number): Float32Array => {
  const start = index - (index % COLUMNS);
  return values.subarray(start, start + COLUMNS);
};
const meanOf = (values: ArrayLike<number>, of: (value: number) => number): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i]!);
  return sum / values.length;
};
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const GELU_TANH = { scale: Math.sqrt(2 / Math.PI), cubic: 0.044715 } as const;

export const elementwiseOps = {
  add: { operands: ['x', 'y'], arrays: 3, exact: ({ x, y }, i) => x[i]! + y[i]! },
  gelu: {
    operands: ['x'],
    arrays: 2,
    exact: ({ x }, i) => {
      const at = x[i]!;
      return 0.5 * at * (1 + Math.tanh(GELU_TANH.scale * (at + GELU_TANH.cubic * at ** 3)));
    },
  },
  swiglu: { operands: ['x', 'y'], arrays: 3, exact: ({ x, y }, i) => x[i]! * sigmoid(x[i]!) * y[i]! },
  'fused x·sigmoid(x) + y': {
    operands: ['x', 'y'],
    arrays: 3,
    exact: ({ x, y }, i) => x[i]! * sigmoid(x[i]!) + y[i]!,
  },
  softmax: {
    operands: ['x'],
    arrays: 2,
    exact: ({ x }, i) => Math.exp(x[i]!) / (COLUMNS * meanOf(rowOf(x, i), Math.exp)),
  },
  rmsNorm: {
    operands: ['x', 'w'],
    arrays: 2,
    exact: ({ x, w }, i) => (x[i]! / Math.sqrt(meanOf(rowOf(x, i), (at) => at * at) + RMS_EPSILON)) * w[i % COLUMNS]!,
  },
  layerNorm: {
    operands: ['x', 'w', 'b'],
    arrays: 2,
    exact: ({ x, w, b }, i) => {
      const row = rowOf(x, i);
      const mean = meanOf(row, (at) => at);
      const variance = meanOf(row, (at) => (at - mean) ** 2);
      return ((x[i]! - mean) / Math.sqrt(variance + LAYER_EPSILON)) * w[i % COLUMNS]! + b[i % COLUMNS]!;
    },
  },
} as const satisfies Readonly<Record<string, ElementwiseOp>>;

export type ElementwiseOpName = keyof typeof elementwiseOps;
export const elementwiseOpNames = Object.keys(elementwiseOps) as ElementwiseOpName[];

/** Names of the metrics of an op. */
export const passes = {
  forward: (op: string): string => `${op}: forward`,
  both: (op: string): string => `${op}: forward and backward`,
  backward: (op: string): string => `${op}: backward`,
} as const;
