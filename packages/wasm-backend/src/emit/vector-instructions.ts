/**
 * 128-bit vector instructions as tables of typed functions: the SIMD and relaxed SIMD proposals, both part of
 * WebAssembly 3.0 (specification, section 5.4.8). A v128 has no lane type of its own; the table's name gives the lanes.
 */
import {
  binary,
  codeOf,
  extractLane,
  littleEndian,
  load,
  replaceLane,
  shift,
  simd,
  store,
  storeLane,
  ternary,
  unary,
} from './operands.js';
import type { Binary, ExtractLane, Load, ReplaceLane, Shift, Store, StoreLane, Ternary, Unary } from './operands.js';
import type { Expression, Operand } from './types.js';

type Vector = 'v128';

const vectorUnary = (opcode: number): Unary<Vector> => unary('v128', 'v128', simd(opcode));
const vectorBinary = (opcode: number): Binary<Vector> => binary('v128', 'v128', simd(opcode));
const vectorTernary = (opcode: number): Ternary<Vector> => ternary('v128', simd(opcode));

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
  readonly store: Store<Vector>;
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
  store: store('v128', simd(11), 2),
  store32Lane: storeLane(simd(90), 2, 4),
  store64Lane: storeLane(simd(91), 2, 2),
  not: vectorUnary(77),
  and: vectorBinary(78),
  andNot: vectorBinary(79),
  or: vectorBinary(80),
  xor: vectorBinary(81),
  bitselect: vectorTernary(82),
  anyTrue: unary('v128', 'i32', simd(83)),
};

/** Sixteen 8-bit lanes: only the general shuffle. */
export const i8x16: {
  /** Byte i of the result is byte `lanes[i]` of the 32 bytes of left then right. */
  readonly shuffle: (left: Operand<Vector>, right: Operand<Vector>, lanes: readonly number[]) => Expression<Vector>;
} = {
  shuffle: (left, right, lanes) => {
    if (lanes.length !== 16 || lanes.some((lane) => !Number.isInteger(lane) || lane < 0 || lane > 31)) {
      throw new RangeError(`i8x16.shuffle needs 16 lanes in [0, 32), got [${lanes.join(', ')}]`);
    }
    return { type: 'v128', code: [codeOf('v128', left), codeOf('v128', right), simd(13), lanes] };
  },
};

