/**
 * Random words by Philox4x32-10 (Salmon et al. 2011), and dropout from them.
 *
 * The bits are those of tensor-core's philox.ts, whose header has the rounds: element i of (seed, stream) is word i mod 4
 * of the block with counter (floor(i / 4), 0, stream, 0) and key = seed. Four blocks, 16 elements, are computed at once,
 * one per lane; the words are then turned from "one word of all blocks" to "all words of one block".
 *
 *   dropout    y = 0 where (word >>> 8) * 2^-24 < probability, else x / (1 - probability)
 */
import { f32x4, i32, i32x4, i64x2, v128 } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';
import { emitElementwise } from './elementwise.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';

const MULTIPLIERS = [0xd251_1f53, 0xcd9e_8d57] as const;
const WEYL = [0x9e37_79b9, 0xbb67_ae85] as const;
const ROUNDS = 10;

/** Blocks and elements per round of the loop. */
const GROUP_BLOCKS = 4;
const GROUP = 4 * GROUP_BLOCKS;

/** Words that are drawn at a time: 16 KiB stay in L1 until they are used. */
const CHUNK = 256 * GROUP;

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
type Counter = readonly [Vector, Vector, Vector, Vector];

/** Emits the generator and the choice. */
export function emitRandom(context: KernelContext): void {
  emitRandomGroups(context);
  emitElementwise(context, {
    name: 'dropout',
    inputs: 2,
    scalars: 2,
    unroll: 'short',
    prepare:
      (_f, _arithmetic, [limit, keep]) =>
      ([x, word]) => {
        // 24 bits are exact as f32, and so is the limit, a whole number up to 2^24.
        const drawn = f32x4.convertI32x4Signed(i32x4.shrUnsigned(word as Vector, 8));
        return [v128.andNot(f32x4.mul(x as Vector, keep as Vector), f32x4.lt(drawn, limit as Vector))];
      },
  });
}

function emitRandomGroups({ module }: KernelContext): void {
  const parameters = { out: 'i32', groups: 'i32', firstBlock: 'i32', low: 'i32', high: 'i32', stream: 'i32' } as const;
  module.function({ name: 'randomGroups', parameters, result: 'void', exported: true }, (f, p) => {
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
      transposed(f, counter).forEach((block, i) => f.do(v128.store(p.out, block, 16 * i)));
      f.set(p.out, i32.add(p.out, GROUP * F32_BYTES));
      f.set(blocks, i32x4.add(blocks, next));
    });
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

/** Lane j of word i becomes lane i of block j. */
function transposed(f: FunctionBuilder, [a, b, c, d]: Counter): Counter {
  const shuffle = (x: Vector, y: Vector, lanes: readonly number[]): Vector =>
    f.let('shuffled', i32x4.shuffle(x, y, lanes));
  const [abLow, abHigh] = [shuffle(a, b, [0, 4, 1, 5]), shuffle(a, b, [2, 6, 3, 7])];
  const [cdLow, cdHigh] = [shuffle(c, d, [0, 4, 1, 5]), shuffle(c, d, [2, 6, 3, 7])];
  const [front, back] = [
    [0, 1, 4, 5],
    [2, 3, 6, 7],
  ] as const;
  return [
    shuffle(abLow, cdLow, front),
    shuffle(abLow, cdLow, back),
    shuffle(abHigh, cdHigh, front),
    shuffle(abHigh, cdHigh, back),
  ];
}

/** Binds the generator and the choice. */
export function bindRandom(host: KernelHost): RandomKernels {
  const groups = host.kernel('randomGroups');
  const choose = host.kernel('dropout');
  /** Calls `use` for pieces of `count` elements, after drawing the words of each into the scratch. */
  const inChunks = (
    operands: Omit<RandomWordsArguments, 'out'>,
    use: (start: number, length: number) => void,
  ): void => {
    const { count, seed, stream, scratch } = operands;
    host.checkRange('random scratch', scratch, CHUNK);
    for (let start = 0; start < count; start += CHUNK) {
      const length = Math.min(CHUNK, count - start);
      groups(scratch, Math.ceil(length / GROUP), start / 4, seed[0], seed[1], stream);
      use(start, length);
    }
  };
  return {
    randomScratchBytes: CHUNK * F32_BYTES,
    randomWords(operands) {
      host.checkRange('randomWords out', operands.out, operands.count);
      inChunks(operands, (start, length) => {
        const { out, scratch } = operands;
        new Uint8Array(host.memory.buffer).copyWithin(out + start * F32_BYTES, scratch, scratch + length * F32_BYTES);
      });
    },
    dropout(operands) {
      const { x, y, count, probability, scratch } = operands;
      host.checkRange('dropout x', x, count);
      host.checkRange('dropout y', y, count);
      const [limit, keep] = [Math.ceil(probability * 2 ** 24), 1 / (1 - probability)];
      inChunks(operands, (start, length) => {
        choose(y + start * F32_BYTES, x + start * F32_BYTES, scratch, limit, keep, length);
      });
    },
  };
}
