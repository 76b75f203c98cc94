/**
 * What the self-test computes: for each family a few small calls that reach whole tiles, their remainders, and vectors alone.
 *
 * Every case reads the same inputs and writes fresh bytes, so two memories can be compared after each. No result is a NaN:
 * which of two NaN bits comes out is not fixed by WebAssembly.
 */
import type { TensorSpec } from '@mindseye/tensor-core';
import { createExpressions } from '../expressions/expressions.js';
import { QUANTIZED_RUN, fixedBytes } from './matmul/quantized-row-products.js';
import type { AttentionArguments } from './attention.js';
import type { ModuleName } from './engine.js';
import { F32_BYTES } from './host.js';
import { SELF_TEST_COLUMNS, SELF_TEST_EXPRESSION, SELF_TEST_ROWS } from './self-test-expression.js';
import type { Workspace } from './self-test-workspace.js';

export interface SelfTestCase {
  readonly name: string;
  /** What it says something about. */
  readonly families: readonly ModuleName[];
  run(workspace: Workspace): void;
}

/** Rows, columns and depths that leave remainders of every tile, and some that are whole tiles. */
const PRODUCTS = [
  [1, 5, 3],
  [6, 16, 24],
  [7, 17, 33],
  [13, 37, 20],
  [24, 48, 16],
] as const;

/** Rows beyond those that each thread packs for itself. */
const SHARED_PANELS = [187, 21, 9] as const;

const matmul: SelfTestCase = {
  name: 'matmul',
  families: ['matmul'],
  run(w) {
    for (const [m, n, k] of PRODUCTS)
      for (const transposeA of [false, true])
        for (const transposeB of [false, true]) {
          const scratch = w.scratch(w.kernels.matmulScratchBytes(m, n, k));
          const c = w.copy(7, m * n);
          const sizes = { m, n, k, transposeA, transposeB, accumulate: transposeA };
          w.kernels.matmul({ a: w.at(1), b: w.at(1000), c, scratch, ...sizes });
        }
    for (const [m, n, k] of [...PRODUCTS, SHARED_PANELS]) {
      const scratchBytes = w.kernels.matmulScratchBytes(m, n, k);
      const scratch = w.scratch(scratchBytes + w.kernels.packedWeightBytes(n, k));
      const packed = scratch + scratchBytes;
      w.kernels.packWeight({ b: w.at(1000), n, k, transposeB: true }, packed);
      const epilogue = { bias: w.at(40), activation: 'gelu', residual: w.at(80) } as const;
      w.kernels.matmul({ a: w.at(1), b: 0, c: w.room(m * n), m, n, k, scratch, packed, ...epilogue });
    }
  },
};

/** Counts of elements: single ones, vectors, unrolled rounds, and remainders of each. */
const COUNTS = [3, 64, 77] as const;

const UNARY = ['neg', 'sqrt', 'exp', 'sigmoid', 'tanh', 'silu', 'gelu'] as const;
const BINARY = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'swiglu', 'geluBackward'] as const;

/** Widths of quantised codes, and the code of 0. */
const CODES = [
  [4, 8],
  [8, 128],
] as const;

const [rows, columns] = [SELF_TEST_ROWS, SELF_TEST_COLUMNS];

/** Attention of one head; what its backward direction takes too. */
function attend(w: Workspace): AttentionArguments {
  const [queries, keys, width] = [21, 40, 24];
  const sizes = { queries, keys, width };
  const scratch = w.scratch(w.kernels.attentionScratchBytes(sizes));
  const [y, lse] = [w.room(queries * width), w.room(queries)];
  const operands = { q: w.at(1), k: w.at(700), v: w.at(1900), y, lse, scale: 0.2, scratch, ...sizes };
  w.kernels.attention(operands);
  return operands;
}

