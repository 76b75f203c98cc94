/** Products of few rows with codes as they lie: exact whole sums, the error that is promised, and equal bits everywhere. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKernels, fixedBytes, mostProductRows } from '../../src/kernels/index.js';
import type { CodeBits, Kernels, StoredMatrix } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { halfCodes } from './half-codes.js';
import { Arena, TIERS, arenaFor, size, valueSeed, values } from './support.js';

interface Case {
  readonly m: number;
  readonly n: number;
  readonly columns: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly withOffsets: boolean;
  readonly symmetric: boolean;
  readonly factorStorage: StoredMatrix;
  /** Powers of two that numbers of x, scales and offsets are spread over, upwards from the first. */
  readonly magnitude: number;
  readonly spread: number;
  readonly zeros: boolean;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  m: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: mostProductRows })),
  n: fc.oneof(size(6), fc.integer({ min: 30, max: 70 })),
  columns: fc.integer({ min: 0, max: 10 }).map((runs) => 32 * runs),
  bits: fc.constantFrom<CodeBits>(4, 8),
  groupSize: fc.constantFrom(32, 64, 128),
  withOffsets: fc.boolean(),
  symmetric: fc.boolean(),
  factorStorage: fc.constantFrom<StoredMatrix>('f32', 'f16', 'bf16'),
  magnitude: fc.constantFrom(0, 0, -60, 40),
  spread: fc.constantFrom(0, 3, 30),
  zeros: fc.boolean(),
  seed: valueSeed,
});

/** Numbers whose exponents are spread; some are 0. */
function numbersOf({ magnitude, spread, zeros, seed }: Case, count: number): Float32Array {
  const [base, exponents, chance] = [values(seed, count), values(seed + 1, count), values(seed + 2, count)];
  return base.map((value, i) =>
    zeros && chance[i]! > 0 ? 0 : value * 2 ** (magnitude + Math.round(spread * exponents[i]!)),
  );
}

interface Operands {
  readonly x: Float32Array;
  readonly codes: Uint32Array<ArrayBuffer>;
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
  readonly zero: number;
  readonly groups: number;
}

function operandsOf(given: Case): Operands {
  const { m, n, columns, bits, groupSize, symmetric, seed } = given;
  const groups = Math.ceil(columns / groupSize);
  return {
    x: numbersOf(given, m * columns),
    codes: Uint32Array.from(values(seed + 3, (n * columns * bits) / 32), (value) => (value * 2 ** 31) >>> 0),
    scales: values(seed + 4, n * groups),
    offsets: values(seed + 5, n * groups),
    zero: symmetric ? 2 ** (bits - 1) : 0,
    groups,
  };
}

/** Runs the product; `scales` and `offsets` are rounded to their storage, in place. */
function run(arena: Arena, given: Case, { x, codes, scales, offsets, zero }: Operands): Float32Array {
  arena.reset();
  const { kernels } = arena;
  const { m, n, withOffsets, factorStorage } = given;
  const put = (array: ArrayBufferView): number => {
    const at = arena.bytes(array.byteLength);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(kernels.memory.buffer, at, bytes.length).set(bytes);
    return at;
  };
  const factor = (numbers: Float32Array): number => {
    if (factorStorage === 'f32') return put(numbers);
    const half = halfCodes(factorStorage, numbers);
    numbers.set(half.numbers);
    return put(half.codes);
  };
  const fixed = arena.bytes(fixedBytes(m, given));
  const [a, codesAt, scalesAt, offsetsAt] = [put(x), put(codes), factor(scales), factor(offsets)];
  expect(kernels.fixRows({ ...given, into: fixed, a, zero })).toEqual([]);
  const rowStrideC = n + 2;
  const c = arena.output(m * rowStrideC);
  const scratch = arena.bytes(kernels.quantizedRowScratchBytes(given));
  kernels.quantizedRowProducts({
    ...given,
    fixed,
    codes: codesAt,
    scales: scalesAt,
    ...(withOffsets && { offsets: offsetsAt }),
    c,
    zero,
    rowStrideC,
    scratch,
  });
  arena.checkGuards();
  const result = arena.read(c, m * rowStrideC);
  const gaps = result.filter((_, i) => i % rowStrideC >= n);
  expect(gaps.every(Number.isNaN)).toBe(true);
  return result.filter((_, i) => i % rowStrideC < n);
}

