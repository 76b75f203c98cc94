/**
 * Loops over contiguous elements, four at a time, with a tail of single elements. The body is written once against `Lanes`
 * and emitted for whole vectors (unrolled), and again for the tail, where a load fills all lanes with the one element and a
 * store writes lane 0. So a tail element goes through the same instructions as any other and has the same bits.
 *
 * Within a round all copies load before any of them stores. So neighbouring vectors stand next to each other in every step,
 * which is what V8's revectorisation joins: two loads or stores off one cursor, 16 bytes apart, with equal code in between.
 *
 * Elements are 32-bit words, 16-bit halves or bytes in memory and always 32-bit lanes in a vector.
 */
import { f32x4, i16x8, i32, i32x4, i8x16, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local, Statement } from '../emit/index.js';

/** How the body of a vector loop reaches the elements of this round. */
export interface Lanes {
  /** Which of the unrolled copies this is: pick one of several accumulators by it. */
  readonly copy: number;
  /** Four elements at a cursor. */
  load(cursor: Local<'i32'>): Expression<'v128'>;
  /** Writes four elements at a cursor. */
  store(cursor: Local<'i32'>, value: Expression<'v128'>): Statement;
  /** Four halves at a half cursor, in the low bits of the lanes. */
  loadHalf(cursor: Local<'i32'>): Expression<'v128'>;
  /** Writes four lanes, whose high halves must be 0, at a half cursor. */
  storeHalf(cursor: Local<'i32'>, value: Expression<'v128'>): Statement;
  /** Four mask bytes at a byte cursor as 32-bit lanes: all ones where the byte is not 0. */
  loadMask(cursor: Local<'i32'>): Expression<'v128'>;
  /** Writes four lanes of all ones or all zeros as bytes 1 and 0 at a byte cursor. */
  storeMask(cursor: Local<'i32'>, mask: Expression<'v128'>): Statement;
  /** The value with lanes that hold no element of their own set to 0; what sums must add. */
  own(value: Expression<'v128'>): Expression<'v128'>;
}

/** What a vector loop walks over. Cursors are consumed: afterwards they point behind the last element. */
export interface VectorLoop {
  /** Pointers to 32-bit elements. */
  readonly cursors: readonly Local<'i32'>[];
  /** Pointers to 16-bit elements. */
  readonly halfCursors?: readonly Local<'i32'>[];
  /** Pointers to bytes, such as masks. */
  readonly byteCursors?: readonly Local<'i32'>[];
  /** Number of elements; not changed. */
  readonly count: Local<'i32'>;
  /** Vectors per round. */
  readonly unroll: number;
}

const LANES = 4;

/** Emits the loop, each unrolled copy of the body after the other but for their stores, which come last. */
export function forEachVector(f: FunctionBuilder, loop: VectorLoop, body: (lanes: Lanes) => void): void {
  forEachGroup(f, loop, (group) => forEachCopy(f, group, body));
}

/** Emits the loop with a body that is given all unrolled copies of a round at once. */
export function forEachGroup(f: FunctionBuilder, loop: VectorLoop, body: (group: readonly Lanes[]) => void): void {
  const { cursors, halfCursors = [], byteCursors = [], unroll } = loop;
  const remaining = f.let('remaining', loop.count);
  const advance = (elements: number): void => {
    for (const cursor of cursors) f.set(cursor, i32.add(cursor, elements * 4));
    for (const cursor of halfCursors) f.set(cursor, i32.add(cursor, elements * 2));
    for (const cursor of byteCursors) f.set(cursor, i32.add(cursor, elements));
  };
  for (const copies of unroll > 1 ? [unroll, 1] : [1]) {
    f.countDown(remaining, copies * LANES, () => {
      body(Array.from({ length: copies }, (_, copy) => vectorLanes(copy)));
      advance(copies * LANES);
    });
  }
  const onlyFirst = f.let('onlyFirst', i32x4.constant(-1, 0, 0, 0));
  f.countDown(remaining, 1, () => {
    body([singleLane(onlyFirst)]);
    advance(1);
  });
}

type StoreName = 'store' | 'storeHalf' | 'storeMask';

const NOTHING: Statement = { type: 'void', code: [] };

/**
 * Emits the body for each copy of a group; what it stores is computed in its place and written after all copies.
 *
 * A copy must not read what another one of the same group writes.
 */
export function forEachCopy(f: FunctionBuilder, group: readonly Lanes[], body: (lanes: Lanes) => void): void {
  if (group.length === 1) return group.forEach(body);
  // By cursor: between two stores that are to be joined there must be none of another.
  const late = new Map<Local<'i32'>, LateStore[]>();
  const deferred =
    (lanes: Lanes, name: StoreName): Lanes['store'] =>
    (cursor, value) => {
      const stores = late.get(cursor) ?? [];
      late.set(cursor, [...stores, { lanes, name, value: f.let('stored', value) }]);
      return NOTHING;
    };
  for (const lanes of group) {
    const [store, storeHalf, storeMask] = [
      deferred(lanes, 'store'),
      deferred(lanes, 'storeHalf'),
      deferred(lanes, 'storeMask'),
    ];
    body({ ...lanes, store, storeHalf, storeMask });
  }
  for (const [cursor, stores] of late) writeLate(f, cursor, stores);
}

