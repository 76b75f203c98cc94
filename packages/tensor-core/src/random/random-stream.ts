/**
 * A named stream of random numbers for host code: data generators, shuffles, samplers.
 *
 * Word p of a stream is Philox(counter = (p/4 low, p/4 high, 0, 1), key)[p mod 4], where p counts words drawn so far. So the whole
 * state is (key, position): small, exact, and a checkpoint can hold it as JSON. Counter word c3 = 1 keeps host streams apart from
 * tensors (c3 = 0) of the same seed, and c3 = 2 keeps the keys of forks apart from both.
 *
 * `fork(name)` gives a stream whose key is Philox(counter = (hash low, hash high, 0, 2), key)[0..1] with the hash of `seed.ts`.
 * It depends on the parent's key and the name only, never on how much was drawn, so adding a draw in one place moves no other.
 *
 * Words used: one per `bits` and `uniform`, two per `normal`, one per `integer` and `choice` (more, rarely, when a draw is rejected).
 */
import { multiplyHigh32, normalPair, philox4x32, type Seed, uniform01 } from './philox.js';
import { seedFromNumber, seedFromString } from './seed.js';

const HOST_DOMAIN = 1;
const FORK_DOMAIN = 2;
const TWO_POW_32 = 0x1_0000_0000;

/** All of a stream: what `state()` gives and `fromState` takes. Plain JSON. */
export interface RandomStreamState {
  readonly algorithm: 'philox4x32-10';
  /** Two unsigned 32-bit words. */
  readonly key: Seed;
  /** Words drawn so far. */
  readonly position: number;
}

const isWord = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < TWO_POW_32;

export class RandomStream {
  readonly #key: Seed;
  #position: number;
  #block: readonly number[] = [];
  #blockIndex = -1;

  private constructor(key: Seed, position: number) {
    this.#key = key;
    this.#position = position;
  }

  /** The stream of a seed: an integer from 0 to 2^53 - 1, or a name. @throws RangeError for another number. */
  static fromSeed(seed: number | string): RandomStream {
    return new RandomStream(typeof seed === 'string' ? seedFromString(seed) : seedFromNumber(seed), 0);
  }

  /** Continues exactly where `state()` was taken. @throws RangeError when `state` is not one. */
  static fromState(state: RandomStreamState): RandomStream {
    const { algorithm, key, position } = state;
    if (algorithm !== 'philox4x32-10') {
      throw new RangeError(
        `random state: algorithm is ${JSON.stringify(algorithm)}; only "philox4x32-10" can be restored`,
      );
    }
    if (!Array.isArray(key) || key.length !== 2 || !isWord(key[0]) || !isWord(key[1])) {
      throw new RangeError(`random state: key is ${JSON.stringify(key)}; pass two unsigned 32-bit integers`);
    }
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new RangeError(
        `random state: position is ${position}; pass the number of words drawn, an integer from 0 to 2^53 - 1`,
      );
    }
    return new RandomStream([key[0], key[1]], position);
  }

  /** A copy of the whole state, ready for JSON. */
  state(): RandomStreamState {
    return { algorithm: 'philox4x32-10', key: [this.#key[0], this.#key[1]], position: this.#position };
  }

  /** The key, for use as the seed of random tensors. */
  get seed(): Seed {
    return this.#key;
  }

  /** An independent stream that depends on this stream's seed and on `name` only. */
  fork(name: string): RandomStream {
    const [low, high] = seedFromString(name);
    const [key0, key1] = philox4x32([low, high, 0, FORK_DOMAIN], this.#key);
    return new RandomStream([key0, key1], 0);
  }

  /** The next random unsigned 32-bit integer. */
  bits(): number {
    const blockIndex = Math.floor(this.#position / 4);
    if (blockIndex !== this.#blockIndex) {
      this.#block = philox4x32([blockIndex >>> 0, Math.floor(blockIndex / TWO_POW_32), 0, HOST_DOMAIN], this.#key);
      this.#blockIndex = blockIndex;
    }
    return this.#block[this.#position++ % 4]!;
  }

  /** Uniform in [low, high), from 24 random bits; [0, 1) when omitted. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * uniform01(this.bits());
  }

  /** A standard normal number: the cosine half of one Box-Muller pair. */
  normal(): number {
    const radiusWord = this.bits();
    return normalPair(radiusWord, this.bits())[0];
  }

  /**
   * An integer from 0 to `bound - 1`, all equally likely (multiply-and-reject: Lemire, "Fast random integer generation in an
   * interval", 2019, algorithm 5).
   * @throws RangeError unless `bound` is an integer from 1 to 2^32.
   */
  integer(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1 || bound > TWO_POW_32) {
      throw new RangeError(`random integer: bound is ${bound}; pass an integer from 1 to 2^32`);
    }
    if (bound === TWO_POW_32) return this.bits();
    const rejected = TWO_POW_32 % bound; // that many low products would make some results likelier
    for (;;) {
      const word = this.bits();
      if (Math.imul(word, bound) >>> 0 >= rejected) return multiplyHigh32(word, bound);
    }
  }

  /** One element, all equally likely. @throws RangeError for an empty array. */
  choice<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('random choice: the array is empty; pass at least one element');
    return items[this.integer(items.length)] as T;
  }

  /** Permutes `items` in place (Fisher-Yates, last element first) and returns it. */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      const moved = items[last] as T;
      items[last] = items[other] as T;
      items[other] = moved;
    }
    return items;
  }
}
