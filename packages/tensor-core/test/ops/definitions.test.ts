/** Every primitive's loops against a second definition, written element by element from the meaning of the op. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bf16ToF32,
  errorFunction,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  opTable,
  philox4x32,
  sizeOf,
} from '../../src/index.js';
import {
  type HostTensor,
  type OpInvocation,
  type Tolerance,
  assertClose,
  exact,
  opCases,
  runReference,
} from '../../src/testing/index.js';

type Index = readonly number[];
interface Operand {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly at: (index: Index) => number;
}

/** An operand read by index; a shorter index or an axis of length 1 broadcasts. */
function operand({ shape, dtype, data }: HostTensor): Operand {
  return {
    shape,
    dtype,
    at: (index) => {
      const own = index.slice(index.length - shape.length);
      return data[own.reduce((offset, i, axis) => offset * shape[axis]! + (shape[axis] === 1 ? 0 : i), 0)]!;
    },
  };
}

/** All indices of a shape in row-major order. */
const indicesOf = (shape: readonly number[]): Index[] =>
  shape.reduce<Index[]>(
    (all, size) => all.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );

/** Element `index` of the output, from operands and attributes. */
type Definition = (index: Index, operands: readonly Operand[], attributes: never, output: HostTensor) => number;

const unary =
  (fn: (x: number) => number): Definition =>
  (index, [x]) =>
    fn(x!.at(index));
const binary =
  (fn: (a: number, b: number) => number): Definition =>
  (index, [a, b]) =>
    fn(a!.at(index), b!.at(index));

/** The elements that are reduced into `index`. */
function reduced(index: Index, x: Operand, axes: readonly number[], keepDimensions: boolean): number[] {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const wanted = keepDimensions ? kept.map((axis) => index[axis]) : index;
  return indicesOf(x.shape)
    .filter((candidate) => kept.every((axis, i) => candidate[axis] === wanted[i]))
    .map((candidate) => x.at(candidate));
}

const wrap32 = (value: bigint, dtype: string): number =>
  Number(dtype === 'u32' ? BigInt.asUintN(32, value) : BigInt.asIntN(32, value));
/** Whole numbers wrap around; f32 is rounded by the array it is written to. */
const arithmetic =
  (float: (a: number, b: number) => number, whole: (a: bigint, b: bigint) => bigint): Definition =>
  (index, [a, b], _attributes, { dtype }) =>
    dtype === 'f32'
      ? float(a!.at(index), b!.at(index))
      : wrap32(whole(BigInt(a!.at(index)), BigInt(b!.at(index))), dtype);

const larger = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : a > b ? a : b);

