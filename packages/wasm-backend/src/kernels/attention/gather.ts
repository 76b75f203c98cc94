/**
 * The gradients of keys and values from the sums of several chunks of query heads, or from sums whose rows are padded:
 *
 *   out[row, column] = sum over chunks, in order, of from[chunk, row, column],
 *
 * rounded to the dtype of the keys, once.
 */
import { f32x4, i32 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../../emit/index.js';
import { castCode } from '../../expressions/casts.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import type { StoredMatrix } from '../matmul/row-products.js';
import { type Lanes, forEachVector } from '../vector-loop.js';
import { wordLocals } from './words.js';

export const GATHERED: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];

export const gatherName = (storage: StoredMatrix): string => `attentionGather_${storage}`;

/** (out, strideOut, from, strideFrom, bytesOfChunk, chunks, rows, width). */
export function emitGather({ module }: KernelContext): void {
  const parameters = {
    out: 'i32',
    strideOut: 'i32',
    from: 'i32',
    strideFrom: 'i32',
    bytesOfChunk: 'i32',
    chunks: 'i32',
    rows: 'i32',
    width: 'i32',
  } as const;
  for (const storage of GATHERED) {
    const signature = { name: gatherName(storage), parameters, result: 'void', exported: true } as const;
    module.function(signature, (f, p) => {
      const convert = castCode('f32', storage)(f);
      const { out, from, chunk, behind } = wordLocals(f, 'out', 'from', 'chunk', 'behind');
      const sum = f.local('v128', 'sum');
      const isWide = storage === 'f32';
      f.countDown(p.rows, 1, () => {
        f.set(out, p.out);
        f.set(from, p.from);
        const cursors = isWide ? [from, out] : [from];
        const loop = { cursors, halfCursors: isWide ? [] : [out], count: p.width, unroll: 1 };
        forEachVector(f, loop, (lanes) => {
          const { chunks, bytesOfChunk } = p;
          addChunks(f, { sum, from, chunk, behind, lanes, chunks, bytesOfChunk });
          const value: Expression<'v128'> = convert(sum);
          f.do(isWide ? lanes.store(out, value) : lanes.storeHalf(out, value));
        });
        f.set(p.out, i32.add(p.out, p.strideOut));
        f.set(p.from, i32.add(p.from, p.strideFrom));
      });
    });
  }
}

interface ChunkSum {
  readonly sum: Local<'v128'>;
  readonly from: Local<'i32'>;
  readonly chunk: Local<'i32'>;
  readonly behind: Local<'i32'>;
  readonly lanes: Lanes;
  readonly chunks: Local<'i32'>;
  readonly bytesOfChunk: Local<'i32'>;
}

function addChunks(f: FunctionBuilder, { sum, from, chunk, behind, lanes, chunks, bytesOfChunk }: ChunkSum): void {
  f.set(sum, lanes.load(from));
  f.set(behind, from);
  f.for({ index: chunk, from: 1, below: chunks, step: 1 }, () => {
    f.set(behind, i32.add(behind, bytesOfChunk));
    f.set(sum, f32x4.add(sum, lanes.load(behind)));
  });
}

/** Bytes of a row of sums: whole pieces of 16. */
export const paddedRowBytes = (width: number): number => Math.ceil(width / 16) * 16 * F32_BYTES;
