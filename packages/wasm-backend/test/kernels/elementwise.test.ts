import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BinaryKernel, Kernels, UnaryKernel } from '../../src/kernels/index.js';
import { arenaFor, errorFunction, SEED, size, TIERS, values, valueSeed, worstError } from './support.js';

type BinaryName = { [K in keyof Kernels]: Kernels[K] extends BinaryKernel ? K : never }[keyof Kernels];
type UnaryName = { [K in keyof Kernels]: Kernels[K] extends UnaryKernel ? K : never }[keyof Kernels];

const SPECIAL = [0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 3e38, -3e38, 1e-38, 1e-45];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const EXACT_BINARY: Readonly<
  Record<'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum', (a: number, b: number) => number>
> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
};

interface Approximate {
  readonly reference: (x: number) => number;
  readonly absolute: number;
  readonly relative: number;
  /** Largest |x| tried. */
  readonly range: number;
}

const APPROXIMATE: Readonly<Record<'exp' | 'sigmoid' | 'tanh' | 'silu' | 'gelu', Approximate>> = {
  exp: { reference: Math.exp, absolute: 1.7e-38, relative: 2e-7, range: 88 },
  sigmoid: { reference: sigmoid, absolute: 1.7e-38, relative: 4e-7, range: 60 },
  tanh: { reference: Math.tanh, absolute: 1e-45, relative: 4e-7, range: 20 },
  silu: { reference: (x) => x * sigmoid(x), absolute: 1e-37, relative: 5e-7, range: 60 },
  gelu: {
    reference: (x) => (x * (1 + errorFunction(x * Math.SQRT1_2))) / 2,
    absolute: 1e-6,
    relative: 4e-7,
    range: 30,
  },
};