export const SELF_TEST_CASES: readonly SelfTestCase[] = [
  matmul,
  {
    name: 'rowProducts',
    families: ['rowProducts'],
    run(w) {
      for (const storage of ['f32', 'f16', 'bf16'] as const)
        for (const m of [1, 2, 4]) {
          const [n, k] = [41, 71];
          // Any 16 bits below 0x7c00 are a finite number in both halves.
          const b = w.integers(
            Array.from({ length: n * k }, (_, i) => (Math.imul(i, 0x0123_4567) >>> 1) & 0x3bff_3bff),
          );
          w.kernels.rowProducts({ a: w.at(3), b, c: w.room(m * n), m, n, k, storage });
        }
    },
  },
  {
    name: 'elementwise',
    families: ['elementwise', 'activation'],
    run(w) {
      for (const count of COUNTS) {
        for (const name of UNARY) w.kernels[name](w.room(count), w.positive(5, count), count);
        for (const name of ['exp', 'tanh', 'gelu'] as const) w.kernels[name](w.room(count), w.at(9), count);
        for (const name of BINARY) w.kernels[name](w.room(count), w.at(11), w.positive(100, count), count);
        w.kernels.scale(w.room(count), w.at(2), 0.3, count);
        w.kernels.addScaled(w.room(count), w.at(2), w.at(90), 0.3, count);
        const [dgate, dup] = [w.room(count), w.room(count)];
        w.kernels.swigluBackward({ gate: w.at(4), up: w.at(200), dy: w.at(400), dgate, dup, count });
      }
    },
  },
  {
    name: 'rows',
    families: ['rowVector', 'softmax', 'crossEntropy'],
    run(w) {
      const room = (): number => w.room(rows * columns);
      w.kernels.addRowVector(room(), w.at(1), w.at(500), rows, columns);
      const y = room();
      w.kernels.softmax(y, w.at(1), rows, columns);
      w.kernels.softmaxBackward(room(), y, w.at(600), rows, columns);
      w.kernels.logSumExp(w.room(rows), w.at(1), rows, columns);
      const [logits, labels] = [w.at(3), w.integers([0, 74, -100, 5, 33])];
      w.kernels.softmaxCrossEntropy({ logits, labels, loss: w.room(rows), rows, classes: columns });
      w.kernels.softmaxCrossEntropyBackward({
        logits,
        labels,
        dloss: w.at(8),
        dlogits: room(),
        rows,
        classes: columns,
      });
    },
  },
  {
    name: 'rmsNorm',
    families: ['norm'],
    run(w) {
      const rstd = w.room(rows);
      const [x, weight] = [w.at(1), w.at(600)];
      w.kernels.rmsNorm({ x, weight, y: w.room(rows * columns), rstd, rows, columns, epsilon: 1e-6 });
      const dx = w.room(rows * columns);
      const scratch = w.scratch(w.kernels.rmsNormBackwardScratchBytes(rows, columns));
      const dweight = { pointer: w.room(columns), scratch };
      w.kernels.rmsNormBackward({ x, weight, rstd, dy: w.at(900), dx, rows, columns, dweight });
    },
  },
  {
    name: 'layerNorm',
    families: ['layerNorm'],
    run(w) {
      const operands = { x: w.at(1), weight: w.at(600), rows, columns, epsilon: 1e-5 };
      w.kernels.layerNorm({ ...operands, bias: w.at(800), y: w.room(rows * columns) });
      const scratch = w.scratch(w.kernels.layerNormBackwardScratchBytes(rows, columns));
      const [dx, dweight, dbias] = [w.room(rows * columns), w.room(columns), w.room(columns)];
      w.kernels.layerNormBackward({ ...operands, dy: w.at(900), dx, dweight, dbias, scratch });
    },
  },
  {
    name: 'scatterAdd',
    families: ['scatter'],
    run(w) {
      const indices = w.integers([2, 0, 2, 1]);
      const y = w.copy(5, 3 * columns);
      w.kernels.scatterAdd('f32', { y, updates: w.at(900), indices, rows: 3, count: 4, columns });
    },
  },
  {
    name: 'dropout',
    families: ['random'],
    run(w) {
      const scratch = w.scratch(w.kernels.randomScratchBytes);
      const draw = { count: 77, seed: [3, 9], stream: 2, scratch } as const;
      w.kernels.dropout({ ...draw, x: w.at(4), y: w.room(77), probability: 0.3 });
    },
  },
  {
    name: 'attention',
    families: ['attention'],
    run: (w) => void attend(w),
  },
  {
    name: 'attentionBackward',
    families: ['attentionBackward'],
    run(w) {
      const operands = attend(w);
      const { queries, keys, width } = operands;
      const [dq, dk, dv] = [w.room(queries * width), w.room(keys * width), w.room(keys * width)];
      w.kernels.attentionBackward({ ...operands, dy: w.at(3000), dq, dk, dv });
    },
  },
  {
    name: 'rope',
    families: ['rope'],
    run(w) {
      const [heads, length, width] = [3, 5, 24];
      const tables = { cos: w.at(900), sin: w.at(1200), heads, rows: length, width };
      w.kernels.rope({ x: w.at(1), y: w.room(heads * length * width), ...tables });
      w.kernels.ropeBackward({ x: w.at(1), y: w.room(heads * length * width), ...tables });
    },
  },
  {
    name: 'adamw',
    families: ['adamW'],
    run(w) {
      for (const count of COUNTS)
        w.kernels.adamwStep({
          parameter: w.copy(1, count),
          gradient: w.at(300),
          firstMoment: w.copy(500, count),
          secondMoment: w.positive(700, count),
          count,
          learningRate: 1e-2,
          beta1: 0.9,
          beta2: 0.99,
          epsilon: 1e-8,
          weightDecay: 0.1,
          correction1: 1.5,
          correction2: 1.2,
        });
    },
  },
  {
    name: 'dequantize',
    families: ['dequantize', 'half'],
    run(w) {
      const groups = { rows: 3, columns: 64, groupSize: 32 };
      const codes = w.integers(Array.from({ length: 48 }, (_, i) => Math.imul(i + 1, 0x9e37_79b1)));
      for (const [bits, zero] of CODES)
        w.kernels.dequantize({ out: w.room(192), codes, scales: w.at(5), offsets: w.at(90), bits, zero, ...groups });
      for (const half of ['f16', 'bf16'] as const) w.kernels.widen(half, w.room(77), w.integers(HALVES), 77);
    },
  },
  {
    name: 'quantizedRowProducts',
    families: ['quantizedRowProducts'],
    run(w) {
      const [n, columns] = [9, 3 * QUANTIZED_RUN];
      const codes = w.integers(Array.from({ length: n * columns }, (_, i) => Math.imul(i + 1, 0x9e37_79b1)));
      for (const [bits, zero] of CODES)
        for (const m of [1, 3]) {
          const matrix = { columns, bits, groupSize: QUANTIZED_RUN, zero };
          const fixed = w.room(fixedBytes(m, matrix) / F32_BYTES);
          w.kernels.fixRows({ ...matrix, into: fixed, a: w.at(7), m });
          w.kernels.quantizedRowProducts({
            ...matrix,
            fixed,
            codes,
            scales: w.at(5),
            offsets: w.at(90),
            factorStorage: 'f32',
            c: w.room(m * n),
            m,
            n,
            rowStrideC: n,
            scratch: w.scratch(w.kernels.quantizedRowScratchBytes(matrix)),
          });
        }
    },
  },
  {
    name: 'generated expressions',
    families: ['expressions'],
    run(w) {
      const expressions = createExpressions(w.kernels);
      const specs: TensorSpec[] = [
        { shape: [rows, columns], dtype: 'f32' },
        { shape: [columns], dtype: 'f32' },
      ];
      const pointers = [w.room(rows * columns), w.room(rows * columns), w.room(rows), w.at(1), w.at(800)];
      expressions.bind(SELF_TEST_EXPRESSION, specs)(pointers, [...pointers.keys()]);
    },
  },
];

/** Two finite 16-bit numbers each. */
const HALVES: readonly number[] = Array.from(
  { length: 39 },
  (_, i) => (Math.imul(i + 7, 0x0123_4567) >>> 1) & 0x3bff_3bff,
);
