/**
 * Philox4x32-10: the counter-based random generator behind every random tensor.
 *
 * A block is a pure function of a 128-bit counter (c0, c1, c2, c3) and a 64-bit key (k0, k1): ten rounds of
 *
 *   (c0, c1, c2, c3) <- (hi(M1·c2) ^ c1 ^ k0,  lo(M1·c2),  hi(M0·c0) ^ c3 ^ k1,  lo(M0·c0))
 *   (k0, k1)         <- (k0 + W0, k1 + W1)                                            between rounds
 *
 * with M0 = D2511F53, M1 = CD9E8D57, W0 = 9E3779B9, W1 = BB67AE85, all modulo 2^32. No state: any element of any tensor can be
 * computed alone, in any order, on any device.
 *
 * Counter layout, the same in TypeScript, WebAssembly and WGSL. For element `i` of a tensor:
 *
 *   c0 = low 32 bits of floor(i / 4)     c1 = high bits of floor(i / 4)
 *   c2 = stream (which random op, layer or step; chosen by the caller)
 *   c3 = domain: 0 for tensors (this file), 1 and 2 for host streams (random-stream.ts)
 *   key = seed (two words);  the element's bits are output word i mod 4
 *
 * Derived numbers (`x`, `y` are 32-bit words):
 *   uniform01(x)          = (x >>> 8) · 2^-24                              in [0, 1), exact in f32
 *   normal pair (x, y)    : r = sqrt(-2 ln(((x >>> 8) + 1) · 2^-24)),  t = 2π · (y >>> 8) · 2^-24,  (r cos t, r sin t)
 * Elements 2k and 2k+1 of a normal tensor are the pair made of the words of elements 2k and 2k+1. So |normal| < 5.77.
 * Uniform bits agree on all devices exactly; normals agree to the rounding of ln, cos and sin.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 3.3; test vectors of Random123.
 */

/** A 64-bit seed as two unsigned 32-bit words, low word first: the Philox key. */
export type Seed = readonly [low: number, high: number];

/** Four unsigned 32-bit words: a Philox counter or one block of output. */
export type PhiloxBlock = [number, number, number, number];

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;
const TWO_POW_MINUS_24 = 2 ** -24;

/** Counter word c3 of tensors; host streams use other values, so equal seeds never share bits. */
const TENSOR_DOMAIN = 0;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers, exact, through 16-bit halves. */
export function multiplyHigh32(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // (2^16 - 1)^2 + (2^16 - 1) < 2^32, so neither middle sum overflows 32 bits.
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const carry = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) >>> 0;
}

/** Writes the block for counter (c0, c1, c2, c3) into `out[0..3]`. */
function philoxInto(out: Uint32Array, c0: number, c1: number, c2: number, c3: number, seed: Seed): void {
  let key0 = seed[0] | 0;
  let key1 = seed[1] | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh32(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh32(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 = (key0 + WEYL_0) | 0;
    key1 = (key1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** One Philox4x32-10 block. Words are read modulo 2^32; the result is four unsigned 32-bit words. */
export function philox4x32(counter: readonly [number, number, number, number], key: Seed): PhiloxBlock {
  const block = new Uint32Array(4);
  philoxInto(block, counter[0] >>> 0, counter[1] >>> 0, counter[2] >>> 0, counter[3] >>> 0, key);
  return [block[0]!, block[1]!, block[2]!, block[3]!];
}

function requireElementOffset(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new RangeError(`random element offset is ${offset}; pass an integer from 0 to 2^53 - 1`);
  }
}

/** Calls `emit(index in output, word)` for elements offset … offset + count - 1 of a stream, four words per block. */
function fillWords(out: Uint32Array, count: number, seed: Seed, stream: number, offset: number, domain: number): void {
  const block = new Uint32Array(4);
  let blockIndex = Math.floor(offset / 4);
  let lane = offset - blockIndex * 4;
  for (let i = 0; i < count; blockIndex++, lane = 0) {
    philoxInto(block, blockIndex >>> 0, Math.floor(blockIndex / 0x1_0000_0000), stream, domain, seed);
    for (; lane < 4 && i < count; lane++, i++) out[i] = block[lane]!;
  }
}

/**
 * Fills `out` with the random bits of elements `offset … offset + out.length - 1` of (seed, stream). Filling in pieces gives
 * the same bits as filling at once.
 * @param stream unsigned 32-bit number of the random source under this seed.
 * @param offset index of the first element; need not be a multiple of 4.
 * @throws RangeError when `offset` is not a non-negative integer.
 */
export function fillRandomBits(out: Uint32Array, seed: Seed, stream = 0, offset = 0): Uint32Array {
  requireElementOffset(offset);
  fillWords(out, out.length, seed, stream, offset, TENSOR_DOMAIN);
  return out;
}

/** A random word to a number in [0, 1): its top 24 bits times 2^-24, exact in f32. */
export function uniform01(word: number): number {
  return (word >>> 8) * TWO_POW_MINUS_24;
}

/** Two random words to two independent standard normal numbers (Box-Muller, formula in the file header). */
export function normalPair(radiusWord: number, angleWord: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(((radiusWord >>> 8) + 1) * TWO_POW_MINUS_24));
  const angle = 2 * Math.PI * uniform01(angleWord);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

const CHUNK = 4096;

/** Fills `out` with uniforms in [0, 1): `uniform01` of the bits that `fillRandomBits` gives for the same arguments. */
export function fillUniform<T extends Float32Array | Float64Array>(out: T, seed: Seed, stream = 0, offset = 0): T {
  requireElementOffset(offset);
  const words = new Uint32Array(Math.min(CHUNK, out.length));
  for (let start = 0; start < out.length; start += CHUNK) {
    const count = Math.min(CHUNK, out.length - start);
    fillWords(words, count, seed, stream, offset + start, TENSOR_DOMAIN);
    for (let i = 0; i < count; i++) out[start + i] = uniform01(words[i]!);
  }
  return out;
}

/** Fills `out` with standard normals; elements 2k and 2k+1 are the `normalPair` of the words of elements 2k and 2k+1. */
export function fillNormal<T extends Float32Array | Float64Array>(out: T, seed: Seed, stream = 0, offset = 0): T {
  requireElementOffset(offset);
  const words = new Uint32Array(CHUNK + 2);
  const odd = offset % 2; // an odd offset starts with the second half of a pair
  for (let start = 0; start < out.length; start += CHUNK) {
    const count = Math.min(CHUNK, out.length - start);
    fillWords(words, count + odd + 1, seed, stream, offset + start - odd, TENSOR_DOMAIN);
    for (let i = -odd; i < count; i += 2) {
      const [even, next] = normalPair(words[i + odd]!, words[i + odd + 1]!);
      if (i >= 0) out[start + i] = even;
      if (i + 1 < count) out[start + i + 1] = next;
    }
  }
  return out;
}