/** Eight 16-bit lanes: only the widening of bytes. */
export const i16x8: {
  readonly extendLowI8x16Unsigned: Unary<Vector>;
  readonly extendHighI8x16Unsigned: Unary<Vector>;
} = {
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
  readonly add: Binary<Vector>;
  readonly sub: Binary<Vector>;
  readonly mul: Binary<Vector>;
  readonly shl: Shift;
  readonly shrSigned: Shift;
  readonly shrUnsigned: Shift;
  readonly allTrue: Unary<Vector, 'i32'>;
  readonly bitmask: Unary<Vector, 'i32'>;
  readonly extendLowI16x8Unsigned: Unary<Vector>;
  readonly extendHighI16x8Unsigned: Unary<Vector>;
  /** Lane i of the result is lane `lanes[i]` of the eight lanes of left then right. */
  readonly shuffle: (left: Operand<Vector>, right: Operand<Vector>, lanes: readonly number[]) => Expression<Vector>;
} = {
  constant: (a, b, c, d) => ({
    type: 'v128',
    code: [
      ...simd(12),
      ...littleEndian(16, (view) => [a, b, c, d].forEach((lane, i) => view.setInt32(4 * i, lane, true))),
    ],
  }),
  splat: unary('i32', 'v128', simd(17)),
  extractLane: extractLane('i32', simd(27), 4),
  replaceLane: replaceLane('i32', simd(28), 4),
  eq: vectorBinary(55),
  ne: vectorBinary(56),
  add: vectorBinary(174),
  sub: vectorBinary(177),
  mul: vectorBinary(181),
  shl: shift(simd(171)),
  shrSigned: shift(simd(172)),
  shrUnsigned: shift(simd(173)),
  allTrue: unary('v128', 'i32', simd(163)),
  bitmask: unary('v128', 'i32', simd(164)),
  extendLowI16x8Unsigned: vectorUnary(169),
  extendHighI16x8Unsigned: vectorUnary(170),
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

/** Four f32 lanes. */
export const f32x4: {
  /** The same constant in all lanes. */
  readonly constant: (value: number) => Expression<Vector>;
  readonly splat: Unary<'f32', Vector>;
  readonly extractLane: ExtractLane<'f32'>;
  readonly replaceLane: ReplaceLane<'f32'>;
  readonly eq: Binary<Vector>;
  readonly ne: Binary<Vector>;
  readonly lt: Binary<Vector>;
  readonly gt: Binary<Vector>;
  readonly le: Binary<Vector>;
  readonly ge: Binary<Vector>;
  readonly abs: Unary<Vector>;
  readonly neg: Unary<Vector>;
  readonly sqrt: Unary<Vector>;
  readonly add: Binary<Vector>;
  readonly sub: Binary<Vector>;
  readonly mul: Binary<Vector>;
  readonly div: Binary<Vector>;
  /** IEEE minimum: NaN if either is NaN. */
  readonly min: Binary<Vector>;
  /** IEEE maximum: NaN if either is NaN. */
  readonly max: Binary<Vector>;
  /** `right < left ? right : left`, one instruction on x64. */
  readonly pmin: Binary<Vector>;
  /** `left < right ? right : left`, one instruction on x64. */
  readonly pmax: Binary<Vector>;
  readonly convertI32x4Signed: Unary<Vector>;
  readonly truncSatSigned: Unary<Vector>;
  /** Relaxed SIMD: `first * second + third`, rounded once where the hardware fuses, twice elsewhere. */
  readonly relaxedMadd: Ternary<Vector>;
  /** Relaxed SIMD: `third - first * second`, rounded once where the hardware fuses. */
  readonly relaxedNmadd: Ternary<Vector>;
} = {
  constant: (value) => ({
    type: 'v128',
    code: [...simd(12), ...littleEndian(16, (view) => [0, 4, 8, 12].forEach((at) => view.setFloat32(at, value, true)))],
  }),
  splat: unary('f32', 'v128', simd(19)),
  extractLane: extractLane('f32', simd(31), 4),
  replaceLane: replaceLane('f32', simd(32), 4),
  eq: vectorBinary(65),
  ne: vectorBinary(66),
  lt: vectorBinary(67),
  gt: vectorBinary(68),
  le: vectorBinary(69),
  ge: vectorBinary(70),
  abs: vectorUnary(224),
  neg: vectorUnary(225),
  sqrt: vectorUnary(227),
  add: vectorBinary(228),
  sub: vectorBinary(229),
  mul: vectorBinary(230),
  div: vectorBinary(231),
  min: vectorBinary(232),
  max: vectorBinary(233),
  pmin: vectorBinary(234),
  pmax: vectorBinary(235),
  convertI32x4Signed: vectorUnary(250),
  truncSatSigned: vectorUnary(248),
  relaxedMadd: vectorTernary(0x105),
  relaxedNmadd: vectorTernary(0x106),
};

/** Two f64 lanes: what sums in double precision need. */
export const f64x2: {
  readonly splat: Unary<'f64', Vector>;
  readonly extractLane: ExtractLane<'f64'>;
  readonly add: Binary<Vector>;
  readonly sub: Binary<Vector>;
  readonly mul: Binary<Vector>;
  readonly div: Binary<Vector>;
  /** Widens f32 lanes 0 and 1. */
  readonly promoteLowF32x4: Unary<Vector>;
} = {
  splat: unary('f64', 'v128', simd(20)),
  extractLane: extractLane('f64', simd(33), 2),
  add: vectorBinary(240),
  sub: vectorBinary(241),
  mul: vectorBinary(242),
  div: vectorBinary(243),
  promoteLowF32x4: vectorUnary(95),
};
