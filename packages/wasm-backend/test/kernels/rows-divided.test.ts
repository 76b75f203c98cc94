/**
 * Row-wise kernels give the same bits on one thread and on three, at any offset, with outputs on inputs or apart, and in every
 * tier whose multiply-add is fused.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type Kernels, createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { TIERS, size, valueSeed, values } from './support.js';

const PAGES = 96;
const kernelsOn = (tier: (typeof TIERS)[number], threads: number | Threads): Kernels =>
  createKernels({ tier, threads, memory: new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true }) });

interface Case {
  readonly rows: number;
  readonly columns: number;
  readonly offset: number;
  readonly seed: number;
  readonly scale: number;
  readonly special: boolean;
  readonly inPlace: boolean;
}

const special = [Number.NaN, Infinity, -Infinity, 0, -0, 1e-45, 1e38, -1e38];

const cases: fc.Arbitrary<Case> = fc.record({
  rows: fc.oneof(size(9), fc.constantFrom(33, 200)),
  columns: fc.oneof(size(70), fc.constantFrom(128, 333)),
  offset: fc.integer({ min: 0, max: 15 }),
  seed: valueSeed,
  scale: fc.constantFrom(1e-3, 1, 60),
  special: fc.boolean(),
  inPlace: fc.boolean(),
});

/** Several blocks of sums over rows. */
const manyRows: fc.Arbitrary<Case> = fc.record({
  rows: fc.integer({ min: 1100, max: 1400 }),
  columns: fc.constantFrom(63, 64),
  offset: fc.constantFrom(0, 3),
  seed: valueSeed,
  scale: fc.constant(1),
  special: fc.boolean(),
  inPlace: fc.boolean(),
});

const SLOT = 600_000;

type Results = ReadonlyMap<string, Int32Array>;

/** Which result of two runs differs first; which of the many NaNs is met depends on the compiler. */
function firstDifference(actual: Results, expected: Results): string | undefined {
  for (const [name, words] of expected) {
    const i = words.findIndex((word, at) => actual.get(name)![at] !== word);
    if (i >= 0) return `${name}[${i}]`;
  }
  return undefined;
}

