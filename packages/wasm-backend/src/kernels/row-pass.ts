/**
 * One pass over the elements of a row, for the row-wise families: vectors in unrolled rounds, then what is left over.
 *
 * Written so that V8's revectorisation joins neighbouring vectors, and computed by the same operations in the same order
 * whether it does or not. What would keep it from that:
 *
 *   stores between loads     all copies of a round load before any of them stores
 *   sums that no store uses  it starts from pairs of stores; so the accumulators of a `RowTotal` are stored side by side under
 *                            a condition that never holds
 *   stores of several rows   all stores of a cursor stand together
 *   numbers of the row       what all elements are combined with must be a splat or a constant: `splat`
 *   variables of the round   WebAssembly carries every local that a loop assigns into the next round, and each that is carried
 *                            counts against joining; `keep` gives its variables up at the end of the round
 *
 * A `RowTotal` has one accumulator per copy. Neighbours are joined pairwise after the rounds, the left over vectors and
 * elements follow one by one, then the lanes are joined.
 */
import { f32, f32x4, i32, i32x4, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local, Operand, Statement } from '../emit/index.js';
import { single } from './vector-loop.js';
import type { Lanes } from './vector-loop.js';

const LANES = 4;
const VECTOR_BYTES = 16;
const ELEMENT_BYTES = 4;

type Join = (a: Operand<'v128'>, b: Operand<'v128'>) => Expression<'v128'>;

/** How the body of a pass reaches the elements at hand. */
export interface RowLanes {
  /** Four elements at a cursor; at the end of the row one, in every lane. */
  load(cursor: Local<'i32'>): Expression<'v128'>;
  /** Computes a value here and writes it after all copies of the round; a copy must not read what another one writes. */
  store(cursor: Local<'i32'>, value: Expression<'v128'>): void;
  /** A value that is used more than once, until the end of the round. */
  keep(name: string, value: Expression<'v128'>): Local<'v128'>;
  /** Replaces the accumulator of a total by what `next` makes of it. */
  update(total: RowTotal, next: (accumulator: Local<'v128'>) => Expression<'v128'>): void;
}

/** What a pass walks over. */
export interface RowPass {
  /** Pointers to 32-bit elements; afterwards they point behind the last one. */
  readonly cursors: readonly Local<'i32'>[];
  /** Number of elements; not changed, and never -1. */
  readonly count: Local<'i32'>;
  /** Vectors per round, a power of two. */
  readonly unroll: number;
  /** What the pass adds up; each has as many copies as the pass. */
  readonly totals?: readonly RowTotal[];
}

/** What is added up over a row. */
export class RowTotal {
  readonly #f: FunctionBuilder;
  readonly #join: Join;
  readonly #identity: Local<'v128'>;
  readonly accumulators: readonly Local<'v128'>[];
  /** Holds what the rounds have added up, and the rest of the row as it comes. */
  readonly rest: Local<'v128'>;

  /** @param identity changes nothing it is joined with; it is set where the total is made, so make it before the loops. */
  constructor(f: FunctionBuilder, name: string, copies: number, identity = 0, join: Join = f32x4.add) {
    this.#f = f;
    this.#join = join;
    this.#identity = f.let(`${name}Identity`, f32x4.constant(identity));
    this.accumulators = Array.from({ length: copies }, (_, i) => f.local('v128', `${name}${i}`));
    this.rest = f.local('v128', `${name}Rest`);
  }

  /** Starts over. */
  start(): void {
    for (const local of [...this.accumulators, this.rest]) this.#f.set(local, this.#identity);
  }

