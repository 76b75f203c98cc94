/**
 * Named random streams, one per (generator version, task, split, index, purpose).
 *
 * Item i of a split must be reproducible alone: without the items before it, on any machine, in any order. So no generator
 * state is shared; the item's name is the seed. Purposes of one item ("scene", "layout", "noise") are independent streams, so
 * that drawing one number more for the scene does not change the noise of every pixel.
 *
 * The generators use +, −, ×, ÷, √ and rounding only. Those are the same to the last bit in every JavaScript engine, which
 * Math.sin, Math.log and so normal deviates are not.
 */
import { RandomStream } from '@mindseye/tensor-core';

/** The stream with that name; the parts are joined by slashes and contain none. */
export function namedStream(...name: readonly (string | number)[]): RandomStream {
  return RandomStream.fromSeed(name.join('/'));
}

/** A uniform integer from `low` to `high`, both included. */
export function integerBetween(random: RandomStream, low: number, high: number): number {
  return low + random.integer(high - low + 1);
}

/** True with probability one half. */
export function coin(random: RandomStream): boolean {
  return random.integer(2) === 1;
}