/** The words of all results of all kernels on a case. */
function resultsOf(kernels: Kernels, { rows, columns, offset, seed, scale, special: rare, inPlace }: Case): Results {
  const count = rows * columns;
  const at = (slot: number): number => SLOT * slot + offset;
  const numbers = (of: number, length: number): Float32Array =>
    values(seed + of, length, scale).map((v, i) => (rare && i % 23 === of ? special[(i / 23) & 7]! : v));
  const put = (slot: number, data: Float32Array | Int32Array): number => {
    new Uint8Array(kernels.memory.buffer).set(new Uint8Array(data.buffer, 0, data.byteLength), at(slot));
    return at(slot);
  };
  const [matrix, other, vector] = [numbers(0, count), numbers(1, count), numbers(2, columns)];
  const results = new Map<string, Int32Array>();
  const read = (name: string, pointer: number, length: number): void => {
    const { buffer } = new Uint8Array(kernels.memory.buffer, pointer, 4 * length).slice();
    const isNaN = new Float32Array(buffer).map((value) => (Number.isNaN(value) ? 1 : 0));
    results.set(
      name,
      new Int32Array(buffer).map((word, i) => (isNaN[i] ? 0x7fc0_0000 : word)),
    );
  };
  /** Two matrices and a vector anew, and where an output goes. */
  const operands = (): { x: number; dy: number; weight: number; out: number } => {
    const [x, dy, weight] = [put(0, matrix), put(1, other), put(2, vector)];
    return { x, dy, weight, out: inPlace ? dy : at(3) };
  };
  const shape = { rows, columns };
  const [rstd, dweight, dbias, scratch] = [at(4), at(5), at(6), at(7)];

  let o = operands();
  const onto = inPlace ? o.x : at(3);
  kernels.rmsNorm({ x: o.x, weight: o.weight, y: onto, rstd, ...shape, epsilon: 1e-6 });
  read('rmsNorm', onto, count);
  read('rstd', rstd, rows);
  o = operands();
  kernels.rmsNormBackward({ ...o, rstd, dx: o.out, dweight: { pointer: dweight, scratch }, ...shape });
  read('rmsNorm dx', o.out, count);
  read('rmsNorm dweight', dweight, columns);
  o = operands();
  kernels.layerNorm({ x: o.x, weight: o.weight, bias: o.weight, y: onto, ...shape, epsilon: 1e-5 });
  read('layerNorm', onto, count);
  o = operands();
  kernels.layerNormBackward({ ...o, dx: o.out, dweight, dbias, ...shape, epsilon: 1e-5, scratch });
  read('layerNorm dx', o.out, count);
  read('layerNorm dweight', dweight, columns);
  read('layerNorm dbias', dbias, columns);
  o = operands();
  kernels.softmax(onto, o.x, rows, columns);
  read('softmax', onto, count);
  o = operands();
  kernels.softmaxBackward(o.out, o.x, o.dy, rows, columns);
  read('softmax dx', o.out, count);
  o = operands();
  kernels.logSumExp(rstd, o.x, rows, columns);
  read('logSumExp', rstd, rows);
  kernels.addRowVector(onto, o.x, o.weight, rows, columns);
  read('addRowVector', onto, count);
  if (columns > 0) {
    o = operands();
    const labels = put(
      8,
      Int32Array.from({ length: rows }, (_, i) => (i % 5 === 4 ? -100 : (i * 7) % columns)),
    );
    kernels.softmaxCrossEntropy({ logits: o.x, labels, loss: rstd, rows, classes: columns });
    read('loss', rstd, rows);
    const dloss = put(4, numbers(3, rows));
    kernels.softmaxCrossEntropyBackward({ logits: o.x, labels, dloss, dlogits: onto, rows, classes: columns });
    read('dlogits', onto, count);
  }
  if (columns % 2 === 0) {
    o = operands();
    const tables = { cos: put(5, numbers(4, count / 2)), sin: put(6, numbers(5, count / 2)) };
    kernels.rope({ x: o.x, y: onto, ...tables, heads: 1, rows, width: columns });
    read('rope', onto, count);
  }
  o = operands();
  const state = { parameter: o.x, gradient: o.dy, firstMoment: put(3, numbers(1, count)) };
  const secondMoment = put(4, numbers(2, count).map(Math.abs));
  const settings = { learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
  kernels.adamwStep({ ...state, secondMoment, count, ...settings, correction1: 0.5, correction2: 0.1 });
  for (const [name, pointer] of Object.entries({ ...state, secondMoment })) read(name, pointer, count);
  kernels.iota('f32', at(0), count);
  read('iota', at(0), count);
  kernels.fill(at(0), 0x3f80_0001, 4 * count);
  read('fill', at(0), count);
  const indices = put(
    8,
    Int32Array.from({ length: 2 * rows }, (_, i) => (i * 11) % rows),
  );
  o = operands();
  kernels.gather({ to: at(3), table: o.x, indices, count: 2 * rows, rows, rowBytes: 4 * columns });
  read('gather', at(3), 2 * count);
  return results;
}

describe.each(TIERS)('tier %s', (tier) => {
  const threads = new Threads(3, { eager: true });
  afterAll(() => threads.end());
  const [one, three] = [kernelsOn(tier, 1), kernelsOn(tier, threads)];

  test('three threads and one agree in every bit', () => {
    fc.assert(
      fc.property(cases, (each) => {
        expect(firstDifference(resultsOf(three, each), resultsOf(one, each))).toBeUndefined();
      }),
      { numRuns: 60 },
    );
    fc.assert(
      fc.property(manyRows, (each) => {
        expect(firstDifference(resultsOf(three, each), resultsOf(one, each))).toBeUndefined();
      }),
      { numRuns: 3 },
    );
  });
});

test('tiers with a fused multiply-add agree in every bit', () => {
  const [first, ...others] = TIERS.filter((tier) => tier !== 'simd128').map((tier) => kernelsOn(tier, 1));
  fc.assert(
    fc.property(fc.oneof({ weight: 30, arbitrary: cases }, { weight: 1, arbitrary: manyRows }), (each) => {
      const expected = first && resultsOf(first, each);
      for (const other of others) expect(firstDifference(resultsOf(other, each), expected!)).toBeUndefined();
    }),
    { numRuns: 120 },
  );
});
