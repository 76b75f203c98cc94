import { type Op, applyOne } from '../op.js';
import type { Tensor } from '../tensor.js';
import { type NoAttributes, defineUnary } from './elementwise.js';

/** The largest whole number not above x. Gradients stop here: the function is flat between its jumps. */
export const floorOp: Op<NoAttributes> = defineUnary({ name: 'floor', compute: Math.floor, stopsGradient: true });

export const floor = (x: Tensor): Tensor => applyOne(floorOp, [x], {});