  /** Joins the accumulators after the rounds. @param count the elements of the row. @param cursor any address. */
  settle(count: Local<'i32'>, cursor: Local<'i32'>): void {
    const f = this.#f;
    f.if(i32.eq(count, -1), () => {
      f.do(...this.accumulators.map((local, i) => v128.store(cursor, local, i * VECTOR_BYTES)));
    });
    let level = this.accumulators;
    while (level.length > 1) {
      level = level.flatMap((local, i) => (i % 2 ? [] : [f.let('joined', this.#join(local, level[i + 1]!))]));
    }
    f.set(this.rest, level[0]!);
  }

  /** The total. */
  value(): Local<'f32'> {
    let total = this.rest;
    for (const lanes of [
      [2, 3, 0, 1],
      [1, 0, 3, 2],
    ]) {
      total = this.#f.let('total', this.#join(total, i32x4.shuffle(total, total, lanes)));
    }
    return this.#f.let('sum', f32x4.extractLane(total, 0));
  }
}

/** A number of a row for all lanes. */
export const splat = (f: FunctionBuilder, name: string, value: Expression<'f32'>): Local<'v128'> =>
  f.let(name, f32x4.splat(value));

/**
 * 1 / sqrt(x). Vectors take the root: V8 encodes the scalar instruction in the form from before AVX, which costs 100 ns where
 * instructions of 256 bits stand around it.
 */
export const inverseRoot = (f: FunctionBuilder, x: Expression<'f32'>): Local<'f32'> =>
  f.let('inverseRoot', f32.div(1, f32x4.extractLane(f32x4.sqrt(f32x4.splat(x)), 0)));

/** Emits the pass; `body` is emitted for every copy of a round, for a vector alone and for an element alone. */
export function forEachOfRow(
  f: FunctionBuilder,
  { cursors, count, unroll, totals = [] }: RowPass,
  body: (lanes: RowLanes) => void,
): void {
  const zero = f.let('zero', i32x4.constant(0, 0, 0, 0));
  const onlyFirst = f.let('onlyFirst', i32x4.constant(-1, 0, 0, 0));
  const remaining = f.let('remaining', count);
  /** One round, of all copies that are given. */
  const round = (copies: readonly Access[], elements: number): void => {
    const kept: Local<'v128'>[] = [];
    const stores: Stores = new Map(cursors.map((cursor) => [cursor, []]));
    for (const access of copies) body(lanesOf(f, access, kept, stores));
    for (const statements of stores.values()) f.do(...statements);
    for (const local of kept) f.set(local, zero);
    for (const cursor of cursors) f.set(cursor, i32.add(cursor, elements * ELEMENT_BYTES));
  };
  const enough = i32.geUnsigned(remaining, unroll * LANES);
  f.if(enough, () => {
    f.loop((again) => {
      round(Array.from({ length: unroll }, vectorOfRound), unroll * LANES);
      f.set(remaining, i32.sub(remaining, unroll * LANES));
      f.branchIf(again, enough);
    });
    for (const total of totals) total.settle(count, cursors[0]!);
  });
  f.countDown(remaining, LANES, () => round([vectorAlone], LANES));
  f.countDown(remaining, 1, () => round([elementAlone(onlyFirst)], 1));
}

type Stores = ReadonlyMap<Local<'i32'>, Statement[]>;

/** How one copy reaches memory, and what it adds to. */
interface Access extends Pick<Lanes, 'load' | 'store'> {
  readonly accumulator: (total: RowTotal) => Local<'v128'>;
  /** What the accumulator becomes. */
  readonly updated: (next: Expression<'v128'>, accumulator: Local<'v128'>) => Expression<'v128'>;
}

const vectorOfRound = (_: unknown, copy: number): Access => ({
  load: (cursor) => v128.load(cursor, copy * VECTOR_BYTES),
  store: (cursor, value) => v128.store(cursor, value, copy * VECTOR_BYTES),
  accumulator: ({ accumulators }) => accumulators[copy]!,
  updated: (next) => next,
});

const vectorAlone: Access = { ...vectorOfRound(undefined, 0), accumulator: ({ rest }) => rest };

/** The other lanes hold copies of the element, which do not count. */
const elementAlone = (onlyFirst: Local<'v128'>): Access => ({
  ...single,
  accumulator: ({ rest }) => rest,
  updated: (next, accumulator) => v128.bitselect(next, accumulator, onlyFirst),
});

function lanesOf(f: FunctionBuilder, access: Access, kept: Local<'v128'>[], stores: Stores): RowLanes {
  const keep: RowLanes['keep'] = (name, value) => {
    const local = f.let(name, value);
    kept.push(local);
    return local;
  };
  return {
    load: access.load,
    store: (cursor, value) => void stores.get(cursor)!.push(access.store(cursor, keep('stored', value))),
    keep,
    update(total, next) {
      const accumulator = access.accumulator(total);
      f.set(accumulator, access.updated(next(accumulator), accumulator));
    },
  };
}
