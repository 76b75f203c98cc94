/** The memory that a case of the self-test works on: the same inputs each time, and fresh bytes behind them. */
import { F32_BYTES } from './host.js';
import type { Kernels } from './kernels.js';

/** Elements of the input. */
const INPUTS = 4096;
/** Where the input lies: odd eights of it are apart by no power of two. */
const INPUT_AT = 64;
const FREE_AT = INPUT_AT + F32_BYTES * INPUTS;

export const SELF_TEST_PAGES = 16;
/** What is not compared lies from here on. */
const SCRATCH_AT = (SELF_TEST_PAGES / 2) * 65_536;
const SCRATCH_BYTES = SCRATCH_AT;

/** A memory of `SELF_TEST_PAGES` pages with the inputs, and room behind them. */
export class Workspace {
  readonly kernels: Kernels;
  /** f32, in [-2, 2), most of them apart. */
  readonly input: number = INPUT_AT;
  #next = FREE_AT;

  constructor(kernels: Kernels) {
    this.kernels = kernels;
    const input = new Float32Array(kernels.memory.buffer, INPUT_AT, INPUTS);
    let state = 1;
    for (let i = 0; i < INPUTS; i += 1) {
      state = (Math.imul(state, 0x915f_77f5) + 1) | 0;
      input[i] = (state >> 8) / 2 ** 22;
    }
  }

  /** The input from an element on. */
  at(element: number): number {
    return INPUT_AT + F32_BYTES * element;
  }

  /** Fresh bytes for `count` f32; zero, or what an earlier case left. */
  room(count: number): number {
    const at = this.#next;
    this.#next += Math.ceil((F32_BYTES * count) / 64) * 64;
    if (this.#next > SCRATCH_AT) throw new RangeError(`a case of the self-test needs ${this.#next - FREE_AT} bytes`);
    return at;
  }

  /** Working memory of one call, which is not compared. */
  scratch(byteLength: number): number {
    if (byteLength > SCRATCH_BYTES)
      throw new RangeError(`a case of the self-test needs ${byteLength} bytes of scratch`);
    return SCRATCH_AT;
  }

  /** A copy of input, for what is computed in place. */
  copy(element: number, count: number): number {
    const to = this.room(count);
    const input = new Float32Array(this.kernels.memory.buffer, this.at(element), count);
    new Float32Array(this.kernels.memory.buffer, to, count).set(input);
    return to;
  }

  /** Whole numbers. */
  integers(values: readonly number[]): number {
    const to = this.room(values.length);
    new Int32Array(this.kernels.memory.buffer, to, values.length).set(values);
    return to;
  }

  /** Positive f32: the magnitudes of the input. */
  positive(element: number, count: number): number {
    const to = this.copy(element, count);
    const values = new Float32Array(this.kernels.memory.buffer, to, count);
    for (let i = 0; i < count; i += 1) values[i] = Math.abs(values[i]!) + 0.125;
    return to;
  }

  /** All that was written, as words. Starts over. */
  take(): Int32Array {
    // A copy: elements of shared memory are slow to read one by one.
    const words = new Int32Array(this.kernels.memory.buffer, FREE_AT, (this.#next - FREE_AT) / 4).slice();
    this.#next = FREE_AT;
    return words;
  }
}