const definitions: Readonly<Record<string, Definition>> = {
  full: (_index, _operands, { value, dtype }: { value: number; dtype: string }) =>
    dtype === 'f16' ? f32ToF16(value) : dtype === 'bf16' ? f32ToBf16(value) : value,
  iota: ([i]) => i!,
  randomBits: (index, [seed], { shape, stream }: { shape: number[]; stream: number }) => {
    const place = index.reduce((offset, i, axis) => offset * shape[axis]! + i, 0);
    return philox4x32([Math.floor(place / 4), 0, stream, 0], [seed!.at([0]), seed!.at([1])])[place % 4]!;
  },
  neg: unary((x) => 0 - x),
  abs: unary((x) => (x < 0 ? -x : x)),
  exp: unary((x) => Math.E ** x),
  log: unary((x) => Math.log2(x) / Math.log2(Math.E)),
  sqrt: unary((x) => (x === Infinity ? x : x ** 0.5)),
  rsqrt: unary((x) => 1 / (x === Infinity ? x : x ** 0.5)),
  sin: unary((x) => Math.cos(x - Math.PI / 2)),
  cos: unary((x) => Math.sin(x + Math.PI / 2)),
  tanh: unary((x) => 1 - 2 / (Math.exp(2 * x) + 1)),
  sigmoid: unary((x) => (1 + Math.tanh(x / 2)) / 2),
  erf: unary((x) => -errorFunction(-x)),
  floor: unary((x) => -Math.ceil(-x)),
  add: arithmetic(
    (a, b) => a + b,
    (a, b) => a + b,
  ),
  sub: arithmetic(
    (a, b) => a - b,
    (a, b) => a - b,
  ),
  mul: arithmetic(
    (a, b) => a * b,
    (a, b) => a * b,
  ),
  div: binary((a, b) => a / b),
  maximum: binary(larger),
  minimum: binary((a, b) => -larger(-a, -b)),
  equal: binary((a, b) => Number(!(a < b) && !(a > b) && !Number.isNaN(a) && !Number.isNaN(b))),
  less: binary((a, b) => Number(b > a)),
  lessEqual: binary((a, b) => Number(b >= a)),
  logicalAnd: binary((a, b) => Number(a === 1 && b === 1)),
  logicalOr: binary((a, b) => Number(a === 1 || b === 1)),
  logicalNot: unary((x) => Number(x === 0)),
  select: (index, [condition, a, b]) => (condition!.at(index) === 1 ? a : b)!.at(index),
  bitcast: (index, [x], _attributes, { dtype }) => {
    const words = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };
    const from = words[x!.dtype as 'f32'].of(x!.at(index));
    return new words[dtype as 'f32'](from.buffer)[0]!;
  },
  shiftRight: (index, [x], { bits }: { bits: number }) => Math.floor(x!.at(index) / 2 ** bits),
  stopGradient: unary((x) => x),
  barrier: unary((x) => x),
  reshape: (index, [x], { shape }: { shape: number[] }) => {
    const place = index.reduce((offset, i, axis) => offset * shape[axis]! + i, 0);
    return x!.at(indicesOf(x!.shape)[place]!);
  },
  permute: (index, [x], { axes }: { axes: number[] }) => x!.at(x!.shape.map((_, axis) => index[axes.indexOf(axis)]!)),
  broadcastTo: unary((x) => x),
  slice: (index, [x], { start }: { start: number[] }) => x!.at(index.map((i, axis) => i + start[axis]!)),
  pad: (index, [x], { before }: { before: number[] }) => {
    const inside = index.map((i, axis) => i - before[axis]!);
    return inside.every((i, axis) => i >= 0 && i < x!.shape[axis]!) ? x!.at(inside) : 0;
  },
  concat: (index, operands, { axis }: { axis: number }) => {
    let rest = index[axis]!;
    for (const piece of operands) {
      if (rest < piece.shape[axis]!) return piece.at(index.with(axis, rest));
      rest -= piece.shape[axis]!;
    }
    throw new RangeError('no piece holds the index');
  },
  updateSlice: (index, [target, update, start], { axis }: { axis: number }) => {
    const row = index[axis]! - start!.at([0]);
    return row >= 0 && row < update!.shape[axis]! ? update!.at(index.with(axis, row)) : target!.at(index);
  },
  gather: (index, [table, indices]) => {
    const rank = indices!.shape.length;
    return table!.at([indices!.at(index.slice(0, rank)), ...index.slice(rank)]);
  },
  scatterAdd: ([row, ...rest], [updates, indices], _attributes, { dtype }) => {
    const round = dtype === 'f32' ? Math.fround : (value: number) => value;
    return indicesOf(indices!.shape).reduce(
      (total, place) => (indices!.at(place) === row ? round(total + updates!.at([...place, ...rest])) : total),
      0,
    );
  },
  sum: (index, [x], { axes, keepDimensions }: { axes: number[]; keepDimensions: boolean }) =>
    reduced(index, x!, axes, keepDimensions).reduce((a, b) => a + b, 0),
  max: (index, [x], { axes, keepDimensions }: { axes: number[]; keepDimensions: boolean }, { dtype }) =>
    reduced(index, x!, axes, keepDimensions).reduce(larger, { i32: -(2 ** 31), u32: 0 }[dtype as string] ?? -Infinity),
  argmax: (index, [x]) => {
    const row = Array.from({ length: x!.shape.at(-1)! }, (_, i) => x!.at([...index, i]));
    const nan = row.findIndex(Number.isNaN);
    return nan >= 0 ? nan : row.indexOf(Math.max(...row));
  },
  matmul: (index, [a, b], { transposeA, transposeB }: { transposeA: boolean; transposeB: boolean }) => {
    const [batch, [m, n]] = [index.slice(0, -2), index.slice(-2)];
    const inner = a!.shape.at(transposeA ? -2 : -1)!;
    return Array.from(
      { length: inner },
      (_, k) =>
        a!.at([...batch, ...(transposeA ? [k, m!] : [m!, k])]) * b!.at([...batch, ...(transposeB ? [n!, k] : [k, n!])]),
    ).reduce((x, y) => x + y, 0);
  },
};

