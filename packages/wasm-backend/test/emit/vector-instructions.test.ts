import { describe, expect, test } from 'vitest';
import { f32x4, f64x2, i16x8, i32, i32x4, i64x2, i8x16, select, v128 } from '../../src/emit/index.js';
import type { Expression, Operand } from '../../src/emit/index.js';
import { build } from './support.js';

type Vector = Operand<'v128'>;

/** Runs an instruction on three vectors (as 16 bytes each) and returns the 16 bytes of its result. */
function evaluate(
  operands: readonly ArrayBufferView[],
  instruction: (a: Vector, b: Vector, c: Vector) => Expression<'v128'>,
): DataView {
  const { run, memory } = build({}, 'void', (f) => {
    f.do(v128.store(48, instruction(v128.load(0), v128.load(0, 16), v128.load(32))));
  });
  operands.forEach((operand, i) =>
    new Uint8Array(memory.buffer, 16 * i, 16).set(new Uint8Array(operand.buffer, operand.byteOffset, 16)),
  );
  run();
  return new DataView(memory.buffer, 48, 16);
}

const floats = (view: DataView): number[] => [0, 4, 8, 12].map((at) => view.getFloat32(at, true));
const doubles = (view: DataView): number[] => [0, 8].map((at) => view.getFloat64(at, true));
const integers = (view: DataView): number[] => [0, 4, 8, 12].map((at) => view.getInt32(at, true));

const A = Float32Array.of(1.5, -2, 0, 1e20);
const B = Float32Array.of(-0.5, 3, -0, 1e20);
const C = Float32Array.of(0.1, 0.2, 0.3, -1);
const lanes = <T>(of: (a: number, b: number, c: number) => T): T[] =>
  [0, 1, 2, 3].map((i) => of(A[i] as number, B[i] as number, C[i] as number));

