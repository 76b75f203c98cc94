/**
 * Unicode normalisation form C in bounded time.
 *
 * `String.prototype.normalize` puts combining marks into canonical order by insertion, quadratic in the length of a run of
 * them: a megabyte of two alternating marks takes minutes. Long runs are therefore sorted first, which leaves the result as it
 * is, since the order is a stable sort by combining class and normalising sorts again.
 *
 * JavaScript does not tell combining classes, but it tells their order: NFD exchanges two marks exactly if the class of the
 * first is greater than that of the second and neither is 0. A mark of class 0 stays where it is and ends a run.
 *
 * Source: Unicode Standard Annex 15, "Unicode Normalization Forms"; the Canonical Ordering Algorithm of the core
 * specification, section 3.11.
 */

/** Shorter runs are left to the engine: at most this many steps per mark. */
const LONG_RUN = 64;
const LONG_RUNS: RegExp = new RegExp(`\\p{M}{${LONG_RUN},}`, 'gu');

/** Whether canonical order puts `second` before `first`. */
const exchanged = (first: string, second: string): boolean => (first + second).normalize('NFD') !== first + second;

/** U+0334 has the least combining class (1), U+0345 the greatest (240): every other mark changes places with one of them. */
const isReordered = (mark: string): boolean => exchanged(mark, '\u0334') || exchanged('\u0345', mark);

/** A run of marks in canonical order; the sort compares each pair of different marks once. */
function inCanonicalOrder(run: string): string {
  // One mark can stand for two; apart, so that the engine never sees the whole run out of order.
  const marks = Array.from(run, (mark) => mark.normalize('NFD')).flatMap((parts) => Array.from(parts));
  const known = new Map<string, boolean>();
  const orders = new Map<string, number>();
  const order = (a: string, b: string): number => {
    if (a === b) return 0;
    const before = orders.get(a + b);
    if (before !== undefined) return before;
    const value = exchanged(a, b) ? 1 : exchanged(b, a) ? -1 : 0;
    orders.set(a + b, value);
    return value;
  };
  const sorted: string[] = [];
  let stretch: string[] = [];
  for (const mark of marks) {
    const reordered = known.get(mark) ?? isReordered(mark);
    known.set(mark, reordered);
    if (reordered) {
      stretch.push(mark);
      continue;
    }
    for (const each of stretch.toSorted(order)) sorted.push(each);
    sorted.push(mark);
    stretch = [];
  }
  for (const each of stretch.toSorted(order)) sorted.push(each);
  return sorted.join('');
}

/** NFC of a text, as `text.normalize('NFC')`, in time n log n. */
export function normalizeNfc(text: string): string {
  return text.replace(LONG_RUNS, inCanonicalOrder).normalize('NFC');
}
