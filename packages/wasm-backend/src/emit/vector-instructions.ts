/**
 * 128-bit vector instructions as tables of typed functions: the SIMD and relaxed SIMD proposals, both part of
 * WebAssembly 3.0 (specification, section 5.4.8). A v128 has no lane type of its own; the table's name gives the lanes.
 * Bits and integers are here, floating-point lanes in `float-vector-instructions.ts`.
 */
import { Instruction } from './instruction.js';
import {
  extractLane,
  littleEndian,
  load,
  operandOf,
  replaceLane,
  shift,
  simd,
  store,
  storeLane,
  ternary,
  unary,
  vectorBinary,
  vectorUnary,
} from './operands.js';
import type { Binary, ExtractLane, Load, ReplaceLane, Shift, Store, StoreLane, Ternary, Unary } from './operands.js';
import type { Expression, Operand } from './types.js';

type Vector = 'v128';

/** Instructions on the 128 bits as such. */
export const v128: {
  readonly load: Load<Vector>;
  /** Loads 4 bytes into every 32-bit lane. */
  readonly load32Splat: Load<Vector>;
  /** Loads 8 bytes into both 64-bit lanes. */
  readonly load64Splat: Load<Vector>;
  /** Loads 4 bytes into lane 0; the rest is zero. */
  readonly load32Zero: Load<Vector>;
  /** Loads 8 bytes into 64-bit lane 0; the rest is zero. */
  readonly load64Zero: Load<Vector>;
  /** Loads 8 bytes as four unsigned 16-bit numbers into 32-bit lanes. */
  readonly load16x4Unsigned: Load<Vector>;
  readonly store: Store<Vector>;
  readonly store8Lane: StoreLane;
  readonly store16Lane: StoreLane;
  readonly store32Lane: StoreLane;
  readonly store64Lane: StoreLane;
  readonly not: Unary<Vector>;
  readonly and: Binary<Vector>;
  /** `left & ~right`. */
  readonly andNot: Binary<Vector>;
  readonly or: Binary<Vector>;
  readonly xor: Binary<Vector>;
  /** Per bit: `third ? first : second`. */
  readonly bitselect: Ternary<Vector>;
  readonly anyTrue: Unary<Vector, 'i32'>;
} = {
  load: load('v128', simd(0), 2),
  load32Splat: load('v128', simd(9), 2),
  load64Splat: load('v128', simd(10), 2),
  load32Zero: load('v128', simd(92), 2),
  load64Zero: load('v128', simd(93), 2),
  load16x4Unsigned: load('v128', simd(4), 1),
  store: store('v128', simd(11), 2),
  store8Lane: storeLane(simd(88), 0, 16),
  store16Lane: storeLane(simd(89), 1, 8),
  store32Lane: storeLane(simd(90), 2, 4),
  store64Lane: storeLane(simd(91), 2, 2),
  not: vectorUnary(77),
  and: vectorBinary(78),
  andNot: vectorBinary(79),
  or: vectorBinary(80),
  xor: vectorBinary(81),
  bitselect: ternary('v128', simd(82)),
  anyTrue: unary('v128', 'i32', simd(83)),
};

/** Sixteen 8-bit lanes: the general shuffle, and what narrows to bytes. */
export const i8x16: {
  /** The signed 16-bit lanes of left then right, clipped to 0 … 255. */
  readonly narrowI16x8Unsigned: Binary<Vector>;
  /** Byte i of the result is byte `lanes[i]` of the 32 bytes of left then right. */
  readonly shuffle: (left: Operand<Vector>, right: Operand<Vector>, lanes: readonly number[]) => Expression<Vector>;
} = {
  narrowI16x8Unsigned: vectorBinary(102),
  shuffle: (left, right, lanes) => {
    if (lanes.length !== 16 || lanes.some((lane) => !Number.isInteger(lane) || lane < 0 || lane > 31)) {
      throw new RangeError(`i8x16.shuffle needs 16 lanes in [0, 32), got [${lanes.join(', ')}]`);
    }
    return new Instruction('v128', [...simd(13), ...lanes], operandOf('v128', left), operandOf('v128', right));
  },
};

/** Eight 16-bit lanes: the widening of bytes, the narrowing of words, and what takes apart packed codes. */
export const i16x8: {
  readonly shl: Shift;
  readonly shrSigned: Shift;
  readonly shrUnsigned: Shift;
  /** The signed 32-bit lanes of left then right, clipped to −2^15 … 2^15 − 1. */
  readonly narrowI32x4Signed: Binary<Vector>;
  /** The signed 32-bit lanes of left then right, clipped to 0 … 2^16 − 1. */
  readonly narrowI32x4Unsigned: Binary<Vector>;
  readonly extendLowI8x16Unsigned: Unary<Vector>;
  readonly extendHighI8x16Unsigned: Unary<Vector>;
} = {
  shl: shift(simd(139)),
  shrSigned: shift(simd(140)),
  shrUnsigned: shift(simd(141)),
  narrowI32x4Signed: vectorBinary(133),
  narrowI32x4Unsigned: vectorBinary(134),
  extendLowI8x16Unsigned: vectorUnary(137),
  extendHighI8x16Unsigned: vectorUnary(138),
};

