/**
 * Sums over values of panels of at most four rows: o[row] += weights[key, row] v[key], key after key; and rows times factors.
 */
import { f32x4, i32, v128 } from '../../emit/index.js';
import type { Expression, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { CHUNK_PARAMETERS, forEachChunk } from './chunks.js';
import { wordLocals } from './words.js';

const VECTOR_BYTES = 16;
/** Two vectors, which tiers may join. */
const PAIR_BYTES = 2 * VECTOR_BYTES;
const PAIR_LANES = 8;
/** Keys whose values are added at a time. */
const KEYS_TOGETHER = 4;

/**
 * (stored, stride, storage, staged, width, keys, weights, sums, strideSums, rows): sums [rows, width] += weights [keys, 4] times
 * values.
 */
export function emitFewSums(context: KernelContext, stage: FunctionReference<'void'>): FunctionReference<'void'> {
  const add = emitAddValues(context);
  const parameters = { ...CHUNK_PARAMETERS, weights: 'i32', sums: 'i32', strideSums: 'i32', rows: 'i32' } as const;
  const signature = { name: 'attentionFewSums', parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    forEachChunk(f, stage, p, (v, stride, keys) => {
      f.callVoid(add, v, stride, p.weights, p.sums, p.strideSums, p.width, keys, p.rows);
      f.set(p.weights, i32.add(p.weights, i32.mul(keys, VECTOR_BYTES)));
    });
  });
}

/** (v, strideK, weights, sums, strideSums, width, keys, rows): the sums over values in f32. */
function emitAddValues({ module, arithmetic }: KernelContext): FunctionReference<'void'> {
  const parameters = {
    v: 'i32',
    strideK: 'i32',
    weights: 'i32',
    sums: 'i32',
    strideSums: 'i32',
    width: 'i32',
    keys: 'i32',
    rows: 'i32',
  } as const;
  const signature = { name: 'attentionAddValues', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const { row, remaining, sum } = wordLocals(f, 'row', 'remaining', 'sum');
    const cursors = Array.from({ length: KEYS_TOGETHER }, () => f.local('i32', 'value'));
    const weights = cursors.map(() => f.local('v128', 'weight'));
    const parts = [f.local('v128', 'low'), f.local('v128', 'high')] as const;
    for (const together of [KEYS_TOGETHER, 1]) {
      const values = cursors.slice(0, together);
      const advance = (bytes: number): void => {
        for (const cursor of [sum, ...values]) f.set(cursor, i32.add(cursor, bytes));
      };
      f.countDown(p.keys, together, () => {
        f.for({ index: row, from: 0, below: p.rows, step: 1 }, () => {
          f.set(sum, i32.add(p.sums, i32.mul(row, p.strideSums)));
          const ofRow = f.let('ofRow', i32.add(p.weights, i32.shl(row, 2)));
          values.forEach((cursor, i) => {
            f.set(cursor, i === 0 ? p.v : i32.add(values[i - 1]!, p.strideK));
            f.set(weights[i]!, v128.load32Splat(ofRow, i * VECTOR_BYTES));
          });
          f.set(remaining, p.width);
          for (const copies of [2, 1]) {
            f.countDown(remaining, copies * PAIR_LANES, () => {
              for (let copy = 0; copy < copies; copy += 1) {
                const at = (half: number): number => copy * PAIR_BYTES + half * VECTOR_BYTES;
                parts.forEach((part, half) => f.set(part, v128.load(sum, at(half))));
                values.forEach((cursor, i) =>
                  parts.forEach((part, half) =>
                    f.set(part, arithmetic.multiplyAdd(weights[i]!, v128.load(cursor, at(half)), part)),
                  ),
                );
                f.do(...parts.map((part, half) => v128.store(sum, part, at(half))));
              }
              advance(copies * PAIR_BYTES);
            });
          }
          f.countDown(remaining, 1, () => {
            f.set(parts[0], v128.load32Splat(sum));
            values.forEach((cursor, i) =>
              f.set(parts[0], arithmetic.multiplyAdd(weights[i]!, v128.load32Splat(cursor), parts[0])),
            );
            f.do(v128.store32Lane(sum, parts[0], 0));
            advance(F32_BYTES);
          });
        });
        f.set(p.v, i32.add(p.v, i32.mul(p.strideK, together)));
        f.set(p.weights, i32.add(p.weights, together * VECTOR_BYTES));
      });
    }
  });
}

/**
 * (out, strideOut, from, strideFrom, rows, width, factors, step): rows times their factors, `step` bytes apart; 0 for one that all
 * share.
 */
export function emitScaleRows({ module }: KernelContext): FunctionReference<'void'> {
  const parameters = {
    out: 'i32',
    strideOut: 'i32',
    from: 'i32',
    strideFrom: 'i32',
    rows: 'i32',
    width: 'i32',
    factors: 'i32',
    step: 'i32',
  } as const;
  const signature = { name: 'attentionScaleRows', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const { to, from, remaining } = wordLocals(f, 'to', 'from', 'remaining');
    const factor = f.local('v128', 'factor');
    f.countDown(p.rows, 1, () => {
      f.set(factor, v128.load32Splat(p.factors));
      f.set(to, p.out);
      f.set(from, p.from);
      f.set(remaining, p.width);
      for (const [lanes, load, store] of [
        [4, v128.load, (at: Local<'i32'>, value: Expression<'v128'>) => v128.store(at, value)],
        [1, v128.load32Splat, (at: Local<'i32'>, value: Expression<'v128'>) => v128.store32Lane(at, value, 0)],
      ] as const) {
        f.countDown(remaining, lanes, () => {
          f.do(store(to, f32x4.mul(load(from), factor)));
          for (const cursor of [to, from]) f.set(cursor, i32.add(cursor, lanes * F32_BYTES));
        });
      }
      f.set(p.out, i32.add(p.out, p.strideOut));
      f.set(p.from, i32.add(p.from, p.strideFrom));
      f.set(p.factors, i32.add(p.factors, p.step));
    });
  });
}
