/**
 * Random words by Philox4x32-10 (Salmon et al. 2011), and dropout from them.
 *
 * The bits are those of tensor-core's philox.ts, whose header has the rounds: element i of (seed, stream) is word i mod 4
 * of the block with counter (floor(i / 4), 0, stream, 0) and key = seed. Four blocks, 16 elements, are computed at once,
 * one per lane; the words are then turned from "one word of all blocks" to "all words of one block". Groups of 16 are divided over
 * threads; what is left of the last one goes by way of scratch.
 *
 *   dropout    y = 0 where (word >>> 8) * 2^-24 < probability, else x / (1 - probability)
 */
import { f32x4, i32, i32x4, i64x2, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { ExportedKernel, KernelContext, KernelHost } from './host.js';
import { type FourVectors, transposed } from './transposed.js';

const MULTIPLIERS = [0xd251_1f53, 0xcd9e_8d57] as const;
const WEYL = [0x9e37_79b9, 0xbb67_ae85] as const;
const ROUNDS = 10;

/** Blocks and elements per round of the loop. */
const GROUP_BLOCKS = 4;
const GROUP = 4 * GROUP_BLOCKS;

/** Groups that are worth a thread of their own. */
const GROUP_GRAIN = 512;

/** Offsets in bytes. */
export interface RandomWordsArguments {
  /** u32 [count], written. */
  readonly out: number;
  readonly count: number;
  readonly seed: readonly [low: number, high: number];
  readonly stream: number;
  /** `randomScratchBytes` bytes. */
  readonly scratch: number;
}

/** Offsets in bytes; `y` may be `x`. */
export interface DropoutArguments extends Omit<RandomWordsArguments, 'out'> {
  readonly x: number;
  /** [count], written. */
  readonly y: number;
  /** In [0, 1). */
  readonly probability: number;
}

/** Randomness: the same bits as on every other device. */
export interface RandomKernels {
  randomWords(operands: RandomWordsArguments): void;
  dropout(operands: DropoutArguments): void;
  readonly randomScratchBytes: number;
}

type Vector = Local<'v128'>;
type Counter = FourVectors;

/** What becomes of four words. @param at bytes from the start of the group. */
type UseOfWords = (words: Vector, at: number) => Expression<'v128'>;

const DRAW = { groups: 'i32', firstBlock: 'i32', low: 'i32', high: 'i32', stream: 'i32' } as const;
type DrawParameters = { readonly [K in keyof typeof DRAW]: Local<'i32'> };

/** Emits `randomGroups(out, groups, ...)` and `dropoutGroups(y, x, limit, keep, groups, ...)`. */
export function emitRandom({ module }: KernelContext): void {
  const words = { out: 'i32', ...DRAW } as const;
  module.function({ name: 'randomGroups', parameters: words, result: 'void', exported: true }, (f, p) => {
    emitGroups(f, p, { out: p.out }, (four) => four);
  });
  const choice = { y: 'i32', x: 'i32', limit: 'f32', keep: 'f32', ...DRAW } as const;
  module.function({ name: 'dropoutGroups', parameters: choice, result: 'void', exported: true }, (f, p) => {
    const [limit, keep] = [f.let('limit', f32x4.splat(p.limit)), f.let('keep', f32x4.splat(p.keep))];
    emitGroups(f, p, { out: p.y, x: p.x }, (four, at) => {
      // 24 bits are exact as f32, and so is the limit, a whole number up to 2^24.
      const drawn = f32x4.convertI32x4Signed(i32x4.shrUnsigned(four, 8));
      const scaled = f32x4.mul(v128.load(p.x, at), keep);
      return v128.andNot(scaled, f32x4.lt(drawn, limit));
    });
  });
}

/** Draws groups one after the other and writes what becomes of them; all pointers move by one group each time. */
function emitGroups(
  f: FunctionBuilder,
  p: DrawParameters,
  pointers: { readonly out: Local<'i32'>; readonly x?: Local<'i32'> },
  use: UseOfWords,
): void {
  const splat = (name: string, value: number): Vector => f.let(name, i32x4.splat(value | 0));
  const multipliers = MULTIPLIERS.map((value) => splat('multiplier', value)) as [Vector, Vector];
  const weyl = WEYL.map((value) => splat('weyl', value)) as [Vector, Vector];
  const low = f.let('low', i32x4.splat(p.low));
  const high = f.let('high', i32x4.splat(p.high));
  const stream = f.let('stream', i32x4.splat(p.stream));
  const blocks = f.let('blocks', i32x4.add(i32x4.splat(p.firstBlock), i32x4.constant(0, 1, 2, 3)));
  const next = splat('next', GROUP_BLOCKS);
  const zero = splat('zero', 0);
  const keys = [f.local('v128', 'key0'), f.local('v128', 'key1')] as const;
  f.countDown(p.groups, 1, () => {
    f.set(keys[0], low);
    f.set(keys[1], high);
    let counter: Counter = [blocks, zero, stream, zero];
    for (let round = 0; round < ROUNDS; round += 1) {
      counter = emitRound(f, counter, keys, multipliers);
      f.set(keys[0], i32x4.add(keys[0], weyl[0]));
      f.set(keys[1], i32x4.add(keys[1], weyl[1]));
    }
    const values = transposed(f, counter).map((block, i) => f.let('value', use(block, 16 * i)));
    values.toReversed().forEach((value, i) => f.do(v128.store(pointers.out, value, 48 - 16 * i)));
    for (const pointer of Object.values(pointers)) f.set(pointer, i32.add(pointer, GROUP * F32_BYTES));
    f.set(blocks, i32x4.add(blocks, next));
  });
}

/** (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0)). */
function emitRound(
  f: FunctionBuilder,
  [c0, c1, c2, c3]: Counter,
  keys: readonly [Vector, Vector],
  multipliers: readonly [Vector, Vector],
): Counter {
  const product = (x: Vector, multiplier: Vector): readonly [high: Vector, low: Vector] => {
    const first = f.let('first', i64x2.extendedMultiplyLowUnsigned(x, multiplier));
    const second = f.let('second', i64x2.extendedMultiplyHighUnsigned(x, multiplier));
    const words = (lanes: readonly number[]): Vector => f.let('words', i32x4.shuffle(first, second, lanes));
    return [words([1, 3, 5, 7]), words([0, 2, 4, 6])];
  };
  const [high0, low0] = product(c0, multipliers[0]);
  const [high1, low1] = product(c2, multipliers[1]);
  const mixed = (high: Vector, word: Vector, key: Vector): Vector =>
    f.let('mixed', v128.xor(v128.xor(high, word), key));
  return [mixed(high1, c1, keys[0]), low1, mixed(high0, c3, keys[1]), low0];
}

/** Binds the generator and the choice. */
export function bindRandom(host: KernelHost): RandomKernels {
  const drawGroups = host.kernel('randomGroups');
  const dropoutGroups = host.kernel('dropoutGroups');
  /** Runs a kernel on whole groups. @param ahead its values before those of the draw, for elements from `from` on. */
  const divideGroups = (
    kernel: ExportedKernel,
    { count, seed, stream }: Omit<RandomWordsArguments, 'out' | 'scratch'>,
    ahead: (from: number) => readonly number[],
  ): void => {
    const groups = Math.floor(count / GROUP);
    if (groups === 0) return;
    host.divide(kernel, { count: groups, grain: GROUP_GRAIN }, (from, size) => [
      ...ahead(GROUP * from),
      size,
      GROUP_BLOCKS * from,
      ...seed,
      stream,
    ]);
  };
  /** The elements after the last whole group: where they start, and how many. */
  const restOf = (count: number): readonly [start: number, length: number] => {
    const start = count - (count % GROUP);
    return [start, count - start];
  };
  const copy = (to: number, from: number, count: number): void => {
    const bytes = new Uint8Array(host.memory.buffer);
    for (let i = 0; i < F32_BYTES * count; i += 1) bytes[to + i] = bytes[from + i]!;
  };
  return {
    randomScratchBytes: GROUP * F32_BYTES,
    randomWords(operands) {
      const { out, count, seed, stream, scratch } = operands;
      host.checkRange('random scratch', scratch, GROUP);
      host.checkRange('randomWords out', out, count);
      divideGroups(drawGroups, operands, (from) => [out + F32_BYTES * from]);
      const [start, length] = restOf(count);
      if (length === 0) return;
      drawGroups(scratch, 1, start / 4, ...seed, stream);
      copy(out + F32_BYTES * start, scratch, length);
    },
    dropout(operands) {
      const { x, y, count, probability, seed, stream, scratch } = operands;
      host.checkRange('random scratch', scratch, GROUP);
      host.checkRange('dropout x', x, count);
      host.checkRange('dropout y', y, count);
      const choice = [Math.ceil(probability * 2 ** 24), 1 / (1 - probability)];
      divideGroups(dropoutGroups, operands, (from) => [y + F32_BYTES * from, x + F32_BYTES * from, ...choice]);
      const [start, length] = restOf(count);
      if (length === 0) return;
      copy(scratch, x + F32_BYTES * start, length);
      dropoutGroups(scratch, scratch, ...choice, 1, start / 4, ...seed, stream);
      copy(y + F32_BYTES * start, scratch, length);
    },
  };
}
