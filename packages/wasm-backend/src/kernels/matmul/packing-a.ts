/**
 * Packing of a transposed A, stored [k, m], into the tiles of a strip (see strip.ts): the tile of r rows that begins at row i
 * holds A[i .. i + r - 1, p] at target + 4 · depth · i + 4r · p. Stored rows are read side by side and dealt out to the tiles.
 *
 * A in row order is not packed: tiles read it through row pointers as fast, with strides that are powers of two as well.
 */
import { f32, i32, v128 } from '../../emit/index.js';
import type { FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { TILES } from './blocking.js';
import { minimum, shareOutRows } from './strip.js';

/** The exported name of the packing of a chunk of A. */
export const PACK_A = 'matmulPackA';

/** Stored rows that are dealt out together. */
const STEPS_AT_A_TIME = 8;

type Index = Local<'i32'>;

/** Emits the packing of a block, (target, a, aStride, rows, depth), and exports that of a chunk. */
export function emitPackA(context: KernelContext): FunctionReference<'void'> {
  const { module, tier } = context;
  const tallest = TILES[tier].rows;
  const writers = Array.from({ length: tallest }, (_, i) => emitTiles(context, i + 1));
  const first = module.table(writers);
  const parameters = { target: 'i32', a: 'i32', aStride: 'i32', rows: 'i32', depth: 'i32' } as const;
  const packBlock = module.function({ name: 'packTiles', parameters, result: 'void', exported: false }, (f, p) => {
    const { tiles, rows, higher } = shareOutRows(f, p.rows, tallest);
    const pack = (height: Index, count: Index): void => {
      const writer = i32.add(height, first - 1);
      f.callIndirectVoid(writers[0]!, writer, p.target, p.a, p.aStride, p.depth, count);
    };
    f.if(higher, () => {
      const height = f.let('height', i32.add(rows, 1));
      pack(height, higher);
      const done = f.let('done', i32.shl(i32.mul(higher, height), 2));
      f.set(p.target, i32.add(p.target, i32.mul(done, p.depth)));
      f.set(p.a, i32.add(p.a, done));
    });
    pack(rows, f.let('lower', i32.sub(tiles, higher)));
  });
  emitPackChunk(context, packBlock);
  return packBlock;
}

/** Packs tiles of one height. */
function emitTiles({ module }: KernelContext, rows: number): FunctionReference<'void'> {
  const parameters = { target: 'i32', a: 'i32', aStride: 'i32', depth: 'i32', tiles: 'i32' } as const;
  const signature = { name: `packTilesOf${rows}`, parameters, result: 'void', exported: false } as const;
  const bytes = rows * F32_BYTES;
  return module.function(signature, (f, p) => {
    const [tile, source, row, target] = ['tile', 'source', 'row', 'target'].map((name) => f.local('i32', name)) as [
      Index,
      Index,
      Index,
      Index,
    ];
    const tileBytes = f.let('tileBytes', i32.mul(p.depth, bytes));
    for (const steps of [STEPS_AT_A_TIME, 1]) {
      f.countDown(p.depth, steps, () => {
        f.set(source, p.a);
        f.set(target, p.target);
        f.for({ index: tile, from: 0, below: p.tiles, step: 1 }, () => {
          f.set(row, source);
          for (let step = 0; step < steps; step += 1) {
            copyElements(f, { target, at: step * bytes, source: row, count: rows });
            if (step + 1 < steps) f.set(row, i32.add(row, p.aStride));
          }
          f.set(source, i32.add(source, bytes));
          f.set(target, i32.add(target, tileBytes));
        });
        f.set(p.a, i32.add(p.a, i32.mul(p.aStride, steps)));
        f.set(p.target, i32.add(p.target, steps * bytes));
      });
    }
  });
}

interface Copy {
  readonly target: Index;
  /** Bytes beyond `target`. */
  readonly at: number;
  readonly source: Index;
  readonly count: number;
}

/** Copies elements that lie side by side, and none beside them. */
function copyElements(f: FunctionBuilder, { target, at, source, count }: Copy): void {
  let done = 0;
  const copies = [
    [4, (from: number) => v128.store(target, v128.load(source, from), at + from)],
    [2, (from: number) => v128.store64Lane(target, v128.load64Zero(source, from), 0, at + from)],
    [1, (from: number) => f32.store(target, f32.load(source, from), at + from)],
  ] as const;
  for (const [size, copy] of copies) for (; count - done >= size; done += size) f.do(copy(done * F32_BYTES));
}

function emitPackChunk({ module }: KernelContext, packBlock: FunctionReference<'void'>): void {
  const parameters = {
    /** Run of blocks of rows. */
    first: 'i32',
    count: 'i32',
    blockRows: 'i32',
    m: 'i32',
    depth: 'i32',
    a: 'i32',
    aStride: 'i32',
    packedA: 'i32',
  } as const;
  module.function({ name: PACK_A, parameters, result: 'void', exported: true }, (f, p) => {
    const row = f.let('row', i32.mul(p.first, p.blockRows));
    f.countDown(p.count, 1, () => {
      const bytes = i32.shl(row, 2);
      const rows = minimum(i32.sub(p.m, row), p.blockRows);
      f.callVoid(packBlock, i32.add(p.packedA, i32.mul(bytes, p.depth)), i32.add(p.a, bytes), p.aStride, rows, p.depth);
      f.set(row, i32.add(row, p.blockRows));
    });
  });
}