/** Four 32-bit integer lanes. */
export const i32x4: {
  readonly constant: (a: number, b: number, c: number, d: number) => Expression<Vector>;
  readonly splat: Unary<'i32', Vector>;
  readonly extractLane: ExtractLane<'i32'>;
  readonly replaceLane: ReplaceLane<'i32'>;
  readonly eq: Binary<Vector>;
  readonly ne: Binary<Vector>;
  readonly ltSigned: Binary<Vector>;
  readonly ltUnsigned: Binary<Vector>;
  readonly gtSigned: Binary<Vector>;
  readonly gtUnsigned: Binary<Vector>;
  readonly leSigned: Binary<Vector>;
  readonly leUnsigned: Binary<Vector>;
  readonly geSigned: Binary<Vector>;
  readonly neg: Unary<Vector>;
  readonly add: Binary<Vector>;
  readonly sub: Binary<Vector>;
  readonly mul: Binary<Vector>;
  readonly minSigned: Binary<Vector>;
  readonly minUnsigned: Binary<Vector>;
  readonly maxSigned: Binary<Vector>;
  readonly maxUnsigned: Binary<Vector>;
  readonly shl: Shift;
  readonly shrSigned: Shift;
  readonly shrUnsigned: Shift;
  readonly allTrue: Unary<Vector, 'i32'>;
  readonly bitmask: Unary<Vector, 'i32'>;
  readonly extendLowI16x8Unsigned: Unary<Vector>;
  readonly extendHighI16x8Unsigned: Unary<Vector>;
  /** Lane i is the sum of the products of signed 16-bit lanes 2i and 2i + 1. */
  readonly dotI16x8Signed: Binary<Vector>;
  /**
   * Relaxed SIMD: lane i is that of `third` plus the sum of the products of four signed 8-bit lanes of `first` with those of
   * `second`, which must be 0 … 127: other machines take other lanes differently.
   */
  readonly relaxedDotI8x16I7x16AddSigned: Ternary<Vector>;
  /** Lane i of the result is lane `lanes[i]` of the eight lanes of left then right. */
  readonly shuffle: (left: Operand<Vector>, right: Operand<Vector>, lanes: readonly number[]) => Expression<Vector>;
} = {
  constant: (...lanes) => {
    const bytes = littleEndian(16, (view) => lanes.forEach((lane, i) => view.setInt32(4 * i, lane, true)));
    return new Instruction('v128', [...simd(12), ...bytes]);
  },
  splat: unary('i32', 'v128', simd(17)),
  extractLane: extractLane('i32', simd(27), 4),
  replaceLane: replaceLane('i32', simd(28), 4),
  eq: vectorBinary(55),
  ne: vectorBinary(56),
  ltSigned: vectorBinary(57),
  ltUnsigned: vectorBinary(58),
  gtSigned: vectorBinary(59),
  gtUnsigned: vectorBinary(60),
  leSigned: vectorBinary(61),
  leUnsigned: vectorBinary(62),
  geSigned: vectorBinary(63),
  neg: vectorUnary(161),
  add: vectorBinary(174),
  sub: vectorBinary(177),
  mul: vectorBinary(181),
  minSigned: vectorBinary(182),
  minUnsigned: vectorBinary(183),
  maxSigned: vectorBinary(184),
  maxUnsigned: vectorBinary(185),
  shl: shift(simd(171)),
  shrSigned: shift(simd(172)),
  shrUnsigned: shift(simd(173)),
  allTrue: unary('v128', 'i32', simd(163)),
  bitmask: unary('v128', 'i32', simd(164)),
  extendLowI16x8Unsigned: vectorUnary(169),
  extendHighI16x8Unsigned: vectorUnary(170),
  dotI16x8Signed: vectorBinary(186),
  relaxedDotI8x16I7x16AddSigned: ternary('v128', simd(0x113)),
  shuffle: (left, right, lanes) => {
    if (lanes.length !== 4) throw new RangeError(`i32x4.shuffle needs 4 lanes, got [${lanes.join(', ')}]`);
    const bytes = lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]);
    return i8x16.shuffle(left, right, bytes);
  },
};

/** Two 64-bit integer lanes: only the products of unsigned 32-bit lanes. */
export const i64x2: {
  /** Full products of lanes 0 and 1. */
  readonly extendedMultiplyLowUnsigned: Binary<Vector>;
  /** Full products of lanes 2 and 3. */
  readonly extendedMultiplyHighUnsigned: Binary<Vector>;
} = {
  extendedMultiplyLowUnsigned: vectorBinary(222),
  extendedMultiplyHighUnsigned: vectorBinary(223),
};