describe('f32x4', () => {
  test.each([
    ['add', f32x4.add, (a: number, b: number) => a + b],
    ['sub', f32x4.sub, (a: number, b: number) => a - b],
    ['mul', f32x4.mul, (a: number, b: number) => a * b],
    ['div', f32x4.div, (a: number, b: number) => a / b],
    ['min', f32x4.min, Math.min],
    ['max', f32x4.max, Math.max],
    ['pmin', f32x4.pmin, (a: number, b: number) => (b < a ? b : a)],
    ['pmax', f32x4.pmax, (a: number, b: number) => (a < b ? b : a)],
  ] as const)('%s', (_name, instruction, reference) => {
    expect(floats(evaluate([A, B], instruction))).toEqual(lanes((a, b) => Math.fround(reference(a, b))));
  });

  test.each([
    ['abs', f32x4.abs, Math.abs],
    ['neg', f32x4.neg, (x: number) => -x],
    ['sqrt', f32x4.sqrt, Math.sqrt],
    ['floor', f32x4.floor, Math.floor],
  ] as const)('%s', (_name, instruction, reference) => {
    expect(floats(evaluate([A], (a) => instruction(a)))).toEqual(lanes((a) => Math.fround(reference(a))));
  });

  test.each([
    ['eq', f32x4.eq, (a: number, b: number) => a === b],
    ['ne', f32x4.ne, (a: number, b: number) => a !== b],
    ['lt', f32x4.lt, (a: number, b: number) => a < b],
    ['gt', f32x4.gt, (a: number, b: number) => a > b],
    ['le', f32x4.le, (a: number, b: number) => a <= b],
    ['ge', f32x4.ge, (a: number, b: number) => a >= b],
  ] as const)('%s gives all ones or zeros', (_name, instruction, reference) => {
    expect(integers(evaluate([A, B], instruction))).toEqual(lanes((a, b) => (reference(a, b) ? -1 : 0)));
  });

  test('pmin and pmax with NaN: the first operand, unless the second is smaller or larger', () => {
    const x = Float32Array.of(Number.NaN, 1, Number.NaN, 2);
    const y = Float32Array.of(1, Number.NaN, Number.NaN, 1);
    expect(floats(evaluate([x, y], f32x4.pmin))).toEqual([Number.NaN, 1, Number.NaN, 1]);
    expect(floats(evaluate([x, y], f32x4.pmax))).toEqual([Number.NaN, 1, Number.NaN, 2]);
  });

  test('constant, splat and lanes', () => {
    expect(floats(evaluate([], () => f32x4.constant(-2.5)))).toEqual([-2.5, -2.5, -2.5, -2.5]);
    expect(floats(evaluate([], () => f32x4.splat(0.25)))).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(floats(evaluate([A], (a) => f32x4.replaceLane(a, 2, 9)))).toEqual([1.5, -2, 9, Math.fround(1e20)]);
    expect(floats(evaluate([A], (a) => f32x4.splat(f32x4.extractLane(a, 1))))).toEqual([-2, -2, -2, -2]);
    expect(() => f32x4.extractLane(f32x4.constant(0), 4)).toThrow(/lane 4/);
  });

  test('conversion to and from integers', () => {
    const whole = Int32Array.of(1, -7, 2 ** 24 + 1, -(2 ** 31));
    expect(floats(evaluate([whole], (a) => f32x4.convertI32x4Signed(a)))).toEqual([1, -7, 2 ** 24, -(2 ** 31)]);
    const x = Float32Array.of(1.9, -1.9, Number.NaN, 1e20);
    expect(integers(evaluate([x], (a) => f32x4.truncSatSigned(a)))).toEqual([1, -1, 0, 2 ** 31 - 1]);
    expect(integers(evaluate([x], (a) => f32x4.truncSatUnsigned(a)))).toEqual([1, 0, 0, -1]);
    expect(floats(evaluate([whole], (a) => f32x4.convertI32x4Unsigned(a)))).toEqual(
      [1, 2 ** 32 - 7, 2 ** 24, 2 ** 31].map(Math.fround),
    );
  });

  test('relaxed madd and nmadd round once or twice', () => {
    const near = (actual: number[], exact: number[]): void => {
      actual.forEach((x, i) =>
        expect(Math.abs(x - (exact[i] as number))).toBeLessThanOrEqual(2 ** -22 * Math.abs(exact[i] as number)),
      );
    };
    const [x, y, z] = [
      Float32Array.of(1.5, -2, 0.25, 3),
      Float32Array.of(0.5, 3, 8, 1 / 3),
      Float32Array.of(10, 0.2, -9, 7),
    ];
    const exact = (sign: number): number[] =>
      [0, 1, 2, 3].map((i) => (z[i] as number) + sign * (x[i] as number) * (y[i] as number));
    near(floats(evaluate([x, y, z], f32x4.relaxedMadd)), exact(1));
    near(floats(evaluate([x, y, z], f32x4.relaxedNmadd)), exact(-1));
  });
});