/** The product in double precision, and the error that the header of the kernel allows. */
function expected(given: Case, { x, codes, scales, offsets, zero, groups }: Operands): [value: number, most: number][] {
  const { m, n, columns, bits, groupSize, withOffsets } = given;
  const unit = columns % 64 === 0 && groupSize % 64 === 0 ? 64 : 32;
  const accuracy = 2 ** (bits === 4 ? -22 : -19);
  const codeAt = (row: number, column: number): number => {
    const place = (row * columns + column) * bits;
    return (codes[place >>> 5]! >>> (place & 31)) & (2 ** bits - 1);
  };
  return Array.from({ length: m * n }, (_, element) => {
    const [i, j] = [Math.floor(element / n), element % n];
    let [value, size, most] = [0, 0, 0];
    for (let start = 0; start < columns; start += unit) {
      const row = x.subarray(i * columns + start, i * columns + start + unit);
      const largest = row.reduce((most_, number) => Math.max(most_, Math.abs(number)), 2 ** -120);
      row.forEach((number, p) => {
        const group = j * groups + Math.floor((start + p) / groupSize);
        const product = scales[group]! * (codeAt(j, start + p) - zero);
        const offset = withOffsets ? offsets[group]! : 0;
        value += number * (product + offset);
        size += Math.abs(number) * (Math.abs(product) + Math.abs(offset));
        most += accuracy * largest * Math.abs(product + offset);
        // Lanes and offsets are rounded at the size of their sums.
        size += accuracy * largest * (Math.abs(product) + Math.abs(offset));
      });
    }
    return [value, most + (columns / unit + 12) * 2 ** -24 * size + 2 ** -140];
  });
}

/** Kernels on three threads, whose memory is shared. */
function threaded(): Arena {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: 256, shared: true });
  return new Arena(createKernels({ memory, threads: new Threads(3, { eager: true }) }));
}

describe('few rows and codes', () => {
  const arenas = TIERS.map(arenaFor);
  const crew = threaded();

  test('the error is the one that is promised, and tiers and threads have the same bits', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const operands = operandsOf(given);
        const [first, ...others] = [...arenas, crew].map((arena) => run(arena, given, operands));
        expected(given, operands).forEach(([value, most], i) => {
          if (!(Math.abs(first![i]! - value) <= most))
            expect.fail(`element ${i} is ${first![i]}, expected ${value} within ${most}`);
        });
        for (const other of others) expect(new Uint32Array(other.buffer)).toEqual(new Uint32Array(first!.buffer));
      }),
      { numRuns: 120 },
    );
  });

  test('whole numbers come out exact, and a row has the same bits whatever rows are around it', () => {
    const small = cases.map((given) => ({ ...given, m: mostProductRows, factorStorage: 'f32' as const }));
    fc.assert(
      fc.property(small, (given) => {
        const operands = operandsOf(given);
        const whole = {
          ...operands,
          x: values(given.seed, operands.x.length, 50).map(Math.round),
          scales: operands.scales.map((scale) => Math.round(2 * scale)),
          offsets: operands.offsets.map((offset) => Math.round(3 * offset)),
        };
        const all = run(arenas[0]!, given, whole);
        expect([...all].map(Number)).toEqual(expected(given, whole).map(([value]) => value));
        const row = whole.x.slice(3 * given.columns, 4 * given.columns);
        const alone = run(arenas[0]!, { ...given, m: 1 }, { ...whole, x: row });
        expect(alone).toEqual(all.slice(3 * given.n, 4 * given.n));
      }),
      { numRuns: 60 },
    );
  });

  test('rows with an infinity or NaN are named', () => {
    const { kernels } = arenas[0]!;
    fc.assert(
      fc.property(
        fc.constantFrom(Infinity, -Infinity, Number.NaN),
        fc.nat(5 * 160 - 1),
        fc.constantFrom<CodeBits>(4, 8),
        fc.constantFrom(32, 64),
        (wrong, at, bits, groupSize) => {
          const columns = 160;
          const arena = arenas[0]!;
          arena.reset();
          const x = values(at, 5 * columns, 1e38);
          x[at] = wrong;
          const format = { columns, bits, groupSize };
          const into = arena.bytes(fixedBytes(5, format));
          const failed = kernels.fixRows({ ...format, into, a: arena.f32(x), m: 5, zero: 0 });
          expect(failed).toEqual([Math.floor(at / columns)]);
        },
      ),
    );
  });

  test('a group with an infinite scale has no finite product', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(Infinity, -Infinity), (given, scale) => {
        const operands = operandsOf({ ...given, n: 3, columns: 128, withOffsets: false });
        operands.scales[0] = scale;
        const result = run(arenas[0]!, { ...given, n: 3, columns: 128, withOffsets: false }, operands);
        for (let i = 0; i < given.m; i += 1) expect(Number.isFinite(result[3 * i]!)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  test('columns that are not multiples of 32, and more rows, are refused', () => {
    const { kernels } = arenas[0] as { kernels: Kernels };
    const operands = {
      fixed: 0,
      codes: 0,
      scales: 0,
      c: 0,
      n: 1,
      bits: 4,
      zero: 8,
      rowStrideC: 1,
      scratch: 0,
    } as const;
    const refused = (m: number, columns: number): (() => void) => {
      return () => kernels.quantizedRowProducts({ ...operands, factorStorage: 'f32', m, columns, groupSize: 32 });
    };
    expect(refused(1, 40)).toThrow(/multiples of 32/);
    expect(refused(mostProductRows + 1, 32)).toThrow(/decode the matrix/);
  });
});
