/**
 * Seeds from names and numbers. Every source of randomness in the project starts from one of these; none reads a clock.
 *
 * A name becomes 64 bits by FNV-1a over its UTF-8 bytes:
 *   h = cbf29ce484222325;  for each byte b:  h = (h xor b) · 00000100000001b3  mod 2^64
 * A number becomes its own 53 bits. FNV mixes weakly, which is enough here: Philox does the mixing.
 *
 * Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm" (IETF draft-eastlake-fnv), 64-bit FNV-1a.
 */
import type { Seed } from './philox.js';

const FNV_OFFSET_LOW = 0x84222325;
const FNV_OFFSET_HIGH = 0xcbf29ce4;
/** The FNV prime is 2^40 + 0x1b3. */
const FNV_PRIME_LOW = 0x1b3;

/** 64-bit FNV-1a of the UTF-8 bytes of `name`, low word first. */
export function seedFromString(name: string): Seed {
  let low = FNV_OFFSET_LOW;
  let high = FNV_OFFSET_HIGH;
  for (const byte of new TextEncoder().encode(name)) {
    low = (low ^ byte) >>> 0;
    // (high·2^32 + low)·(2^40 + p): both products with p are below 2^41, exact in a double.
    const lowProduct = low * FNV_PRIME_LOW;
    const highProduct = high * FNV_PRIME_LOW + Math.floor(lowProduct / 0x1_0000_0000) + (low << 8);
    low = lowProduct >>> 0;
    high = highProduct >>> 0;
  }
  return [low, high];
}

/** The words of an integer from 0 to 2^53 - 1, low word first. @throws RangeError for anything else. */
export function seedFromNumber(seed: number): Seed {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`seed is ${seed}; pass an integer from 0 to 2^53 - 1, or a name`);
  }
  return [seed >>> 0, Math.floor(seed / 0x1_0000_0000)];
}