/** Written through another formula, so not bit for bit. */
const approximate = new Set(['exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'sigmoid', 'sum', 'matmul']);
const close: Tolerance = { absolute: 1e-6, relative: 1e-5, ulps: 4 };

function decode(value: number, dtype: string): number {
  if (dtype === 'f16') return f16ToF32(value);
  return dtype === 'bf16' ? bf16ToF32(value) : value;
}

describe('the definition of each primitive', () => {
  const primitives = [...opTable.values()].filter((op) => !op.decompose).map((op) => op.name);

  it('is written down for all of them but cast, which has its own test', () => {
    expect([...Object.keys(definitions), 'cast'].sort()).toEqual(primitives.sort());
  });

  const check = (name: string, { inputs, attributes }: OpInvocation): void => {
    const [output] = runReference(opTable.get(name)!, inputs, attributes);
    const operands = inputs.map(operand);
    const numbers = indicesOf(output!.shape).map((index) =>
      definitions[name]!(index, operands, attributes as never, output!),
    );
    expect(numbers).toHaveLength(sizeOf(output!.shape));
    const expected = { ...output!, data: output!.data.slice() };
    numbers.forEach((value, i) => (expected.data[i] = value));
    assertClose(output!, expected, name, approximate.has(name) ? close : exact);
  };

  it.each(Object.keys(definitions))('%s', (name) => {
    for (const values of ['ordinary', 'extreme'] as const) {
      // Through another formula, infinities may come out differently: those are checked by exact ones.
      const kind = approximate.has(name) ? 'ordinary' : values;
      fc.assert(
        fc.property(opCases[name]!.invocations({ values: kind, maxLength: 3 }), (given) => check(name, given)),
        { numRuns: 40 },
      );
    }
  });

  it('cast: the nearest value that the target dtype has', () => {
    fc.assert(
      fc.property(opCases['cast']!.invocations({ values: 'extreme', maxLength: 4 }), ({ inputs: [x], attributes }) => {
        const { dtype } = attributes as { dtype: string };
        const [y] = runReference(opTable.get('cast')!, [x!], attributes);
        x!.data.forEach((stored: number, i: number) => {
          const value = decode(stored, x!.dtype);
          const result = decode(y!.data[i]!, dtype);
          if (dtype === 'bool') expect(result).toBe(value === 0 ? 0 : 1);
          else if (dtype === 'i32' || dtype === 'u32') expect(result).toBe(Math.trunc(value) + 0); // + 0: integers have one zero
          else if (Number.isNaN(value) || dtype === 'f32') expect(result).toBe(Math.fround(value));
          else {
            // No neighbour of the result is nearer: one step to each side in the codes of the half format.
            const error = Math.abs(result - value);
            for (const code of [y!.data[i]! - 1, y!.data[i]! + 1]) {
              const neighbour = decode(code & 0xffff, dtype);
              if (Number.isFinite(neighbour) && Number.isFinite(result))
                expect(error).toBeLessThanOrEqual(Math.abs(neighbour - value));
            }
          }
        });
      }),
      { numRuns: 200 },
    );
  });
});