describe('i32x4', () => {
  const X = Int32Array.of(1, -2, 2 ** 31 - 1, 5);
  const Y = Int32Array.of(3, -2, 1, -5);
  const each = (of: (x: number, y: number) => number): number[] =>
    [0, 1, 2, 3].map((i) => of(X[i] as number, Y[i] as number));

  test.each([
    ['add', i32x4.add, (x: number, y: number) => (x + y) | 0],
    ['sub', i32x4.sub, (x: number, y: number) => (x - y) | 0],
    ['mul', i32x4.mul, Math.imul],
    ['eq', i32x4.eq, (x: number, y: number) => (x === y ? -1 : 0)],
    ['ne', i32x4.ne, (x: number, y: number) => (x === y ? 0 : -1)],
    ['ltSigned', i32x4.ltSigned, (x: number, y: number) => (x < y ? -1 : 0)],
    ['ltUnsigned', i32x4.ltUnsigned, (x: number, y: number) => (x >>> 0 < y >>> 0 ? -1 : 0)],
    ['gtSigned', i32x4.gtSigned, (x: number, y: number) => (x > y ? -1 : 0)],
    ['gtUnsigned', i32x4.gtUnsigned, (x: number, y: number) => (x >>> 0 > y >>> 0 ? -1 : 0)],
    ['leSigned', i32x4.leSigned, (x: number, y: number) => (x <= y ? -1 : 0)],
    ['leUnsigned', i32x4.leUnsigned, (x: number, y: number) => (x >>> 0 <= y >>> 0 ? -1 : 0)],
    ['geSigned', i32x4.geSigned, (x: number, y: number) => (x >= y ? -1 : 0)],
    ['minSigned', i32x4.minSigned, Math.min],
    ['minUnsigned', i32x4.minUnsigned, (x: number, y: number) => Math.min(x >>> 0, y >>> 0) | 0],
    ['maxSigned', i32x4.maxSigned, Math.max],
    ['maxUnsigned', i32x4.maxUnsigned, (x: number, y: number) => Math.max(x >>> 0, y >>> 0) | 0],
  ] as const)('%s', (_name, instruction, reference) => {
    expect(integers(evaluate([X, Y], instruction))).toEqual(each(reference));
  });

  test('neg', () => {
    expect(integers(evaluate([X], (x) => i32x4.neg(x)))).toEqual(each((x) => -x | 0));
  });

  test('shifts, constants, splat and lanes', () => {
    expect(integers(evaluate([X], (x) => i32x4.shl(x, 3)))).toEqual(each((x) => x << 3));
    expect(integers(evaluate([X], (x) => i32x4.shrSigned(x, 1)))).toEqual(each((x) => x >> 1));
    expect(integers(evaluate([X], (x) => i32x4.shrUnsigned(x, 1)))).toEqual(each((x) => (x >>> 1) | 0));
    expect(integers(evaluate([], () => i32x4.constant(1, -2, 3, -4)))).toEqual([1, -2, 3, -4]);
    expect(integers(evaluate([X], (x) => i32x4.splat(i32x4.extractLane(x, 3))))).toEqual([5, 5, 5, 5]);
    expect(integers(evaluate([X], (x) => i32x4.replaceLane(x, 0, -9)))).toEqual([-9, -2, 2 ** 31 - 1, 5]);
  });

  test('allTrue, bitmask and anyTrue', () => {
    const probe = (x: Int32Array): number[] => {
      const { run, memory } = build({}, 'i32', (f) => {
        const value = v128.load(0);
        f.return(
          i32.add(i32x4.bitmask(value), i32.add(i32.shl(i32x4.allTrue(value), 8), i32.shl(v128.anyTrue(value), 9))),
        );
      });
      new Int32Array(memory.buffer, 0, 4).set(x);
      const word = run();
      return [word & 15, (word >> 8) & 1, word >> 9];
    };
    expect(probe(X)).toEqual([0b0010, 1, 1]);
    expect(probe(Int32Array.of(0, 0, 0, 0))).toEqual([0, 0, 0]);
    expect(probe(Int32Array.of(-1, 0, -1, 0))).toEqual([0b0101, 0, 1]);
  });

  test('shuffles of lanes and bytes', () => {
    expect(integers(evaluate([X, Y], (x, y) => i32x4.shuffle(x, y, [7, 0, 4, 3])))).toEqual([-5, 1, 3, 5]);
    const reversed = Array.from({ length: 16 }, (_, i) => 15 - i);
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
    const result = evaluate([bytes], (x) => i8x16.shuffle(x, x, reversed));
    expect(reversed.map((_, i) => result.getUint8(i))).toEqual(reversed);
    expect(() => i8x16.shuffle(i32x4.constant(0, 0, 0, 0), i32x4.constant(0, 0, 0, 0), [32])).toThrow(RangeError);
    expect(() => i32x4.shuffle(i32x4.constant(0, 0, 0, 0), i32x4.constant(0, 0, 0, 0), [0])).toThrow(RangeError);
  });

  test('widening of bytes to 32 bits', () => {
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => 200 + i);
    const low = (x: Vector): Expression<'v128'> => i32x4.extendLowI16x8Unsigned(i16x8.extendLowI8x16Unsigned(x));
    const high = (x: Vector): Expression<'v128'> => i32x4.extendHighI16x8Unsigned(i16x8.extendHighI8x16Unsigned(x));
    expect(integers(evaluate([bytes], low))).toEqual([200, 201, 202, 203]);
    expect(integers(evaluate([bytes], high))).toEqual([212, 213, 214, 215]);
  });

  test('shifts of 16-bit lanes', () => {
    const words = Int16Array.of(1, -1, 0x7fff, -0x8000, 300, -300, 0, 5);
    const shifted = (instruction: (x: Vector) => Expression<'v128'>): number[] => {
      const result = evaluate([words], instruction);
      return [...words].map((_, i) => result.getInt16(2 * i, true));
    };
    const each = (change: (word: number) => number): number[] => [...Int16Array.from(words, change)];
    expect(shifted((x) => i16x8.shl(x, 4))).toEqual(each((word) => word << 4));
    expect(shifted((x) => i16x8.shrSigned(x, 3))).toEqual(each((word) => word >> 3));
    expect(shifted((x) => i16x8.shrUnsigned(x, 3))).toEqual(each((word) => (word & 0xffff) >>> 3));
  });

  test('dot products of four bytes, the second of 7 bits', () => {
    const signed = Int8Array.from({ length: 16 }, (_, i) => (i % 3 === 0 ? -128 : 127 - 9 * i));
    const small = Int8Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? 127 : 8 * i));
    const sums = Int32Array.of(1, -2, 2 ** 30, 0);
    const expected = [...sums].map((sum, lane) =>
      [0, 1, 2, 3].reduce((total, i) => total + signed[4 * lane + i]! * small[4 * lane + i]!, sum),
    );
    expect(integers(evaluate([signed, small, sums], i32x4.relaxedDotI8x16I7x16AddSigned))).toEqual(expected);
  });

  test('products of 16-bit pairs, and the narrowing of words to bytes', () => {
    const [a, b] = [Int16Array.of(1, -2, 300, 400, -32_768, 7, 0, 9), Int16Array.of(3, 5, -300, 2, 32_767, 1, 4, -1)];
    expect(integers(evaluate([a, b], i32x4.dotI16x8Signed))).toEqual([-7, -89_200, -1_073_709_049, -9]);
    const narrow = (x: Vector, y: Vector): Expression<'v128'> =>
      i8x16.narrowI16x8Unsigned(i16x8.narrowI32x4Signed(x, y), i16x8.narrowI32x4Signed(y, x));
    const result = evaluate([Int32Array.of(0, 255, 256, -1), Int32Array.of(2 ** 30, -(2 ** 30), 32_768, 7)], narrow);
    expect(Array.from({ length: 16 }, (_, i) => result.getUint8(i))).toEqual([
      0, 255, 255, 0, 255, 0, 255, 7, 255, 0, 255, 7, 0, 255, 255, 0,
    ]);
  });
});

