import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  narrowToBf16,
  narrowToF16,
  widenBf16,
  widenF16,
} from '../src/numeric/half.js';

/** The formats as their definition says, in doubles, which hold every value of both exactly. */
interface Format {
  readonly name: string;
  readonly exponentBits: number;
  readonly fractionBits: number;
  readonly widen: (codes: Uint16Array, target?: Float32Array) => Float32Array;
  readonly narrow: (values: Float32Array, target?: Uint16Array) => Uint16Array;
  readonly toNumber: (code: number) => number;
  readonly fromNumber: (value: number) => number;
}

const formats: readonly Format[] = [
  {
    name: 'f16',
    exponentBits: 5,
    fractionBits: 10,
    widen: widenF16,
    narrow: narrowToF16,
    toNumber: f16ToF32,
    fromNumber: f32ToF16,
  },
  {
    name: 'bf16',
    exponentBits: 8,
    fractionBits: 7,
    widen: widenBf16,
    narrow: narrowToBf16,
    toNumber: bf16ToF32,
    fromNumber: f32ToBf16,
  },
];

function valueByDefinition(code: number, { exponentBits, fractionBits }: Format): number {
  const sign = code >>> 15 === 0 ? 1 : -1;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (code >>> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (code & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * 2 ** (1 - bias) * fraction : sign * 2 ** (exponent - bias) * (1 + fraction);
}

const allCodes = Uint16Array.from({ length: 65_536 }, (_, code) => code);
const bits = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

describe.each(formats)('$name', (format) => {
  const { exponentBits, fractionBits, widen, narrow, toNumber, fromNumber } = format;
  const infinity = (2 ** exponentBits - 1) << fractionBits;

  it('widens all 65,536 codes to the value of the definition', () => {
    const widened = widen(allCodes);
    const wrong = [...allCodes].filter((code) => !Object.is(widened[code], valueByDefinition(code, format)));
    expect(wrong).toEqual([]);
    expect([...allCodes].filter((code) => !Object.is(toNumber(code), widened[code]))).toEqual([]);
  });

  it('narrows every widened code to itself, NaNs with the quiet bit set', () => {
    const quiet = 1 << (fractionBits - 1);
    const back = narrow(widen(allCodes));
    const expected = allCodes.map((code) => ((code & 0x7fff) > infinity ? code | quiet : code));
    expect(back).toEqual(expected);
  });

  it('rounds at, just below and just above the middle of every two neighbours as nearest-even says', () => {
    const lower = allCodes.slice(0, infinity); // finite, non-negative; the upper neighbour of the last is infinity
    for (const sign of [0, 0x8000]) {
      const tie = new Float32Array(lower.length);
      lower.forEach((code, i) => {
        const [low, high] = [valueByDefinition(code, format), valueByDefinition(code + 1, format)];
        // Past the largest finite value the next step of the same size counts.
        const above = Number.isFinite(high) ? high : 2 * low - valueByDefinition(code - 1, format);
        tie[i] = (low + above) / 2;
      });
      if (sign) tie.forEach((value, i) => (tie[i] = -value));
      const shifted = (by: number): Uint16Array => {
        const copy = tie.slice();
        bits(copy).forEach((word, i) => (bits(copy)[i] = word + by));
        return narrow(copy);
      };
      expect(shifted(0)).toEqual(lower.map((code) => sign | (code + (code & 1))));
      expect(shifted(-1)).toEqual(lower.map((code) => sign | code));
      expect(shifted(1)).toEqual(lower.map((code) => sign | (code + 1)));
    }
  });

  it('gives the nearest code for any f32, and the scalar form agrees', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        const code = narrow(Float32Array.of(value))[0]!;
        expect(fromNumber(value)).toBe(code);
        const distance = (candidate: number): number => Math.abs(valueByDefinition(candidate, format) - value);
        if ((code & 0x7fff) >= infinity) return Math.abs(value) > valueByDefinition(infinity - 1, format);
        const neighbours = [code - 1, code + 1].filter((other) => other >= 0 && (other & 0x8000) === (code & 0x8000));
        return neighbours.every((other) => !(distance(other) < distance(code)));
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps infinities, signed zeros and NaNs, whatever the NaN payload', () => {
    const words = Uint32Array.of(0, 0x80000000, 0x7f800000, 0xff800000, 0x7f800001, 0xffffffff, 0x7fc00000);
    const codes = narrow(new Float32Array(words.buffer));
    expect(Array.from(codes.subarray(0, 4))).toEqual([0, 0x8000, infinity, 0x8000 | infinity]);
    for (const code of codes.slice(4)) expect(valueByDefinition(code, format)).toBeNaN();
    expect(codes[5]! >>> 15).toBe(1);
  });

  it('writes into the middle of a given array and refuses a short one', () => {
    const memory = new Float32Array(5).fill(9);
    widen(Uint16Array.of(0, 0), memory.subarray(1, 4));
    expect([...memory]).toEqual([9, 0, 0, 9, 9]);
    expect(() => widen(new Uint16Array(3), new Float32Array(2))).toThrow(/target holds 2 elements but source has 3/);
    expect(() => narrow(new Float32Array(3), new Uint16Array(2))).toThrow(RangeError);
  });
});
