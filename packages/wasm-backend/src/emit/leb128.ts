/**
 * LEB128, the variable-length integer encoding of the WebAssembly binary format (specification, section 5.2.2):
 * seven bits per byte, least significant first, the top bit set on every byte but the last.
 */

/** Encodes an integer in [0, 2^32) as unsigned LEB128. */
export function unsignedLeb128(value: number): number[] {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`unsignedLeb128: ${value} is not an integer in [0, 2^32)`);
  }
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

/** Encodes a 32-bit integer as signed LEB128; values in [2^31, 2^32) are taken as their two's complement. */
export function signedLeb128(value: number): number[] {
  if (!Number.isInteger(value) || value < -0x8000_0000 || value > 0xffff_ffff) {
    throw new RangeError(`signedLeb128: ${value} is not a 32-bit integer`);
  }
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    // The last byte's bit 6 is the sign, so stop only when it agrees with what is left.
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}
