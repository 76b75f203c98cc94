/**
 * The bytes of intermediates that are alive at each step while steps are merged into groups.
 *
 * A group runs at the place of its last member. Merging a producer group into a later one moves its work down: its operands
 * may be kept for longer, the values that only the merged group reads are never stored, and its other results are born
 * later. The merge is allowed
 *
 *   a) when the operands kept for longer take no more bytes than the values that vanish, or
 *   b) over a short way, when at no step between the two places more is alive afterwards than was alive, before any fusion,
 *      at the fullest step from the group's first member to its last.
 *
 * So the fullest step of the fused program is never fuller than that of the program it was made from. Pieces that are written
 * straight into the result of a `concat` stay where they are: a merge that would hinder that is not allowed.
 */
import type { Program } from '../plan/program.js';
import { byteLengthOf, lifetimesOf, storageOf } from '../plan/storage.js';
import type { ProgramLeaves } from './leaves.js';

/** Steps over which rule b) is tried. */
const shortWay = 64;

export interface MergeRange {
  /** Place of the producer group before the merge. */
  readonly from: number;
  /** Place of the merged group. */
  readonly to: number;
  readonly firstMember: number;
  /** Values that the producer group reads from outside. */
  readonly operands: readonly number[];
  /** Values that the producer group writes and only the merged group reads. */
  readonly vanishing: readonly number[];
  /** Values that the producer group goes on to write. */
  readonly written: readonly number[];
  /** All values that the merged group writes. */
  readonly outputs: readonly number[];
}

export interface LiveBytes {
  /** Whether the rules allow the merge. */
  allows(range: MergeRange): boolean;
  /** Takes note that the merge was made. */
  commit(range: MergeRange): void;
}

/**
 * @param placeOf where a step runs in the present grouping.
 * @param alignment of views, in bytes.
 */
export function trackLiveBytes(
  program: Program,
  leaves: ProgramLeaves,
  placeOf: (step: number) => number,
  alignment?: number,
): LiveBytes {
  const { values, steps } = program;
  const storage = storageOf(program, alignment);
  const end = steps.length;
  const viewsOf: number[][] = values.map(() => []);
  storage.forEach(({ owner }, value) => viewsOf[owner]!.push(value));
  const bytesOf = (value: number): number => {
    const { owner } = storage[value]!;
    return leaves.writers[owner] === undefined ? 0 : byteLengthOf(values[owner]!);
  };
  /** The last place where the bytes of a value are read, directly or through a view. */
  const lastRead = (value: number): number => {
    let last = -1;
    for (const view of viewsOf[storage[value]!.owner]!)
      for (const reader of leaves.readers[view]!) last = Math.max(last, reader === end ? end : placeOf(reader));
    return last;
  };

  const before = new Float64Array(end + 1);
  const now = new Float64Array(end + 1);
  const add = (to: Float64Array, first: number, last: number, bytes: number): void => {
    for (let step = first; step <= last; step++) to[step]! += bytes;
  };
  const { born, dies } = lifetimesOf(program, storage);
  values.forEach((_, value) => {
    if (storage[value]!.owner !== value || born[value]! < 0) return;
    add(before, born[value]!, dies[value]!, bytesOf(value));
    const isAbsorbed = leaves.kinds[leaves.writers[value]!] === 'leaf' && lastRead(value) < 0;
    if (!isAbsorbed) add(now, born[value]!, Math.max(born[value]!, lastRead(value)), bytesOf(value));
  });

  /** Owners of the operands that the merge keeps for longer, with the place where they die without it. */
  const keptOf = ({ to, operands }: MergeRange): Map<number, number> => {
    const kept = new Map<number, number>();
    for (const value of operands) {
      const last = lastRead(value);
      if (last < to && bytesOf(value) > 0) kept.set(storage[value]!.owner, last);
    }
    return kept;
  };

  const pieces = new Set(
    steps.flatMap(({ op, inputs, outputs: [result] }) =>
      op.name === 'concat' ? inputs.filter((value) => storage[value]!.owner === storage[result!]!.owner) : [],
    ),
  );
  /** A piece of a concatenation is written in place only by a step that writes nothing else and reads no other piece. */
  const hindersPiece = ({ outputs, operands }: MergeRange): boolean =>
    outputs.some(
      (value) =>
        pieces.has(value) &&
        (outputs.length > 1 || operands.some((operand) => storage[operand]!.owner === storage[value]!.owner)),
    );

  return {
    allows(range) {
      if (hindersPiece(range)) return false;
      const kept = keptOf(range);
      let longer = 0;
      for (const value of kept.keys()) longer += bytesOf(value);
      const gone = range.vanishing.reduce((sum, value) => sum + bytesOf(value), 0);
      if (longer <= gone) return true;
      if (range.to - range.firstMember > shortWay) return false;
      let fullest = 0;
      for (let step = range.firstMember; step <= range.to; step++) fullest = Math.max(fullest, before[step]!);
      for (let step = range.from; step <= range.to; step++) {
        const change = changeAt(step, range, kept);
        if (change > 0 && now[step]! + change > fullest) return false;
      }
      return true;
    },
    commit(range) {
      const kept = keptOf(range);
      for (let step = range.from; step <= range.to; step++) now[step]! += changeAt(step, range, kept);
    },
  };

  /** What the merge adds to the bytes alive at a step of its range. */
  function changeAt(step: number, { to, vanishing, written }: MergeRange, kept: ReadonlyMap<number, number>): number {
    let change = 0;
    for (const [value, last] of kept) if (step > last) change += bytesOf(value);
    for (const value of vanishing) change -= bytesOf(value);
    if (step < to) for (const value of written) change -= bytesOf(value);
    return change;
  }
}
