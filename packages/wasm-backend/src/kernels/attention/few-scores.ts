/**
 * Scores of panels of at most four queries, as in decoding: rows, not their transposes, so that keys stream by once, in the order
 * in which they lie.
 *
 *   scores[key, row] = sum of q[row] k[key]: eight interleaved partial sums, the rest of the width added to the first, joined
 *
 * Scores are [keys, 4] as in any panel of four columns; those of rows that are not there repeat others.
 */
import { f32x4, i32, i32x4, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { vectorConstant } from '../vector-loop.js';
import { CHUNK_KEYS, CHUNK_PARAMETERS, forEachChunk } from './chunks.js';

/** Rows of such a panel. */
export const FEW_ROWS = 4 as const;

const VECTOR_BYTES = 16;
/** Partial sums of a dot product: two vectors, which tiers may join. */
const PARTIAL_BYTES = 2 * VECTOR_BYTES;
const PARTIAL_LANES = 8;
/** Numbers of rows that have code of their own. */
const ROW_COUNTS = [1, 2, 4] as const;

/** Bytes of scratch for partial sums. */
export const PARTIALS_BYTES: number = CHUNK_KEYS * FEW_ROWS * PARTIAL_BYTES;

/** (k, strideK, q, strideQ, partials, width, keys): eight partial sums [keys, rows, 8] of all dot products. */
function emitPartials({ module, arithmetic }: KernelContext, rows: number): FunctionReference<'void'> {
  const parameters = {
    k: 'i32',
    strideK: 'i32',
    q: 'i32',
    strideQ: 'i32',
    partials: 'i32',
    width: 'i32',
    keys: 'i32',
  } as const;
  const signature = { name: `attentionPartials${rows}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const queries = Array.from({ length: rows }, () => f.local('i32', 'query'));
    const sums = queries.map(() => [f.local('v128', 'low'), f.local('v128', 'high')] as const);
    const [keyLow, keyHigh] = [f.local('v128', 'keyLow'), f.local('v128', 'keyHigh')];
    const [key, remaining] = [f.local('i32', 'key'), f.local('i32', 'remaining')];
    const zero = vectorConstant(f, 'zero', 0);
    f.countDown(p.keys, 1, () => {
      f.set(key, p.k);
      f.set(remaining, p.width);
      queries.forEach((query, i) => f.set(query, i === 0 ? p.q : i32.add(queries[i - 1]!, p.strideQ)));
      for (const [low, high] of sums) {
        f.set(low, zero);
        f.set(high, zero);
      }
      for (const copies of [2, 1]) {
        f.countDown(remaining, copies * PARTIAL_LANES, () => {
          for (let copy = 0; copy < copies; copy += 1) {
            const at = copy * PARTIAL_BYTES;
            f.set(keyLow, v128.load(key, at));
            f.set(keyHigh, v128.load(key, at + VECTOR_BYTES));
            sums.forEach(([low, high], i) => {
              f.set(low, arithmetic.multiplyAdd(v128.load(queries[i]!, at), keyLow, low));
              f.set(high, arithmetic.multiplyAdd(v128.load(queries[i]!, at + VECTOR_BYTES), keyHigh, high));
            });
          }
          for (const cursor of [key, ...queries]) f.set(cursor, i32.add(cursor, copies * PARTIAL_BYTES));
        });
      }
      sums.forEach(([low, high], i) =>
        f.do(
          v128.store(p.partials, low, i * PARTIAL_BYTES),
          v128.store(p.partials, high, i * PARTIAL_BYTES + VECTOR_BYTES),
        ),
      );
      f.countDown(remaining, 1, () => {
        f.set(keyLow, v128.load32Zero(key));
        queries.forEach((query, i) => {
          const first = i * PARTIAL_BYTES;
          const sum = arithmetic.multiplyAdd(v128.load32Zero(query), keyLow, v128.load(p.partials, first));
          f.do(v128.store(p.partials, sum, first));
        });
        for (const cursor of [key, ...queries]) f.set(cursor, i32.add(cursor, F32_BYTES));
      });
      f.set(p.partials, i32.add(p.partials, rows * PARTIAL_BYTES));
      f.set(p.k, i32.add(p.k, p.strideK));
    });
  });
}

/** The sums of the lanes of four vectors. */
function laneSums(f: FunctionBuilder, [a, b, c, d]: readonly Local<'v128'>[]): Expression<'v128'> {
  const halves = (x: Local<'v128'>, y: Local<'v128'>): Local<'v128'> =>
    f.let('halves', f32x4.add(i32x4.shuffle(x, y, [0, 1, 4, 5]), i32x4.shuffle(x, y, [2, 3, 6, 7])));
  const [low, high] = [halves(a!, b!), halves(c!, d!)];
  return f32x4.add(i32x4.shuffle(low, high, [0, 2, 4, 6]), i32x4.shuffle(low, high, [1, 3, 5, 7]));
}

/** (scores, partials, keys): scores [keys, 4] from partial sums [keys, rows, 8]. */
function emitReduce({ module }: KernelContext, rows: number): FunctionReference<'void'> {
  const parameters = { scores: 'i32', partials: 'i32', keys: 'i32' } as const;
  const signature = { name: `attentionReduce${rows}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    f.countDown(p.keys, 1, () => {
      const ofRows = Array.from({ length: rows }, (_, i) => {
        const [low, high] = [
          v128.load(p.partials, i * PARTIAL_BYTES),
          v128.load(p.partials, i * PARTIAL_BYTES + VECTOR_BYTES),
        ];
        return f.let('ofRow', f32x4.add(low, high));
      });
      const four = Array.from({ length: FEW_ROWS }, (_, i) => ofRows[i % rows]!);
      f.do(v128.store(p.scores, laneSums(f, four)));
      f.set(p.scores, i32.add(p.scores, VECTOR_BYTES));
      f.set(p.partials, i32.add(p.partials, rows * PARTIAL_BYTES));
    });
  });
}

/** (stored, stride, storage, staged, width, keys, q, strideQ, partials, scores, rows): scores [keys, 4] of 1 to 4 rows. */
export function emitFewScores(context: KernelContext, stage: FunctionReference<'void'>): FunctionReference<'void'> {
  const forms = ROW_COUNTS.map((rows) => [rows, emitPartials(context, rows), emitReduce(context, rows)] as const);
  const parameters = {
    ...CHUNK_PARAMETERS,
    q: 'i32',
    strideQ: 'i32',
    partials: 'i32',
    scores: 'i32',
    rows: 'i32',
  } as const;
  const signature = { name: 'attentionFewScores', parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    forEachChunk(f, stage, p, (k, stride, keys) => {
      f.block((done) => {
        for (const [rows, partials, reduce] of forms) {
          f.if(i32.leUnsigned(p.rows, rows), () => {
            f.callVoid(partials, k, stride, p.q, p.strideQ, p.partials, p.width, keys);
            f.callVoid(reduce, p.scores, p.partials, keys);
            f.branch(done);
          });
        }
      });
      f.set(p.scores, i32.add(p.scores, i32.mul(keys, VECTOR_BYTES)));
    });
  });
}
