/**
 * Half-precision number formats on typed arrays: IEEE 754 binary16 ("f16") and bfloat16 ("bf16") to and from binary32 ("f32").
 *
 *   format   sign  exponent  fraction  bias  smallest subnormal  largest finite
 *   f16       1       5        10       15        2^-24              65504
 *   bf16      1       8         7      127        2^-133             3.3895e38
 *
 * Widening is exact. Narrowing rounds to nearest, ties to even, as torch `Tensor.to(dtype)` does: values past the largest finite
 * one (by half a unit or more) become infinity, values below half the smallest subnormal become zero of the same sign. A NaN
 * stays a NaN: sign and the top fraction bits are kept and the quiet bit is set.
 *
 * Codes are held in `Uint16Array`. `Float16Array` is not needed, so the same code runs on every engine.
 * The bulk functions write into a given array (or a new one) and allocate nothing else.
 *
 * Source: IEEE 754-2019 sections 3.4 and 4.3.1; bfloat16 as the upper 16 bits of binary32.
 */

/** Refuses a bulk conversion whose target is too short, before anything is written. */
function requireLength(operation: string, targetLength: number, sourceLength: number): void {
  if (targetLength < sourceLength) {
    throw new RangeError(
      `${operation}: target holds ${targetLength} elements but source has ${sourceLength}; pass a target of at least that length`,
    );
  }
}

/** The bit pattern of each element of an f32 array, on the same memory. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

const FLOAT32_INFINITY = 0x7f800000;

/** f16 code (16 bits) to the bit pattern of the equal f32 value. */
export function f16ToF32Bits(code: number): number {
  const sign = (code & 0x8000) << 16;
  const exponent = (code >>> 10) & 0x1f;
  let fraction = code & 0x3ff;
  if (exponent === 0x1f) return (sign | FLOAT32_INFINITY | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // Subnormal: move the leading one to bit 10 and lower the exponent by as much.
  const shift = Math.clz32(fraction) - 21;
  fraction = (fraction << shift) & 0x3ff;
  return (sign | ((113 - shift) << 23) | (fraction << 13)) >>> 0;
}

/** The bit pattern of an f32 value to the nearest f16 code, ties to even. */
export function f32BitsToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > FLOAT32_INFINITY) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520, the tie between 65504 and the next step, rounds away
  if (magnitude >= 0x38800000) {
    // Normal (2^-14 and up): rebias the exponent by -112, add just under half a unit, one more if the kept bit is odd.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // up to 2^-25, the tie between zero and the smallest subnormal
  const shift = 126 - (magnitude >>> 23); // 14 … 24
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** bf16 code (16 bits) to the bit pattern of the equal f32 value. */
export function bf16ToF32Bits(code: number): number {
  return (code << 16) >>> 0;
}

/** The bit pattern of an f32 value to the nearest bf16 code, ties to even. */
export function f32BitsToBf16(bits: number): number {
  if ((bits & 0x7fffffff) > FLOAT32_INFINITY) return ((bits >>> 16) & 0xffff) | 0x40;
  return ((bits >>> 0) + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

// One value moved between its number and its bits.
const scratch = new Float32Array(1);
const scratchBits = bitsOf(scratch);

function numberOfBits(bits: number): number {
  scratchBits[0] = bits;
  return scratch[0]!;
}

function bitsOfNumber(value: number): number {
  scratch[0] = value;
  return scratchBits[0]!;
}

/** The value of an f16 code. */
export const f16ToF32 = (code: number): number => numberOfBits(f16ToF32Bits(code));

/** The f16 code nearest to a number, which is first rounded to f32. */
export const f32ToF16 = (value: number): number => f32BitsToF16(bitsOfNumber(value));

/** The value of a bf16 code. */
export const bf16ToF32 = (code: number): number => numberOfBits(bf16ToF32Bits(code));

/** The bf16 code nearest to a number, which is first rounded to f32. */
export const f32ToBf16 = (value: number): number => f32BitsToBf16(bitsOfNumber(value));

/**
 * Widens f16 codes to f32, element by element.
 * @param target receives `source.length` values; a new array when omitted. Must not overlap `source`.
 * @throws RangeError when `target` is shorter than `source`.
 */
export function widenF16(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  requireLength('widenF16', target.length, source.length);
  const bits = bitsOf(target);
  for (let i = 0; i < source.length; i++) bits[i] = f16ToF32Bits(source[i]!);
  return target;
}

/**
 * Narrows f32 values to f16 codes, nearest, ties to even.
 * @param target receives `source.length` codes; a new array when omitted. Must not overlap `source`.
 * @throws RangeError when `target` is shorter than `source`.
 */
export function narrowToF16(source: Float32Array, target: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  requireLength('narrowToF16', target.length, source.length);
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) target[i] = f32BitsToF16(bits[i]!);
  return target;
}

/**
 * Widens bf16 codes to f32, element by element.
 * @param target receives `source.length` values; a new array when omitted. Must not overlap `source`.
 * @throws RangeError when `target` is shorter than `source`.
 */
export function widenBf16(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  requireLength('widenBf16', target.length, source.length);
  const bits = bitsOf(target);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
  return target;
}

/**
 * Narrows f32 values to bf16 codes, nearest, ties to even.
 * @param target receives `source.length` codes; a new array when omitted. Must not overlap `source`.
 * @throws RangeError when `target` is shorter than `source`.
 */
export function narrowToBf16(source: Float32Array, target: Uint16Array = new Uint16Array(source.length)): Uint16Array {
  requireLength('narrowToBf16', target.length, source.length);
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) target[i] = f32BitsToBf16(bits[i]!);
  return target;
}
