/**
 * The byte-level alphabet: each of the 256 bytes as one printable character, so that BPE can work on text.
 *
 * Bytes that print in Latin-1 stand for themselves; the others take the characters from U+0100 on, in byte order. A space is
 * "Ġ", a newline "Ċ". Source: GPT-2's `bytes_to_unicode`; the `ByteLevel` parts of Hugging Face tokenizers.
 */

const prints = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

function makeAlphabet(): readonly string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_value, byte) => String.fromCharCode(prints(byte) ? byte : next++));
}

/** Character of each byte. */
export const BYTE_CHARACTERS: readonly string[] = makeAlphabet();

const CHARACTER_BYTES: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);

/**
 * The bytes a token stands for. A token with a character outside the alphabet (an added token, never a BPE one) stands for
 * its own UTF-8, as in the reference.
 */
export function tokenBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let index = 0; index < token.length; index++) {
    const byte = CHARACTER_BYTES.get(token.charAt(index));
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[index] = byte;
  }
  return bytes;
}