interface LateStore {
  readonly lanes: Lanes;
  readonly name: StoreName;
  readonly value: Local<'v128'>;
}

/**
 * The last copy first: the joined store is then one. In the other order V8 must write the first half by itself too, in case the
 * second is outside the memory. Halves of two copies are one vector.
 */
function writeLate(f: FunctionBuilder, cursor: Local<'i32'>, stores: readonly LateStore[]): void {
  for (let last = stores.length - 1; last >= 0; last -= 1) {
    const { lanes, name, value } = stores[last]!;
    const before = stores[last - 1];
    if (name === 'storeHalf' && before?.name === name && before.lanes.copy === lanes.copy - 1) {
      const codes = i16x8.narrowI32x4Unsigned(before.value, value);
      f.do(v128.store(cursor, codes, before.lanes.copy * 8));
      last -= 1;
    } else f.do(lanes[name](cursor, value));
  }
}

const NONE = i32x4.constant(0, 0, 0, 0);
/** The bytes 1 where a mask byte is all ones. */
const ONES = i32x4.constant(0x01010101, 0x01010101, 0x01010101, 0x01010101);
/** The first byte, and the first two bytes, of each lane. */
const FIRST_BYTES = [0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12];
const FIRST_HALVES = [0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13];

function vectorLanes(copy: number): Lanes {
  return {
    copy,
    load: (cursor) => v128.load(cursor, copy * 16),
    store: (cursor, value) => v128.store(cursor, value, copy * 16),
    loadHalf: (cursor) => v128.load16x4Unsigned(cursor, copy * 8),
    storeHalf: (cursor, value) => v128.store64Lane(cursor, i8x16.shuffle(value, NONE, FIRST_HALVES), 0, copy * 8),
    loadMask: (cursor) => {
      const bytes = v128.load32Zero(cursor, copy * 4);
      const wide = i32x4.extendLowI16x8Unsigned(i16x8.extendLowI8x16Unsigned(bytes));
      return i32x4.ne(wide, NONE);
    },
    storeMask: (cursor, mask) => {
      const bytes = v128.and(i8x16.shuffle(mask, NONE, FIRST_BYTES), ONES);
      return v128.store32Lane(cursor, bytes, 0, copy * 4);
    },
    own: (value) => value,
  };
}

/** One element at a time: a load fills all lanes with it, a store writes lane 0. */
export const single: Omit<Lanes, 'copy' | 'own'> = {
  load: (cursor) => v128.load32Splat(cursor),
  store: (cursor, value) => v128.store32Lane(cursor, value, 0),
  loadHalf: (cursor) => i32x4.splat(i32.load16Unsigned(cursor)),
  storeHalf: (cursor, value) => v128.store16Lane(cursor, value, 0),
  loadMask: (cursor) => i32x4.ne(i32x4.splat(i32.load8Unsigned(cursor)), NONE),
  storeMask: (cursor, mask) => v128.store8Lane(cursor, v128.and(mask, ONES), 0),
};

const singleLane = (onlyFirst: Local<'v128'>): Lanes => ({
  copy: 0,
  ...single,
  own: (value) => v128.and(value, onlyFirst),
});

/** One accumulator per unrolled copy, so that the additions of a round do not wait for each other. */
export class Accumulators {
  readonly #f: FunctionBuilder;
  readonly #locals: readonly Local<'v128'>[];

  constructor(f: FunctionBuilder, name: string, copies: number) {
    this.#f = f;
    this.#locals = Array.from({ length: copies }, (_, i) => f.local('v128', `${name}${i}`));
  }

  /** Sets every lane. */
  fill(value: Expression<'v128'>): void {
    for (const local of this.#locals) this.#f.set(local, value);
  }

  /** The accumulator of an unrolled copy. */
  of(copy: number): Local<'v128'> {
    return this.#locals[copy] as Local<'v128'>;
  }

  /** Combines all accumulators and all lanes pairwise; every lane of the result holds the total. */
  combine(operation: (a: Expression<'v128'>, b: Expression<'v128'>) => Expression<'v128'>): Local<'v128'> {
    const f = this.#f;
    let level: readonly Local<'v128'>[] = this.#locals;
    while (level.length > 1) {
      const half = Math.ceil(level.length / 2);
      const upper = level.slice(half);
      level = level.slice(0, half).map((a, i) => (upper[i] ? f.let('partial', operation(a, upper[i])) : a));
    }
    let total = level[0] as Local<'v128'>;
    for (const lanes of [
      [2, 3, 0, 1],
      [1, 0, 3, 2],
    ]) {
      total = f.let('total', operation(total, i32x4.shuffle(total, total, lanes)));
    }
    return total;
  }

  /** The sum over accumulators and lanes, in every lane. */
  sum(): Local<'v128'> {
    return this.combine(f32x4.add);
  }
}

/** A vector constant in a local, set here: V8 does not hoist constants out of loops, so call this before them. */
export function vectorConstant(f: FunctionBuilder, name: string, value: number): Local<'v128'> {
  return f.let(name, f32x4.constant(value));
}
