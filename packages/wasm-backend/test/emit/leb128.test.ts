import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signedLeb128, unsignedLeb128 } from '../../src/emit/index.js';

const SEED = 20_260;

/** The value of LEB128 bytes, by definition: seven bits each, the last one's bit 6 the sign if signed. */
function decode(bytes: readonly number[], signed: boolean): number {
  const magnitude = bytes.reduce((total, byte, i) => total + (byte & 0x7f) * 2 ** (7 * i), 0);
  const negative = signed && ((bytes.at(-1) as number) & 0x40) !== 0;
  return negative ? magnitude - 2 ** (7 * bytes.length) : magnitude;
}

test('bytes decode to the value, with continuation bits on all but the last', () => {
  const wellFormed = (bytes: readonly number[]): boolean =>
    bytes.every((byte, i) => byte >= 0 && byte < 256 && byte > 0x7f === i < bytes.length - 1);
  const unsigned = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.constantFrom(0, 63, 64, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32 - 1),
  );
  const signed = fc.oneof(
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    fc.constantFrom(0, -1, 63, 64, -64, -65, 127, -128, -(2 ** 31), 2 ** 31 - 1),
  );
  fc.assert(
    fc.property(unsigned, signed, (u, s) => {
      const [ofU, ofS] = [unsignedLeb128(u), signedLeb128(s)];
      expect([decode(ofU, false), decode(ofS, true)]).toEqual([u, s]);
      expect(wellFormed(ofU) && wellFormed(ofS)).toBe(true);
      expect(ofU.length <= 5 && ofS.length <= 5).toBe(true);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('the examples of the DWARF standard, which LEB128 comes from', () => {
  expect(unsignedLeb128(624_485)).toEqual([0xe5, 0x8e, 0x26]);
  expect(signedLeb128(-123_456)).toEqual([0xc0, 0xbb, 0x78]);
});

test('an unsigned 32-bit address is encoded as its two’s complement', () => {
  expect(signedLeb128(2 ** 32 - 1)).toEqual(signedLeb128(-1));
});

test.each([-1, 0.5, 2 ** 32, Number.NaN])('unsigned %d is refused', (value) => {
  expect(() => unsignedLeb128(value)).toThrow(RangeError);
});

test.each([-(2 ** 31) - 1, 1.5, 2 ** 32, Infinity])('signed %d is refused', (value) => {
  expect(() => signedLeb128(value)).toThrow(RangeError);
});
