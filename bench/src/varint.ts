/** Unsigned integers in 7-bit groups, lowest first (LEB128): as protocol buffers and WebAssembly write them. */
export const varint = (value: number): number[] =>
  value > 127 ? [(value & 127) | 128, ...varint(value >>> 7)] : [value];
