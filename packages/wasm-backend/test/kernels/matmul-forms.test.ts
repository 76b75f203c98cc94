/** Products divided over threads, with packed weights, in batches and with epilogues have the bits of plain products. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Kernels, type MatmulArguments, createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { type ProductCase, operandsOf, placed, productCase } from './matmul-cases.js';
import { Arena, arenaFor, TIERS, values } from './support.js';

const PAGES = 512;

/** An arena whose kernels are divided over three threads, however little there is to do. */
function dividedArena(tier: Kernels['tier'], threads: Threads): Arena {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  return new Arena(createKernels({ tier, memory, threads }));
}

/** The result of a call in an arena that is checked for writes elsewhere. */
function resultOf(arena: Arena, call: MatmulArguments, count: number): Float32Array {
  arena.kernels.matmul(call);
  arena.checkGuards();
  return arena.read(call.c, count);
}

/** Beyond a cell, a block, and a chunk in every direction. */
const SHAPES: readonly Partial<ProductCase>[] = [
  {},
  { m: 300 },
  { n: 700 },
  { k: 600 },
  { m: 2 },
  { m: 6, k: 2060 },
  { m: 190, n: 20, k: 2060 },
  { n: 4200, k: 3 },
  { m: 190, n: 4200, k: 5 },
  { m: 4200, n: 10, k: 3 },
];
const shaped = fc.tuple(productCase(200), fc.constantFrom(...SHAPES)).map(([test, sizes]) => ({ ...test, ...sizes }));

const rowsOf = (matrix: Float32Array, rows: number, columns: number, stride: number): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, i) => matrix[Math.floor(i / columns) * stride + (i % columns)]!);

describe.each(TIERS)('forms of matmul, tier %s', (tier) => {
  const threads = new Threads(3, { eager: true });
  const [plain, divided] = [arenaFor(tier), dividedArena(tier, threads)];
  afterAll(() => threads.end());

  test('any number of threads has the same bits', () => {
    fc.assert(
      fc.property(shaped, (options) => {
        const operands = operandsOf(options);
        const results = [plain, divided].map((arena) =>
          resultOf(arena, placed(arena, options, operands), operands.c.length),
        );
        expect(results[1]).toEqual(results[0]);
      }),
      { numRuns: 60 },
    );
  });

  test('a packed weight has the same bits, and packing writes its bytes alone', () => {
    fc.assert(
      fc.property(shaped, (options) => {
        const operands = operandsOf(options);
        const expected = resultOf(plain, placed(plain, options, operands), operands.c.length);
        for (const arena of [plain, divided]) {
          const call = placed(arena, options, operands);
          const packed = arena.bytes(arena.kernels.packedWeightBytes(options.n, options.k));
          arena.kernels.packWeight(call, packed);
          expect(resultOf(arena, { ...call, b: -1, packed }, operands.c.length)).toEqual(expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('a batch has the bits of its products', () => {
    const cases = fc.oneof({ weight: 4, arbitrary: productCase(40) }, { weight: 1, arbitrary: productCase(180) });
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 9 }), (options, batch) => {
        const { m, n, k, transposeA, transposeB } = options;
        const operands = operandsOf(options, { batch });
        const { rowStrideA, rowStrideB, rowStrideC } = operands;
        const one = placed(plain, options, operands, batch);
        const strides = {
          a: (transposeA ? k : m) * rowStrideA,
          b: (transposeB ? n : k) * rowStrideB,
          c: m * rowStrideC,
        };
        for (let z = 0; z < batch; z += 1) {
          const [a, b, c] = [one.a + 4 * z * strides.a, one.b + 4 * z * strides.b, one.c + 4 * z * strides.c];
          plain.kernels.matmul({ ...one, a, b, c });
        }
        const expected = plain.read(one.c, operands.c.length);
        for (const arena of [plain, divided]) {
          const call = { ...placed(arena, options, operands, batch), batch };
          expect(resultOf(arena, call, operands.c.length)).toEqual(expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('an epilogue has the bits of the kernels that it stands for', () => {
    const activations = fc.constantFrom(undefined, 'gelu', 'silu');
    const epilogue = fc.record({ bias: fc.boolean(), activation: activations, residual: fc.boolean() });
    fc.assert(
      fc.property(shaped, epilogue, fc.boolean(), (options, parts, isPacked) => {
        const { m, n, k, seed } = options;
        const operands = operandsOf(options, { scale: 3 });
        const { rowStrideC } = operands;
        const [bias, residual] = [values(seed + 3, n), values(seed + 4, m * (n + 1))];

        const sums = rowsOf(resultOf(plain, placed(plain, options, operands), operands.c.length), m, n, rowStrideC);
        plain.reset();
        const y = plain.f32(sums);
        if (parts.bias) plain.kernels.addRowVector(y, y, plain.f32(bias), m, n);
        if (parts.activation) plain.kernels[parts.activation](y, y, m * n);
        if (parts.residual) plain.kernels.add(y, y, plain.f32(rowsOf(residual, m, n, n + 1)), m * n);
        const expected = plain.read(y, m * n);

        for (const arena of [plain, divided]) {
          const call = placed(arena, options, operands);
          const packed = isPacked ? arena.bytes(arena.kernels.packedWeightBytes(n, k)) : undefined;
          if (packed !== undefined) arena.kernels.packWeight(call, packed);
          const operandsOfEpilogue = {
            packed,
            bias: parts.bias ? arena.f32(bias) : undefined,
            activation: parts.activation,
            residual: parts.residual ? arena.f32(residual) : undefined,
            rowStrideResidual: n + 1,
          };
          const result = resultOf(arena, { ...call, ...operandsOfEpilogue }, operands.c.length);
          expect(rowsOf(result, m, n, rowStrideC)).toEqual(expected);
          // Between the rows nothing changes.
          for (let i = 0; i < m; i += 1)
            for (let j = n; j < rowStrideC; j += 1)
              expect(result[i * rowStrideC + j]).toBe(operands.c[i * rowStrideC + j]);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('epilogues of a batch are those of its products', () => {
    const [m, n, k, batch] = [7, 21, 9, 3];
    const options = {
      m,
      n,
      k,
      transposeA: false,
      transposeB: true,
      accumulate: false,
      padding: 0,
      seed: 5,
      specials: [],
    };
    const operands = operandsOf(options, { batch });
    const sums = resultOf(plain, { ...placed(plain, options, operands, batch), batch }, batch * m * n);
    const expected = sums.map((value, i) => Math.fround(value + operands.c[i]!));
    for (const arena of [plain, divided]) {
      const call = placed(arena, options, operands, batch);
      const residual = arena.f32(operands.c);
      expect(resultOf(arena, { ...call, batch, residual }, batch * m * n)).toEqual(expected);
    }
  });
});
