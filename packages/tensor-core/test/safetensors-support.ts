/** Builders shared by the safetensors tests. */
import fc from 'fast-check';
import { type SafetensorsDtype, safetensorsDtypeNames, safetensorsDtypes } from '../src/safetensors/dtype.js';
import type { SafetensorsEntry } from '../src/safetensors/index.js';

/** A file from header text and data, with no check at all. */
export function rawFile(header: string | Uint8Array, dataBytes = 0, claimedLength?: number | bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claimedLength ?? text.length), true);
  bytes.set(text, 8);
  return bytes;
}

export const tensorName: fc.Arbitrary<string> = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((name) => name !== '__proto__' && name !== '__metadata__' && name.isWellFormed());

/** A tensor of any dtype with random bytes for content. */
export const rawEntry: fc.Arbitrary<SafetensorsEntry> = fc
  .record({
    name: tensorName,
    dtype: fc.constantFrom<SafetensorsDtype>(...safetensorsDtypeNames),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .chain(({ name, dtype, shape }) => {
    const byteLength = shape.reduce((product, size) => product * size, safetensorsDtypes[dtype].byteSize);
    return fc
      .uint8Array({ minLength: byteLength, maxLength: byteLength })
      .map((data) => ({ name, dtype, shape, data }));
  });

export const rawEntries: fc.Arbitrary<SafetensorsEntry[]> = fc.uniqueArray(rawEntry, {
  selector: ({ name }) => name,
  maxLength: 6,
});

export const notes: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  tensorName,
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  {
    maxKeys: 3,
    noNullPrototype: true,
  },
);

/** The bytes of any typed array. */
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