test('i64x2: full products of unsigned 32-bit lanes', () => {
  const [x, y] = [Uint32Array.of(0xffff_ffff, 7, 0xd251_1f53, 1), Uint32Array.of(0xffff_ffff, 9, 0xcd9e_8d57, 0)];
  const products = (instruction: typeof i64x2.extendedMultiplyLowUnsigned): bigint[] => {
    const view = evaluate([x, y], instruction);
    return [0, 8].map((at) => view.getBigUint64(at, true));
  };
  const exact = [...x].map((value, i) => BigInt(value) * BigInt(y[i] as number));
  expect(products(i64x2.extendedMultiplyLowUnsigned)).toEqual(exact.slice(0, 2));
  expect(products(i64x2.extendedMultiplyHighUnsigned)).toEqual(exact.slice(2));
});

describe('f64x2', () => {
  const X = Float64Array.of(1.25, -3);
  const Y = Float64Array.of(0.1, 7);
  test.each([
    ['add', f64x2.add, [1.35, 4]],
    ['sub', f64x2.sub, [1.15, -10]],
    ['mul', f64x2.mul, [0.125, -21]],
    ['div', f64x2.div, [12.5, -3 / 7]],
  ] as const)('%s', (_name, instruction, expected) => {
    expect(doubles(evaluate([X, Y], instruction))).toEqual([...expected]);
  });

  test('splat, lanes and widening', () => {
    expect(doubles(evaluate([X], (x) => f64x2.splat(f64x2.extractLane(x, 1))))).toEqual([-3, -3]);
    expect(doubles(evaluate([A], (a) => f64x2.promoteLowF32x4(a)))).toEqual([1.5, -2]);
  });

  test('constant, nearest, narrowing and conversion to integers', () => {
    expect(doubles(evaluate([], () => f64x2.constant(0.1)))).toEqual([0.1, 0.1]);
    const halves = Float64Array.of(2.5, -3.7);
    expect(doubles(evaluate([halves], (x) => f64x2.nearest(x)))).toEqual([2, -4]);
    expect(floats(evaluate([Y], (y) => f32x4.demoteF64x2Zero(y)))).toEqual([Math.fround(0.1), 7, 0, 0]);
    expect(integers(evaluate([halves], (x) => f64x2.truncSatSignedZero(x)))).toEqual([2, -3, 0, 0]);
  });
});

