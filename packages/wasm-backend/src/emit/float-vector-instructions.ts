/**
 * 128-bit vector instructions on floating-point lanes, as the tables of `vector-instructions.ts` are on bits and integers.
 */
import { Instruction } from './instruction.js';
import { extractLane, littleEndian, replaceLane, simd, ternary, unary, vectorBinary, vectorUnary } from './operands.js';
import type { Binary, ExtractLane, ReplaceLane, Ternary, Unary } from './operands.js';
import type { Expression } from './types.js';

type Vector = 'v128';

/** The constant whose lanes all have these bytes. */
function repeated(lane: readonly number[]): Expression<Vector> {
  const bytes = [...simd(12)];
  for (let i = 0; i < 16; i += 1) bytes.push(lane[i % lane.length]!);
  return new Instruction('v128', bytes);
}

const vectorTernary = (opcode: number): Ternary<Vector> => ternary('v128', simd(opcode));

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
  readonly floor: Unary<Vector>;
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
  readonly convertI32x4Unsigned: Unary<Vector>;
  /** Towards zero to i32, the nearest end beyond it, 0 for NaN. */
  readonly truncSatSigned: Unary<Vector>;
  /** The same to u32. */
  readonly truncSatUnsigned: Unary<Vector>;
  /** Rounds two f64 lanes into lanes 0 and 1; the rest is zero. */
  readonly demoteF64x2Zero: Unary<Vector>;
  /** Relaxed SIMD: `first * second + third`, rounded once where the hardware fuses, twice elsewhere. */
  readonly relaxedMadd: Ternary<Vector>;
  /** Relaxed SIMD: `third - first * second`, rounded once where the hardware fuses. */
  readonly relaxedNmadd: Ternary<Vector>;
} = {
  constant: (value) => repeated(littleEndian(4, (view) => view.setFloat32(0, value, true))),
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
  floor: vectorUnary(104),
  add: vectorBinary(228),
  sub: vectorBinary(229),
  mul: vectorBinary(230),
  div: vectorBinary(231),
  min: vectorBinary(232),
  max: vectorBinary(233),
  pmin: vectorBinary(234),
  pmax: vectorBinary(235),
  convertI32x4Signed: vectorUnary(250),
  convertI32x4Unsigned: vectorUnary(251),
  truncSatSigned: vectorUnary(248),
  truncSatUnsigned: vectorUnary(249),
  demoteF64x2Zero: vectorUnary(94),
  relaxedMadd: vectorTernary(0x105),
  relaxedNmadd: vectorTernary(0x106),
};

/** Two f64 lanes: what sums in double precision and the reduction of angles need. */
export const f64x2: {
  /** The same constant in both lanes. */
  readonly constant: (value: number) => Expression<Vector>;
  readonly splat: Unary<'f64', Vector>;
  readonly extractLane: ExtractLane<'f64'>;
  readonly add: Binary<Vector>;
  readonly sub: Binary<Vector>;
  readonly mul: Binary<Vector>;
  readonly div: Binary<Vector>;
  /** To the nearest whole number, ties to even. */
  readonly nearest: Unary<Vector>;
  /** Widens f32 lanes 0 and 1. */
  readonly promoteLowF32x4: Unary<Vector>;
  /** Towards zero to i32 in lanes 0 and 1, 0 in the others and for NaN. */
  readonly truncSatSignedZero: Unary<Vector>;
} = {
  constant: (value) => repeated(littleEndian(8, (view) => view.setFloat64(0, value, true))),
  splat: unary('f64', 'v128', simd(20)),
  extractLane: extractLane('f64', simd(33), 2),
  add: vectorBinary(240),
  sub: vectorBinary(241),
  mul: vectorBinary(242),
  div: vectorBinary(243),
  nearest: vectorUnary(148),
  promoteLowF32x4: vectorUnary(95),
  truncSatSignedZero: vectorUnary(252),
};
