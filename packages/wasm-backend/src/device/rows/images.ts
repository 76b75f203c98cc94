/** Ops on pictures: resampling of one axis, and patches. */
import { type PatchSizes, sizeOf } from '@mindseye/tensor-core';
import { arrangeTaps, arrangedTapsBytes } from '../../kernels/index.js';
import type { KernelRow, KernelRows } from '../kernel-row.js';

const resamplePixels: KernelRow<{ readonly axis: number; readonly bits: number }> = {
  scratchBytes: ({ inputs: [, , weights] }) => arrangedTapsBytes(weights!.shape[0]!, weights!.shape[1]!),
  run({ kernels, inputs: [x, starts, weights], outputs: [y], attributes: { axis, bits }, scratch }) {
    const [out, taps] = weights!.shape as [number, number];
    const { parts, words } = arrangeTaps(
      new Int32Array(kernels.memory.buffer, weights!.pointer, out * taps),
      out,
      taps,
    );
    const arranged = scratch(words.byteLength);
    new Int32Array(kernels.memory.buffer, arranged, words.length).set(words);
    kernels.resample({
      x: x!.pointer,
      y: y!.pointer,
      starts: starts!.pointer,
      words: arranged,
      parts,
      bits,
      taps,
      lines: sizeOf(x!.shape.slice(0, axis)),
      length: x!.shape[axis]!,
      out,
      trail: sizeOf(x!.shape.slice(axis + 1)),
    });
  },
};

const patchifyImage: KernelRow<PatchSizes> = {
  run({ kernels, inputs: [pixels, table], outputs: [patches], attributes }) {
    const [frames, height, width] = pixels!.shape as [number, number, number];
    const { patchSize, temporalPatchSize, mergeSize } = attributes;
    kernels.cutPatches({
      pixels: pixels!.pointer,
      table: table!.pointer,
      patches: patches!.pointer,
      frames,
      height,
      width,
      channels: table!.shape[0]!,
      patchSize,
      temporalPatchSize,
      mergeSize,
    });
  },
};

export const imageRows: KernelRows = {
  resamplePixels: resamplePixels as KernelRow,
  patchifyImage: patchifyImage as KernelRow,
};
