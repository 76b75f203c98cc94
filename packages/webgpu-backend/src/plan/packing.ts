/**
 * Packing ranges of bytes, each needed for a while, into slabs where some of them may not share a slab.
 *
 * One range after another takes, of the slabs it may lie in, the one that grows least, at the lowest offset that is free over
 * its whole life. What comes out depends on the order, so several are tried and the smallest result is kept: by birth (which
 * follows the run), the largest first, and those needed longest first.
 */

/** Bytes that are needed from step `born` to step `dies`, both included. */
export interface PackedRange {
  readonly byteLength: number;
  readonly born: number;
  readonly dies: number;
  /** Indices of ranges that must lie in other slabs. */
  readonly apart: ReadonlySet<number>;
}

export interface Packing {
  /** For each range its slab, and its offset there. */
  readonly places: readonly { readonly slab: number; readonly offset: number }[];
  readonly slabBytes: readonly number[];
}

type Order = (a: PackedRange, b: PackedRange) => number;

const byBirth: Order = (a, b) => a.born - b.born;
const life = ({ born, dies }: PackedRange): number => dies - born;

const orders: readonly Order[] = [
  byBirth,
  (a, b) => b.byteLength - a.byteLength || byBirth(a, b),
  (a, b) => life(b) - life(a) || b.byteLength - a.byteLength || byBirth(a, b),
];

/** Beyond so many ranges the orders that look at all pairs would cost more time than they save memory. */
const mostPairs = 3000;

/** @param largestSlab no slab grows beyond, unless one range alone does. */
export function pack(ranges: readonly PackedRange[], largestSlab: number): Packing {
  const tried = ranges.length > mostPairs ? orders.slice(0, 1) : orders;
  return tried
    .map((order) => packInOrder(ranges, order, largestSlab))
    .reduce((best, other) => (total(other) < total(best) ? other : best));
}

const total = ({ slabBytes }: Packing): number => slabBytes.reduce((sum, bytes) => sum + bytes, 0);

interface PlacedRange {
  readonly start: number;
  readonly end: number;
  readonly born: number;
  readonly dies: number;
}

function packInOrder(ranges: readonly PackedRange[], order: Order, largestSlab: number): Packing {
  const places: { slab: number; offset: number }[] = [];
  const slabBytes: number[] = [];
  /** What lies in each slab, by offset. */
  const placed: PlacedRange[][] = [];
  const sequence = ranges.map((_, i) => i).sort((a, b) => order(ranges[a]!, ranges[b]!));
  for (const i of sequence) {
    const { byteLength, born, dies, apart } = ranges[i]!;
    const forbidden = new Set([...apart].flatMap((other) => places[other]?.slab ?? []));
    let best = { slab: placed.length, offset: 0, growth: Infinity };
    for (let slab = 0; slab < placed.length; slab++) {
      if (forbidden.has(slab)) continue;
      const offset = lowestGap(placed[slab]!, ranges[i]!);
      const growth = Math.max(0, offset + byteLength - slabBytes[slab]!);
      if (offset + byteLength <= largestSlab && growth < best.growth) best = { slab, offset, growth };
    }
    const { slab, offset } = best;
    places[i] = { slab, offset };
    slabBytes[slab] = Math.max(slabBytes[slab] ?? 0, offset + byteLength);
    let there = (placed[slab] ??= []);
    // In order of birth, what has died meets nothing that comes.
    if (order === byBirth) there = placed[slab] = there.filter((range) => range.dies >= born);
    insert(there, { start: offset, end: offset + byteLength, born, dies });
  }
  return { places, slabBytes };
}

/** Lowest offset of a gap that is as long as the range and free while it is needed. */
function lowestGap(placed: readonly PlacedRange[], { byteLength, born, dies }: PackedRange): number {
  let offset = 0;
  for (const range of placed) {
    if (range.dies < born || range.born > dies) continue;
    if (range.start - offset >= byteLength) return offset;
    offset = Math.max(offset, range.end);
  }
  return offset;
}

function insert(placed: PlacedRange[], range: PlacedRange): void {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placed[middle]!.start < range.start) low = middle + 1;
    else high = middle;
  }
  placed.splice(low, 0, range);
}
