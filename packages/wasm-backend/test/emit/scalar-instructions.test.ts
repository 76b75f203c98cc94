import { describe, expect, test } from 'vitest';
import { f32, f64, i32, memory, select } from '../../src/emit/index.js';
import type { Expression, Operand, ValueType } from '../../src/emit/index.js';
import { build } from './support.js';

type BinaryOf<T extends ValueType> = (a: Operand<T>, b: Operand<T>) => Expression;
type UnaryOf<T extends ValueType> = (x: Operand<T>) => Expression;

const INTEGERS = [0, 1, 2, 7, 31, 33, -1, -2, 65_537, 2 ** 31 - 1, -(2 ** 31)];
const FLOATS = [0, -0, 1, -1.5, 0.1, 3e38, -1e-40, 123_456.789, Infinity, -Infinity, Number.NaN];

const unsigned = (x: number): number => x >>> 0;
const flag = (condition: boolean): number => (condition ? 1 : 0);

const INTEGER_BINARY: readonly [string, BinaryOf<'i32'>, (a: number, b: number) => number][] = [
  ['add', i32.add, (a, b) => (a + b) | 0],
  ['sub', i32.sub, (a, b) => (a - b) | 0],
  ['mul', i32.mul, Math.imul],
  ['and', i32.and, (a, b) => a & b],
  ['or', i32.or, (a, b) => a | b],
  ['xor', i32.xor, (a, b) => a ^ b],
  ['shl', i32.shl, (a, b) => a << b],
  ['shrSigned', i32.shrSigned, (a, b) => a >> b],
  ['shrUnsigned', i32.shrUnsigned, (a, b) => (a >>> b) | 0],
  ['eq', i32.eq, (a, b) => flag(a === b)],
  ['ne', i32.ne, (a, b) => flag(a !== b)],
  ['ltSigned', i32.ltSigned, (a, b) => flag(a < b)],
  ['gtSigned', i32.gtSigned, (a, b) => flag(a > b)],
  ['ltUnsigned', i32.ltUnsigned, (a, b) => flag(unsigned(a) < unsigned(b))],
  ['gtUnsigned', i32.gtUnsigned, (a, b) => flag(unsigned(a) > unsigned(b))],
  ['leUnsigned', i32.leUnsigned, (a, b) => flag(unsigned(a) <= unsigned(b))],
  ['geUnsigned', i32.geUnsigned, (a, b) => flag(unsigned(a) >= unsigned(b))],
];

describe('i32', () => {
  test.each(INTEGER_BINARY)('%s', (_name, instruction, reference) => {
    const { run } = build({ a: 'i32', b: 'i32' }, 'i32', (f, { a, b }) => f.return(instruction(a, b)));
    for (const a of INTEGERS) for (const b of INTEGERS) expect(run(a, b)).toBe(reference(a, b));
  });

  test.each([
    ['divUnsigned', i32.divUnsigned, (a: number, b: number) => Math.floor(unsigned(a) / unsigned(b)) | 0],
    ['remUnsigned', i32.remUnsigned, (a: number, b: number) => (unsigned(a) % unsigned(b)) | 0],
  ] as const)('%s, which traps on zero', (_name, instruction, reference) => {
    const { run } = build({ a: 'i32', b: 'i32' }, 'i32', (f, { a, b }) => f.return(instruction(a, b)));
    for (const a of INTEGERS) for (const b of INTEGERS.slice(1)) expect(run(a, b)).toBe(reference(a, b));
    expect(() => run(1, 0)).toThrow(WebAssembly.RuntimeError);
  });

  test('eqz and constants', () => {
    const { run } = build({ x: 'i32' }, 'i32', (f, { x }) => f.return(i32.eqz(x)));
    for (const x of INTEGERS) expect(run(x)).toBe(flag(x === 0));
    for (const x of INTEGERS) expect(build({}, 'i32', (f) => f.return(i32.const(x))).run()).toBe(x);
  });
});

const FLOAT_BINARY = [
  'add',
  'sub',
  'mul',
  'div',
  'min',
  'max',
  'copysign',
  'eq',
  'ne',
  'lt',
  'gt',
  'le',
  'ge',
] as const;

const isNegative = (x: number): boolean => x < 0 || Object.is(x, -0);
const FLOAT_BINARY_REFERENCE: Readonly<Record<(typeof FLOAT_BINARY)[number], (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  copysign: (a, b) => (isNegative(a) === isNegative(b) ? a : -a),
  eq: (a, b) => flag(a === b),
  ne: (a, b) => flag(a !== b),
  lt: (a, b) => flag(a < b),
  gt: (a, b) => flag(a > b),
  le: (a, b) => flag(a <= b),
  ge: (a, b) => flag(a >= b),
};

const FLOAT_UNARY = { abs: Math.abs, neg: (x: number) => -x, sqrt: Math.sqrt } as const;

