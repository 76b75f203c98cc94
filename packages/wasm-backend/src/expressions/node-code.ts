/**
 * The code of each op that a node of an expression can be, on four lanes at a time.
 *
 * Every node is rounded to its dtype as if it were stored, so nothing is contracted across nodes: an expression has the bits
 * of its steps run one by one. Inside a transcendental the tier's multiply-add may be fused.
 */
import type { DType } from '@mindseye/tensor-core';
import { f32x4, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../emit/index.js';
import type { Arithmetic } from '../kernels/tier.js';
import {
  type VectorFunctionEmitter,
  emitErf,
  emitExp,
  emitLog,
  emitSigmoid,
  emitTanh,
} from '../kernels/transcendental.js';
import { type TrigonometricName, emitTrigonometric } from '../kernels/trigonometric.js';
import { vectorConstant } from '../kernels/vector-loop.js';
import { castCode } from './casts.js';

export type Vector = Local<'v128'>;

/** Where nodes write their code. */
export interface NodeContext {
  readonly f: FunctionBuilder;
  readonly arithmetic: Arithmetic;
  /** Functions of the host, by name. */
  readonly host: Readonly<Record<TrigonometricName, FunctionReference<'f64'>>>;
}

/** Called before the loops, where constants are set; returns what writes the node inside them. */
export type NodeCode = (context: NodeContext) => (inputs: readonly Vector[]) => Expression<'v128'>;

/** The code for operands of these dtypes; undefined where there is none. */
type NodeRow = (dtypes: readonly DType[], attributes: object) => NodeCode | undefined;

type Instruction = (a: Vector, b: Vector) => Expression<'v128'>;

const direct =
  (instruction: Instruction): NodeCode =>
  () =>
  ([a, b]) =>
    instruction(a!, b!);

/** A row that depends on the dtype of the first operand alone. */
const byDType = (codes: Partial<Record<DType, NodeCode>>): NodeRow => {
  return ([dtype]) => codes[dtype!];
};

const onF32 = (instruction: Instruction): NodeRow => byDType({ f32: direct(instruction) });
const onBool = (instruction: Instruction): NodeRow => byDType({ bool: direct(instruction) });

/** f32, and one instruction for both kinds of whole number. */
const numeric = (float: Instruction, whole: Instruction): NodeRow =>
  byDType({ f32: direct(float), i32: direct(whole), u32: direct(whole) });

/** An instruction for each of f32, i32 and u32, and what is left of it on truth values. */
const compared = (float: Instruction, signed: Instruction, unsigned: Instruction, truth: Instruction): NodeRow =>
  byDType({ f32: direct(float), i32: direct(signed), u32: direct(unsigned), bool: direct(truth) });

const transcendental = (emit: VectorFunctionEmitter): NodeRow =>
  byDType({
    f32: ({ f, arithmetic }) => {
      const write = emit(f, arithmetic);
      return ([x]) => write(x!);
    },
  });

const trigonometric = (name: TrigonometricName): NodeRow =>
  byDType({
    f32: ({ f, arithmetic, host }) => {
      const write = emitTrigonometric(name, host[name])(f, arithmetic);
      return ([x]) => write(x!);
    },
  });

const select: NodeRow = () => () => (inputs) => {
  const [condition, a, b] = inputs as readonly [Vector, Vector, Vector];
  return v128.bitselect(a, b, condition);
};

const cast: NodeRow = ([from], attributes) => {
  const convert = castCode(from!, (attributes as { readonly dtype: DType }).dtype);
  return ({ f }) => {
    const write = convert(f);
    return ([x]) => write(x!);
  };
};

const shiftRight: NodeRow = (_dtypes, attributes) => {
  const { bits } = attributes as { readonly bits: number };
  return () =>
    ([x]) =>
      i32x4.shrUnsigned(x!, bits);
};

const identity: NodeRow = () => () => (inputs) => inputs[0]!;

/** Not an op: the element itself, for ops that only repeat elements. */
export const copyName = 'copy';

const rows: Readonly<Record<string, NodeRow>> = {
  neg: byDType({ f32: direct((x) => f32x4.neg(x)), i32: direct((x) => i32x4.neg(x)) }),
  abs: onF32((x) => f32x4.abs(x)),
  sqrt: onF32((x) => f32x4.sqrt(x)),
  rsqrt: byDType({
    f32: ({ f }) => {
      const one = vectorConstant(f, 'one', 1);
      return ([x]) => f32x4.div(one, f32x4.sqrt(x!));
    },
  }),
  floor: onF32((x) => f32x4.floor(x)),
  exp: transcendental(emitExp),
  log: transcendental(emitLog),
  tanh: transcendental(emitTanh),
  sigmoid: transcendental(emitSigmoid),
  erf: transcendental(emitErf),
  sin: trigonometric('sin'),
  cos: trigonometric('cos'),
  add: numeric(f32x4.add, i32x4.add),
  sub: numeric(f32x4.sub, i32x4.sub),
  mul: numeric(f32x4.mul, i32x4.mul),
  div: onF32(f32x4.div),
  maximum: compared(f32x4.max, i32x4.maxSigned, i32x4.maxUnsigned, v128.or),
  minimum: compared(f32x4.min, i32x4.minSigned, i32x4.minUnsigned, v128.and),
  equal: compared(f32x4.eq, i32x4.eq, i32x4.eq, i32x4.eq),
  // Truth is -1 in a lane, so the order turns round.
  less: compared(f32x4.lt, i32x4.ltSigned, i32x4.ltUnsigned, i32x4.gtSigned),
  lessEqual: compared(f32x4.le, i32x4.leSigned, i32x4.leUnsigned, i32x4.geSigned),
  logicalAnd: onBool(v128.and),
  logicalOr: onBool(v128.or),
  logicalNot: onBool((x) => v128.not(x)),
  select,
  cast,
  shiftRight,
  bitcast: identity,
  stopGradient: identity,
  [copyName]: identity,
};

/** Ops whose code is long and keeps many constants: loops with one are not unrolled. */
const long = new Set(['exp', 'log', 'tanh', 'sigmoid', 'erf', 'sin', 'cos']);

export const isLong = (op: string): boolean => long.has(op);

/** The code of one node, or undefined when this backend has none for it. */
export const nodeCode = (op: string, dtypes: readonly DType[], attributes: object): NodeCode | undefined =>
  rows[op]?.(dtypes, attributes);
