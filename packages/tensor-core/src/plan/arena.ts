/**
 * Arena layout: a byte offset for every slot, so that slots alive at the same time never overlap.
 *
 * Up to three layouts are made, until one needs no more than what is alive at once, and the smallest is kept. *First fit in
 * order of birth* walks the run and puts each slot into the lowest gap. The others place the *largest first*, or those needed
 * *longest first*, at the lowest offset that is free over their whole life: they pack better but look at all pairs, and are
 * left out for very long plans.
 * Offsets are multiples of 256 bytes, which every device accepts as a binding offset.
 */

export const arenaAlignment = 256;

/** Bytes that are needed from step `born` to step `dies`, both included. */
export interface Slot {
  readonly byteLength: number;
  readonly born: number;
  readonly dies: number;
}

export interface ArenaLayout {
  /** Offset of each slot in bytes. */
  readonly offsets: readonly number[];
  readonly byteLength: number;
  /** The step during which most bytes are alive. */
  readonly peakStep: number;
  /** The bytes alive then: no layout can be smaller. */
  readonly liveBytes: number;
}

/** Beyond this many slots, layouts that look at all pairs would cost more time than they save memory. */
const mostPairs = 6000;

export function layOutArena(slots: readonly Slot[]): ArenaLayout {
  const sizes = slots.map(({ byteLength }) => align(byteLength));
  const { peakStep, liveBytes } = peakOfSlots(slots, sizes);
  let offsets = firstFit(slots, sizes);
  for (const order of slots.length <= mostPairs ? orders : []) {
    if (extent(offsets, sizes) === liveBytes) break;
    const other = placeInOrder(slots, sizes, order);
    if (extent(other, sizes) < extent(offsets, sizes)) offsets = other;
  }
  return { offsets, byteLength: extent(offsets, sizes), peakStep, liveBytes };
}

export const align = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment;

const extent = (offsets: readonly number[], sizes: readonly number[]): number =>
  offsets.reduce((most, offset, i) => Math.max(most, sizes[i] === 0 ? 0 : offset + sizes[i]!), 0);

function peakOfSlots(
  slots: readonly Slot[],
  sizes: readonly number[],
): { readonly peakStep: number; readonly liveBytes: number } {
  const change = new Map<number, number>();
  const add = (step: number, bytes: number): unknown => change.set(step, (change.get(step) ?? 0) + bytes);
  slots.forEach(({ born, dies }, i) => {
    add(born, sizes[i]!);
    add(dies + 1, -sizes[i]!);
  });
  let [live, liveBytes, peakStep] = [0, 0, 0];
  for (const step of [...change.keys()].sort((a, b) => a - b)) {
    live += change.get(step)!;
    if (live > liveBytes) [liveBytes, peakStep] = [live, step];
  }
  return { peakStep, liveBytes };
}

interface Gap {
  readonly start: number;
  readonly end: number;
}

/** Each slot, in order of birth, at the lowest gap it fits; the gaps are kept, not the slots, because they are few. */
function firstFit(slots: readonly Slot[], sizes: readonly number[]): number[] {
  const offsets = slots.map(() => 0);
  const order = slots
    .map((_, i) => i)
    .filter((i) => sizes[i]! > 0)
    .sort((a, b) => slots[a]!.born - slots[b]!.born);
  const ends = [...order].sort((a, b) => slots[a]!.dies - slots[b]!.dies);
  const gaps: Gap[] = [{ start: 0, end: Infinity }];
  let ended = 0;
  for (const i of order) {
    for (; ended < ends.length && slots[ends[ended]!]!.dies < slots[i]!.born; ended++)
      release(gaps, { start: offsets[ends[ended]!]!, end: offsets[ends[ended]!]! + sizes[ends[ended]!]! });
    const place = gaps.findIndex(({ start, end }) => end - start >= sizes[i]!);
    const { start, end } = gaps[place]!;
    offsets[i] = start;
    if (start + sizes[i]! === end) gaps.splice(place, 1);
    else gaps[place] = { start: start + sizes[i]!, end };
  }
  return offsets;
}

/** Puts a range back between the sorted gaps, joining neighbours. */
function release(gaps: Gap[], { start, end }: Gap): void {
  let [low, high] = [0, gaps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (gaps[middle]!.start < start) low = middle + 1;
    else high = middle;
  }
  const joinsBefore = low > 0 && gaps[low - 1]!.end === start;
  const joinsAfter = low < gaps.length && gaps[low]!.start === end;
  const from = joinsBefore ? low - 1 : low;
  gaps.splice(from, Number(joinsBefore) + Number(joinsAfter), {
    start: joinsBefore ? gaps[from]!.start : start,
    end: joinsAfter ? gaps[low]!.end : end,
  });
}

type Order = (a: Slot, b: Slot) => number;

const life = ({ born, dies }: Slot): number => dies - born;
const largestFirst: Order = (a, b) => b.byteLength - a.byteLength || a.born - b.born;
const longestFirst: Order = (a, b) => life(b) - life(a) || largestFirst(a, b);
const orders: readonly Order[] = [largestFirst, longestFirst];

/** Each slot in turn at the lowest offset where no slot placed before overlaps it in time and place. */
function placeInOrder(slots: readonly Slot[], sizes: readonly number[], compare: Order): number[] {
  const offsets = slots.map(() => 0);
  const order = slots
    .map((_, i) => i)
    .filter((i) => sizes[i]! > 0)
    .sort((a, b) => compare(slots[a]!, slots[b]!) || a - b);
  /** Placed slots by offset. */
  const placed: number[] = [];
  for (const i of order) {
    let start = 0;
    for (const other of placed) {
      if (slots[other]!.dies < slots[i]!.born || slots[other]!.born > slots[i]!.dies) continue;
      if (offsets[other]! - start >= sizes[i]!) break;
      start = Math.max(start, offsets[other]! + sizes[other]!);
    }
    offsets[i] = start;
    let [low, high] = [0, placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsets[placed[middle]!]! < start) low = middle + 1;
      else high = middle;
    }
    placed.splice(low, 0, i);
  }
  return offsets;
}