describe.each(TIERS)('element-wise, tier %s', (tier) => {
  const arena = arenaFor(tier);

  /** Runs a kernel of one input, once in place and once not; both must agree. */
  function runUnary(name: UnaryName, x: Float32Array): Float32Array {
    arena.reset();
    const input = arena.f32(x);
    const out = arena.output(x.length);
    arena.kernels[name](out, input, x.length);
    arena.kernels[name](input, input, x.length);
    arena.checkGuards();
    const result = arena.read(out, x.length);
    expect(arena.read(input, x.length)).toEqual(result);
    return result;
  }

  function runBinary(name: BinaryName, a: Float32Array, b: Float32Array): Float32Array {
    arena.reset();
    const out = arena.output(a.length);
    arena.kernels[name](out, arena.f32(a), arena.f32(b), a.length);
    arena.checkGuards();
    return arena.read(out, a.length);
  }

  test.each(Object.keys(EXACT_BINARY) as (keyof typeof EXACT_BINARY)[])('%s equals IEEE arithmetic', (name) => {
    const special = SPECIAL.flatMap((a) => SPECIAL.map((b) => [a, b] as const));
    const specialResult = runBinary(
      name,
      Float32Array.from(special, ([a]) => a),
      Float32Array.from(special, ([, b]) => b),
    );
    const specialExpected = Float32Array.from(special, ([a, b]) => EXACT_BINARY[name](Math.fround(a), Math.fround(b)));
    expect(specialResult).toEqual(specialExpected);
    fc.assert(
      fc.property(size(70), valueSeed, fc.constantFrom(1, 1e-20, 1e30), (count, seed, scale) => {
        const a = values(seed, count, scale);
        const b = values(seed + 1, count, scale);
        expect(runBinary(name, a, b)).toEqual(a.map((x, i) => EXACT_BINARY[name](x, b[i] as number)));
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  test('neg and sqrt equal IEEE arithmetic', () => {
    const x = Float32Array.from([...SPECIAL, ...values(3, 61, 1e10)]);
    expect(runUnary('neg', x)).toEqual(x.map((v) => -v));
    expect(runUnary('sqrt', x)).toEqual(x.map(Math.sqrt));
  });

  test('scale and addScaled', () => {
    const multiplyAdd = (a: number, b: number, c: number): number => a * b + c;
    fc.assert(
      fc.property(size(70), valueSeed, (count, seed) => {
        const x = values(seed, count);
        const a = values(seed + 1, count);
        arena.reset();
        const [scaled, sum] = [arena.output(count), arena.output(count)];
        arena.kernels.scale(scaled, arena.f32(x), -2.5, count);
        arena.kernels.addScaled(sum, arena.f32(x), arena.f32(a), 0.3, count);
        arena.checkGuards();
        expect(arena.read(scaled, count)).toEqual(x.map((v) => v * -2.5));
        const expected = Array.from(x, (v, i) => multiplyAdd(a[i] as number, Math.fround(0.3), v));
        expect(
          worstError(arena.read(sum, count), expected, { absolute: 1.2e-7, relative: 1.2e-7 }),
        ).toBeLessThanOrEqual(1);
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  test.each(Object.keys(APPROXIMATE) as (keyof typeof APPROXIMATE)[])('%s is within its stated error', (name) => {
    const { reference, range, ...tolerance } = APPROXIMATE[name];
    const sweep = Float32Array.from({ length: 20_001 }, (_, i) => ((i - 10_000) / 10_000) * range);
    const tiny = values(5, 1000, 1e-3);
    for (const x of [sweep, tiny]) {
      expect(worstError(runUnary(name, x), Array.from(x, reference), tolerance)).toBeLessThanOrEqual(1);
    }
  });

  test.each(Object.keys(APPROXIMATE) as (keyof typeof APPROXIMATE)[])('%s of numbers of every magnitude', (name) => {
    const { reference, range: _range, ...tolerance } = APPROXIMATE[name];
    const words = fc.uint32Array({ minLength: 1, maxLength: 64 });
    const property = fc.property(words, (bits) => {
      const x = new Float32Array(bits.slice().buffer);
      const expected = Array.from(x, (value) => Math.fround(reference(value)));
      expect(worstError(runUnary(name, x), expected, tolerance)).toBeLessThanOrEqual(1);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test.each(['exp', 'sigmoid', 'tanh', 'silu', 'gelu'] as const)(
    '%s: a tail element has the bits of any other',
    (name) => {
      const x = values(9, 37, 6);
      const whole = runUnary(name, x);
      for (let count = 0; count < x.length; count += 1)
        expect(runUnary(name, x.slice(0, count))).toEqual(whole.slice(0, count));
    },
  );

  test('limits: exp saturates to 0 and infinity, tanh and sigmoid to their ends, NaN stays NaN', () => {
    const x = Float32Array.from([-Infinity, -200, -88, 89, 200, Infinity, Number.NaN, 88.7, -86.9]);
    const exp = runUnary('exp', x);
    expect(Array.from(exp).slice(0, 7)).toEqual([0, 0, 0, Infinity, Infinity, Infinity, Number.NaN]);
    expect(
      worstError(exp.slice(7), [Math.exp(Math.fround(88.7)), Math.exp(Math.fround(-86.9))], {
        absolute: 0,
        relative: 2e-7,
      }),
    ).toBeLessThanOrEqual(1);
    const huge = Float32Array.from([-1e30, 1e30, -Infinity, Infinity, Number.NaN]);
    expect([...runUnary('tanh', huge)]).toEqual([-1, 1, -1, 1, Number.NaN]);
    expect([...runUnary('sigmoid', huge)]).toEqual([0, 1, 0, 1, Number.NaN]);
    expect([...runUnary('gelu', Float32Array.from([-1e30, 1e30, Infinity, Number.NaN]))]).toEqual([
      -0,
      Math.fround(1e30),
      Infinity,
      Number.NaN,
    ]);
    expect([...runUnary('silu', Float32Array.from([-1e30, 1e30, Infinity, Number.NaN]))]).toEqual([
      -0,
      Math.fround(1e30),
      Infinity,
      Number.NaN,
    ]);
  });

  test('swiglu and its gradient equal the formulas', () => {
    fc.assert(
      fc.property(size(70), valueSeed, fc.constantFrom(1, 8, 40), (count, seed, scale) => {
        const [gate, up, dy] = [values(seed, count, scale), values(seed + 1, count, 3), values(seed + 2, count)];
        arena.reset();
        const [y, dgate, dup] = [arena.output(count), arena.output(count), arena.output(count)];
        const [g, u, d] = [arena.f32(gate), arena.f32(up), arena.f32(dy)];
        arena.kernels.swiglu(y, g, u, count);
        arena.kernels.swigluBackward({ gate: g, up: u, dy: d, dgate, dup, count });
        arena.checkGuards();
        const tolerance = { absolute: 1e-6 * scale, relative: 1e-6 };
        const at = (i: number): [number, number, number, number] => {
          const x = gate[i] as number;
          return [x, up[i] as number, dy[i] as number, sigmoid(x)];
        };
        const indices = Array.from({ length: count }, (_, i) => i);
        const forward = indices.map((i) => at(i)[0] * at(i)[3] * at(i)[1]);
        const gateGradient = indices.map((i) => {
          const [x, v, flow, s] = at(i);
          return flow * v * s * (1 + x * (1 - s));
        });
        const upGradient = indices.map((i) => at(i)[2] * at(i)[0] * at(i)[3]);
        expect(worstError(arena.read(y, count), forward, tolerance)).toBeLessThanOrEqual(1);
        expect(worstError(arena.read(dgate, count), gateGradient, tolerance)).toBeLessThanOrEqual(1);
        expect(worstError(arena.read(dup, count), upGradient, tolerance)).toBeLessThanOrEqual(1);
        // In place: the gradients over their own inputs.
        arena.kernels.swigluBackward({ gate: g, up: u, dy: d, dgate: g, dup: u, count });
        expect(arena.read(g, count)).toEqual(arena.read(dgate, count));
        expect(arena.read(u, count)).toEqual(arena.read(dup, count));
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test('geluBackward equals the formula', () => {
    fc.assert(
      fc.property(size(70), valueSeed, fc.constantFrom(0.1, 3, 20), (count, seed, scale) => {
        const [x, dy] = [values(seed, count, scale), values(seed + 1, count)];
        const expected = Array.from(x, (v, i) => {
          const cdf = (1 + errorFunction(v * Math.SQRT1_2)) / 2;
          return (dy[i] as number) * (cdf + (v * Math.exp((-v * v) / 2)) / Math.sqrt(2 * Math.PI));
        });
        const actual = runBinary('geluBackward', x, dy);
        expect(worstError(actual, expected, { absolute: 6e-7, relative: 1e-6 })).toBeLessThanOrEqual(1);
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test('a range outside the memory is an error that names the kernel and operand', () => {
    const end = arena.kernels.memory.buffer.byteLength;
    expect(() => arena.kernels.add(0, 0, end - 8, 3)).toThrow(/^add b: bytes/);
    expect(() => arena.kernels.exp(-4, 0, 1)).toThrow(/^exp out: bytes/);
    expect(() => arena.kernels.scale(0, 0, 1, -1)).toThrow(/^scale out: -1 elements/);
    expect(() => arena.kernels.silu(0, Number.NaN, 1)).toThrow(/^silu x/);
  });
});
