/**
 * The ops that nodes of a fused expression can be: those with a `scalar`, by name. And the reductions.
 *
 * `opTable` takes them from here; the other way round is closed, because that table holds the fused expression op itself.
 */
import type { Op } from '../op.js';
import { absOp } from '../ops/abs.js';
import { addOp } from '../ops/add.js';
import { bitcastOp } from '../ops/bitcast.js';
import { castOp } from '../ops/cast.js';
import { equalOp, lessEqualOp, lessOp } from '../ops/compare.js';
import { cosOp } from '../ops/cos.js';
import { divOp } from '../ops/div.js';
import { erfOp } from '../ops/erf.js';
import { expOp } from '../ops/exp.js';
import { floorOp } from '../ops/floor.js';
import { logOp } from '../ops/log.js';
import { logicalAndOp, logicalNotOp, logicalOrOp } from '../ops/logical.js';
import { maxOp } from '../ops/max.js';
import { maximumOp } from '../ops/maximum.js';
import { minimumOp } from '../ops/minimum.js';
import { mulOp } from '../ops/mul.js';
import { negOp } from '../ops/neg.js';
import { rsqrtOp } from '../ops/rsqrt.js';
import { selectOp } from '../ops/select.js';
import { shiftRightOp } from '../ops/shift-right.js';
import { sigmoidOp } from '../ops/sigmoid.js';
import { sinOp } from '../ops/sin.js';
import { sqrtOp } from '../ops/sqrt.js';
import { subOp } from '../ops/sub.js';
import { type ReduceAttributes, sumOp } from '../ops/sum.js';
import { tanhOp } from '../ops/tanh.js';
import type { ReductionKind } from './expression.js';

const list = (): readonly Op[] => [
  negOp,
  absOp,
  expOp,
  logOp,
  sqrtOp,
  rsqrtOp,
  sinOp,
  cosOp,
  tanhOp,
  sigmoidOp,
  erfOp,
  floorOp,
  addOp,
  subOp,
  mulOp,
  divOp,
  maximumOp,
  minimumOp,
  equalOp,
  lessOp,
  lessEqualOp,
  logicalAndOp,
  logicalOrOp,
  logicalNotOp,
  selectOp,
  castOp as Op,
  bitcastOp as Op,
  shiftRightOp as Op,
];

let table: ReadonlyMap<string, Op> | undefined;

/** Every op with a `scalar`, by name. Made on first use: op files may still be loading when this one does. */
export function scalarOps(): ReadonlyMap<string, Op> {
  table ??= new Map(list().map((op) => [op.name, op]));
  return table;
}

/** The op of a reduction. */
export const reductionOp = (kind: ReductionKind): Op<ReduceAttributes> => (kind === 'sum' ? sumOp : maxOp);
