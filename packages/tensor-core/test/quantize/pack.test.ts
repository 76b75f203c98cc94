import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type QuantizationBits,
  ShapeError,
  createReferenceDevice,
  packCodes,
  tensor,
  unpackCodes,
} from '../../src/index.js';
import { arbitrarySeed, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice();
const codesOf = (rows: number, columns: number, bits: QuantizationBits, seed: number): Uint32Array =>
  Uint32Array.from(seededValue([rows, columns], 'u32', 'words', seed).data, (word) => word % 2 ** bits);

describe('packed codes', () => {
  it('lie in a word lowest first', async () => {
    const nibbles = tensor(Uint32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 15, 8), [1, 10]);
    expect([...(await packCodes(nibbles, 4).data(device))]).toEqual([0x76543210, 0x8f]);
    const bytes = tensor(Uint32Array.of(1, 2, 3, 255, 128), [1, 5]);
    expect([...(await packCodes(bytes, 8).data(device))]).toEqual([0xff030201, 0x80]);
  });

  it('come back exactly, any width, rows apart', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(4 as const, 8 as const),
        fc.nat(4),
        fc.nat(70),
        arbitrarySeed(),
        async (bits, rows, columns, seed) => {
          const codes = codesOf(rows, columns, bits, seed);
          const packed = packCodes(tensor(codes, [rows, columns]), bits);
          expect(packed.shape).toEqual([rows, Math.ceil((columns * bits) / 32)]);
          expect(await unpackCodes(packed, bits, columns).data(device)).toEqual(codes);
        },
      ),
    );
  });

  it('are the words again after unpacking all of them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(4 as const, 8 as const), arbitrarySeed(), async (bits, seed) => {
        const words = seededValue([3, 5], 'u32', 'words', seed);
        const again = packCodes(unpackCodes(toTensor(words), bits), bits);
        expect((await readBack(again, device)).data).toEqual(words.data);
      }),
    );
  });

  it('are u32 matrices', () => {
    expect(() => packCodes(tensor([1, 2]), 4)).toThrow(ShapeError);
    expect(() => unpackCodes(tensor(Uint32Array.of(1)), 4)).toThrow(/takes a u32 matrix, got u32\[1\]/);
  });
});