describe('v128', () => {
  const X = Int32Array.of(0b1100, -1, 0, 5);
  const Y = Int32Array.of(0b1010, 7, -1, 5);
  test.each([
    ['and', v128.and, (x: number, y: number) => x & y],
    ['andNot', v128.andNot, (x: number, y: number) => x & ~y],
    ['or', v128.or, (x: number, y: number) => x | y],
    ['xor', v128.xor, (x: number, y: number) => x ^ y],
  ] as const)('%s', (_name, instruction, reference) => {
    expect(integers(evaluate([X, Y], instruction))).toEqual(
      [0, 1, 2, 3].map((i) => reference(X[i] as number, Y[i] as number)),
    );
  });

  test('not, bitselect and select', () => {
    expect(integers(evaluate([X], (x) => v128.not(x)))).toEqual([...X].map((x) => ~x));
    const mask = Int32Array.of(-1, 0, 0xff, 1);
    expect(integers(evaluate([X, Y, mask], v128.bitselect))).toEqual(
      [0, 1, 2, 3].map((i) => ((X[i] as number) & (mask[i] as number)) | ((Y[i] as number) & ~(mask[i] as number))),
    );
    const choose = (condition: number): number[] =>
      integers(evaluate([X, Y], (x, y) => select(x as Expression<'v128'>, y as Expression<'v128'>, condition)));
    expect([choose(1), choose(0)]).toEqual([[...X], [...Y]]);
  });

  test('partial loads and stores', () => {
    expect(integers(evaluate([X, Y], () => v128.load32Splat(0, 12)))).toEqual([5, 5, 5, 5]);
    expect(integers(evaluate([X, Y], () => v128.load64Splat(0)))).toEqual([12, -1, 12, -1]);
    expect(integers(evaluate([X, Y], () => v128.load32Zero(4)))).toEqual([-1, 0, 0, 0]);
    expect(integers(evaluate([X, Y], () => v128.load64Zero(8)))).toEqual([0, 5, 0, 0]);
    const { run, memory } = build({}, 'void', (f) => {
      f.do(v128.store32Lane(32, v128.load(0), 3), v128.store64Lane(40, v128.load(16), 1, 8));
    });
    new Int32Array(memory.buffer, 0, 8).set([...X, ...Y]);
    run();
    expect([...new Int32Array(memory.buffer, 32, 6)]).toEqual([5, 0, 0, 0, -1, 5]);
    expect(integers(evaluate([X], () => v128.load16x4Unsigned(0)))).toEqual([12, 0, 0xffff, 0xffff]);
    const narrow = build({}, 'void', (f) => {
      f.do(v128.store8Lane(32, v128.load(0), 4), v128.store16Lane(36, v128.load(0), 2));
    });
    new Int32Array(narrow.memory.buffer, 0, 4).set(X);
    narrow.run();
    expect([...new Uint8Array(narrow.memory.buffer, 32, 8)]).toEqual([255, 0, 0, 0, 255, 255, 0, 0]);
  });

  test('a plain number is no vector', () => {
    expect(() => v128.not(3 as unknown as Vector)).toThrow(/splat the number/);
  });
});