describe.each([
  ['f32', f32, Math.fround],
  ['f64', f64, (x: number) => x],
] as const)('%s', (type, instructions, round) => {
  test.each(FLOAT_BINARY)('%s', (name) => {
    const instruction = instructions[name] as BinaryOf<typeof type>;
    const isComparison = instruction(0, 0).type === 'i32';
    const { run } = build({ a: type, b: type }, isComparison ? 'i32' : type, (f, { a, b }) =>
      f.return(instruction(a, b)),
    );
    for (const a of FLOATS.map(round)) {
      // The sign of NaN is not observable in JavaScript, so copysign with NaN is left out.
      for (const b of FLOATS.map(round)) {
        if (name === 'copysign' && Number.isNaN(a + b)) continue;
        expect(run(a, b)).toBe(round(FLOAT_BINARY_REFERENCE[name](a, b)));
      }
    }
  });

  test.each(Object.keys(FLOAT_UNARY) as (keyof typeof FLOAT_UNARY)[])('%s', (name) => {
    const instruction = instructions[name] as UnaryOf<typeof type>;
    const { run } = build({ x: type }, type, (f, { x }) => f.return(instruction(x)));
    for (const x of FLOATS.map(round)) expect(run(x)).toBe(round(FLOAT_UNARY[name](x)));
  });

  test('constants, also as plain numbers', () => {
    for (const x of FLOATS.map(round)) {
      expect(build({}, type, (f) => f.return(instructions.const(x))).run()).toBe(x);
      expect(build({}, type, (f) => f.return((instructions.add as BinaryOf<typeof type>)(x, 1))).run()).toBe(
        round(x + 1),
      );
    }
  });

  test('load and store with an offset', () => {
    const { run, memory: heap } = build({ at: 'i32', x: type }, type, (f, { at, x }) => {
      f.do(
        (
          instructions.store as (
            address: Operand<'i32'>,
            value: Expression,
            offset?: number,
          ) => ReturnType<typeof f32.store>
        )(at, x, 16),
      );
      f.return(instructions.load(at, 16));
    });
    expect(run(8, 1.25)).toBe(1.25);
    const view = new DataView(heap.buffer);
    expect(type === 'f32' ? view.getFloat32(24, true) : view.getFloat64(24, true)).toBe(1.25);
  });
});

describe('conversions', () => {
  test.each([
    ['f32.convertI32Signed', 'i32', 'f32', f32.convertI32Signed, (x: number) => Math.fround(x)],
    ['f32.convertI32Unsigned', 'i32', 'f32', f32.convertI32Unsigned, (x: number) => Math.fround(unsigned(x))],
    ['f64.convertI32Unsigned', 'i32', 'f64', f64.convertI32Unsigned, unsigned],
  ] as const)('%s', (_name, _from, to, instruction, reference) => {
    const { run } = build({ x: 'i32' }, to, (f, { x }) => f.return(instruction(x)));
    for (const x of INTEGERS) expect(run(x)).toBe(reference(x));
  });

  test('promote, demote and reinterpret', () => {
    const promoted = build({ x: 'f32' }, 'f64', (f, { x }) => f.return(f64.promoteF32(x)));
    const demoted = build({ x: 'f64' }, 'f32', (f, { x }) => f.return(f32.demoteF64(x)));
    const around = build({ x: 'f32' }, 'f32', (f, { x }) => f.return(f32.reinterpretI32(i32.reinterpretF32(x))));
    for (const x of FLOATS) {
      expect(promoted.run(x)).toBe(Math.fround(x));
      expect(demoted.run(x)).toBe(Math.fround(x));
      expect(around.run(x)).toBe(Math.fround(x));
    }
    const bits = build({ x: 'f32' }, 'i32', (f, { x }) => f.return(i32.reinterpretF32(x)));
    expect(bits.run(1)).toBe(0x3f80_0000);
  });
});

describe('memory', () => {
  test('integer loads and stores of every width', () => {
    const { run, memory: heap } = build({ at: 'i32', x: 'i32' }, 'i32', (f, { at, x }) => {
      f.do(i32.store(at, x), i32.store8(at, x, 4));
      f.return(i32.add(i32.load8Unsigned(at, 1), i32.add(i32.load16Unsigned(at, 2), i32.load(at, 4))));
    });
    expect(run(64, 0x0102_0384)).toBe(0x03 + 0x0102 + 0x84);
    expect([...new Uint8Array(heap.buffer, 64, 5)]).toEqual([0x84, 3, 2, 1, 0x84]);
  });

  test('fill and overlapping copy', () => {
    const { run, memory: heap } = build({}, 'void', (f) => f.do(memory.fill(0, 7, 4), memory.copy(2, 0, 4)));
    new Uint8Array(heap.buffer).fill(1, 4, 8);
    run();
    expect([...new Uint8Array(heap.buffer, 0, 8)]).toEqual([7, 7, 7, 7, 7, 7, 1, 1]);
  });

  test('an address outside the memory traps', () => {
    const { run } = build({ at: 'i32' }, 'i32', (f, { at }) => f.return(i32.load(at)));
    expect(() => run(65_533)).toThrow(WebAssembly.RuntimeError);
  });
});

test('select of scalars', () => {
  const { run } = build({ a: 'f32', b: 'f32', c: 'i32' }, 'f32', (f, { a, b, c }) => f.return(select(a, b, c)));
  expect([run(1, 2, 1), run(1, 2, 0), run(1, 2, -5)]).toEqual([1, 2, 1]);
});
