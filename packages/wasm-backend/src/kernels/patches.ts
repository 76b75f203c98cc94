/**
 * Patches of pictures: the op `patchifyImage` of tensor-core, whose header has the order of rows and columns.
 *
 *   pixels u32 [F, H, W], table f32 [C, 256] → patches f32 [gt · gh · gw, C · T · P · P]
 *
 * Every sample is looked up, so values are the table's, bit for bit. A frame that only fills up a patch is a copy of the one
 * before it in the patch. The kernel writes blocks of rows: one line of merged tokens of one temporal patch each.
 */
import { f32, i32, memory } from '../emit/index.js';
import type { FunctionBuilder, Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';

/** Samples that are worth a part of the work of their own. */
const GRAIN = 2 ** 14;
/** Samples looked up per round. */
const UNROLL = 2;

/** Offsets in bytes; `height` and `width` are multiples of patchSize · mergeSize. */
export interface PatchArguments {
  readonly pixels: number;
  readonly table: number;
  /** Written. */
  readonly patches: number;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
}

/** Patches of pictures. */
export interface PatchKernels {
  cutPatches(operands: PatchArguments): void;
}

const parameters = {
  patches: 'i32',
  pixels: 'i32',
  table: 'i32',
  frames: 'i32',
  height: 'i32',
  width: 'i32',
  channels: 'i32',
  patch: 'i32',
  time: 'i32',
  merge: 'i32',
  /** Blocks of rows, numbered through all temporal patches. */
  first: 'i32',
  count: 'i32',
} as const;

/** `patch` samples of one channel in one row of pixels. Both cursors are advanced. */
function lookUpRow(f: FunctionBuilder, from: Local<'i32'>, to: Local<'i32'>, table: Local<'i32'>, count: Local<'i32'>) {
  const left = f.let('left', count);
  for (const copies of [UNROLL, 1]) {
    f.countDown(left, copies, () => {
      for (let copy = 0; copy < copies; copy++) {
        const sample = i32.load8Unsigned(from, copy * F32_BYTES);
        f.do(f32.store(to, f32.load(i32.add(table, i32.shl(sample, 2))), copy * F32_BYTES));
      }
      f.set(from, i32.add(from, copies * F32_BYTES));
      f.set(to, i32.add(to, copies * F32_BYTES));
    });
  }
}

/** Emits the kernel. */
export function emitPatches({ module }: KernelContext): void {
  module.function({ name: 'cutPatches', parameters, result: 'void', exported: true }, (f, p) => {
    const index = (name: string): Local<'i32'> => f.local('i32', name);
    const down = f.let('down', i32.divUnsigned(p.height, i32.mul(p.patch, p.merge)));
    const across = f.let('across', i32.divUnsigned(p.width, i32.mul(p.patch, p.merge)));
    const rowBytes = f.let('rowBytes', i32.shl(p.width, 2));
    const frameBytes = f.let('frameBytes', i32.mul(p.height, rowBytes));
    const patchBytes = f.let('patchBytes', i32.shl(i32.mul(p.patch, p.patch), 2));
    const inBlock = f.let('inBlock', i32.mul(p.merge, p.merge));
    const blockBytes = f.let(
      'blockBytes',
      i32.mul(i32.mul(i32.mul(across, inBlock), i32.mul(p.channels, p.time)), patchBytes),
    );
    const to = f.let('to', i32.add(p.patches, i32.mul(p.first, blockBytes)));
    const end = f.let('end', i32.add(p.first, p.count));
    const lastFrame = f.let('lastFrame', i32.sub(p.frames, 1));
    const [block, column, place, channel, time, y] = [
      index('block'),
      index('column'),
      index('place'),
      index('channel'),
      index('timeInPatch'),
      index('y'),
    ];
    const [table, from, row] = [index('tableOfChannel'), index('from'), index('row')];
    f.for({ index: block, from: p.first, below: end, step: 1 }, () => {
      const firstFrame = f.let('firstFrame', i32.mul(i32.divUnsigned(block, down), p.time));
      const blockTop = f.let('blockTop', i32.mul(i32.remUnsigned(block, down), p.merge));
      f.for({ index: column, from: 0, below: across, step: 1 }, () => {
        f.for({ index: place, from: 0, below: inBlock, step: 1 }, () => {
          const top = i32.mul(i32.add(blockTop, i32.divUnsigned(place, p.merge)), p.patch);
          const left = i32.mul(i32.add(i32.mul(column, p.merge), i32.remUnsigned(place, p.merge)), p.patch);
          const corner = f.let('corner', i32.add(p.pixels, i32.add(i32.mul(top, rowBytes), i32.shl(left, 2))));
          f.set(table, p.table);
          f.for({ index: channel, from: 0, below: p.channels, step: 1 }, () => {
            f.for({ index: time, from: 0, below: p.time, step: 1 }, () => {
              const frame = f.let('frame', i32.add(firstFrame, time));
              f.if(
                i32.gtUnsigned(frame, lastFrame),
                () => {
                  f.do(memory.copy(to, i32.sub(to, patchBytes), patchBytes));
                  f.set(to, i32.add(to, patchBytes));
                },
                () => {
                  f.set(row, i32.add(i32.add(corner, channel), i32.mul(frame, frameBytes)));
                  f.for({ index: y, from: 0, below: p.patch, step: 1 }, () => {
                    f.set(from, row);
                    lookUpRow(f, from, to, table, p.patch);
                    f.set(row, i32.add(row, rowBytes));
                  });
                },
              );
            });
            f.set(table, i32.add(table, 256 * F32_BYTES));
          });
        });
      });
    });
  });
}

/** Binds the kernel; it divides the blocks of rows. */
export function bindPatches(host: KernelHost): PatchKernels {
  const kernel = host.kernel('cutPatches');
  return {
    cutPatches(operands) {
      const { pixels, table, patches, frames, height, width, channels } = operands;
      const { patchSize, temporalPatchSize, mergeSize } = operands;
      const sizes = { frames, height, width, channels, patchSize, temporalPatchSize, mergeSize };
      for (const [key, value] of Object.entries(sizes)) host.checkSize(`cutPatches ${key}`, value);
      const gridTime = Math.ceil(frames / temporalPatchSize);
      const samples = gridTime * temporalPatchSize * height * width * channels;
      host.checkRange('cutPatches pixels', pixels, frames * height * width);
      host.checkRange('cutPatches table', table, channels * 256);
      host.checkRange('cutPatches patches', patches, samples);
      if (samples === 0) return;
      const count = (gridTime * height) / (patchSize * mergeSize);
      host.divide(kernel, { count, grain: Math.ceil((GRAIN * count) / samples) }, (first, size) => [
        patches,
        pixels,
        table,
        frames,
        height,
        width,
        channels,
        patchSize,
        temporalPatchSize,
        mergeSize,
        first,
        size,
      ]);
    },
  };
}
