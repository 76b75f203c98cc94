/**
 * How elements of each dtype lie in memory and in 32-bit lanes.
 *
 *   f32, i32, u32   the word itself
 *   f16, bf16       the 16 stored bits, in the low half of the lane; only casts look at them
 *   bool            a byte 0 or 1 in memory, all zeros or all ones in a lane
 */
import { type DType, encoderOf } from '@mindseye/tensor-core';
import { f32x4, i32x4 } from '../emit/index.js';
import type { Expression, Local, Statement } from '../emit/index.js';
import type { Lanes, VectorLoop } from '../kernels/vector-loop.js';

/** What an element access needs of the loop it is in. */
export type ElementLanes = Omit<Lanes, 'copy' | 'own'>;

type Pointer = Local<'i32'>;
type Vector = Expression<'v128'>;

interface ElementForm {
  /** The list of `VectorLoop` that pointers to such elements are in. */
  readonly cursors: 'cursors' | 'halfCursors' | 'byteCursors';
  load(lanes: ElementLanes, pointer: Pointer): Vector;
  store(lanes: ElementLanes, pointer: Pointer, value: Vector): Statement;
}

const word: ElementForm = {
  cursors: 'cursors',
  load: (lanes, pointer) => lanes.load(pointer),
  store: (lanes, pointer, value) => lanes.store(pointer, value),
};
const half: ElementForm = {
  cursors: 'halfCursors',
  load: (lanes, pointer) => lanes.loadHalf(pointer),
  store: (lanes, pointer, value) => lanes.storeHalf(pointer, value),
};
const flag: ElementForm = {
  cursors: 'byteCursors',
  load: (lanes, pointer) => lanes.loadMask(pointer),
  store: (lanes, pointer, value) => lanes.storeMask(pointer, value),
};

const forms: Readonly<Record<DType, ElementForm>> = {
  f32: word,
  i32: word,
  u32: word,
  f16: half,
  bf16: half,
  bool: flag,
};

export const loadElement = (lanes: ElementLanes, dtype: DType, pointer: Pointer): Vector =>
  forms[dtype].load(lanes, pointer);

export const storeElement = (lanes: ElementLanes, dtype: DType, pointer: Pointer, value: Vector): Statement =>
  forms[dtype].store(lanes, pointer, value);

/** Pointers to elements of some dtypes as the cursors of a vector loop. */
export function cursorsOf(
  pointers: readonly { readonly dtype: DType; readonly pointer: Pointer }[],
): Required<Pick<VectorLoop, 'cursors' | 'halfCursors' | 'byteCursors'>> {
  const lists = { cursors: [] as Pointer[], halfCursors: [] as Pointer[], byteCursors: [] as Pointer[] };
  for (const { dtype, pointer } of pointers) lists[forms[dtype].cursors].push(pointer);
  return lists;
}

/** The wasm type that a constant of `dtype` is passed in. */
export const constantType = (dtype: DType): 'f32' | 'i32' => (dtype === 'f32' ? 'f32' : 'i32');

/** What is passed for a constant: the number for f32, the bits of a lane for the others. */
export function constantArgument(dtype: DType, value: number): number {
  const stored = encoderOf(dtype)(value);
  return dtype === 'bool' ? -stored : stored;
}

/** A constant argument in all lanes. */
export const splatConstant = (dtype: DType, argument: Local): Vector =>
  dtype === 'f32' ? f32x4.splat(argument as Local<'f32'>) : i32x4.splat(argument as Local<'i32'>);
