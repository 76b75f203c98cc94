/**
 * Matrices to codes on a device, a window of rows at a time: `quantize` of the tensor core with offsets, so that
 *
 *   w ≈ scale · code + offset,   scale = (max − min) / (2^bits − 1), offset = min, per group of a row.
 *
 * Memory contract: one window on the host, as it is stored; on the device the window and what `quantize` needs beside it (about
 * three times the window in f32). Results of a window take over the buffers of the one before. The codes of the whole matrix
 * are put together on the host.
 */
import {
  type CompiledFunction,
  type Device,
  type QuantizationBits,
  type QuantizationGroupSize,
  type SafetensorsDtype,
  type Tensor,
  type TensorSource,
  bf16ToF32,
  compile,
  f16ToF32,
  groupsPerRow,
  quantize,
  tensor,
  wordsPerRow,
} from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';

/** A matrix [rows, columns] as it lies in a file. */
export interface QuantizedMatrix {
  /** [rows, columns · bits / 32] */
  readonly codes: Uint32Array;
  /** [rows, columns / groupSize], 16-bit floats. */
  readonly scales: Uint16Array;
  readonly offsets: Uint16Array;
}

export interface WindowFormat {
  readonly bits: QuantizationBits;
  readonly groupSize: QuantizationGroupSize;
  readonly scaleDtype: 'f16' | 'bf16';
}

type Parts = readonly [codes: Tensor, scales: Tensor, offsets: Tensor];

/** Elements of one window: 4 MiB as f32, which stays in a cache. */
const DEFAULT_WINDOW = 2 ** 20;

const decoders = { f16: f16ToF32, bf16: bf16ToF32 } as const;

/** Raw bytes of some rows as a tensor, in the storage of the file where tensors have it. */
type WindowView = (bytes: ArrayBuffer, shape: readonly number[]) => Tensor;

const sixteenBits =
  (dtype: 'f16' | 'bf16'): WindowView =>
  (bytes, shape) =>
    tensor(new Uint16Array(bytes), shape, { dtype });

const windowViews: Partial<Record<SafetensorsDtype, WindowView>> = {
  F16: sixteenBits('f16'),
  BF16: sixteenBits('bf16'),
  F32: (bytes, shape) => tensor(new Float32Array(bytes), shape),
  F64: (bytes, shape) => tensor(Float32Array.from(new Float64Array(bytes)), shape),
};

/** Quantises the matrix `name` of a source: F32, F16, BF16 or F64, columns a multiple of the group. */
export type MatrixQuantizer = (source: TensorSource, name: string) => Promise<QuantizedMatrix>;

/**
 * A quantiser for matrices of one format. It keeps its compiled graphs and one window of results for each shape it has seen.
 *
 * @param windowElements elements that are on the device at a time; 2²⁰ when left out, and one row at least.
 */
export function createMatrixQuantizer(
  device: Device,
  { bits, groupSize, scaleDtype }: WindowFormat,
  windowElements: number = DEFAULT_WINDOW,
): MatrixQuantizer {
  const run: CompiledFunction<[Tensor, Parts], Parts> = compile(
    (window: Tensor, _earlier: Parts): Parts => {
      const { codes, scales, offsets } = quantize(window, { bits, groupSize, symmetric: false, scaleDtype });
      return [codes, scales, offsets!];
    },
    { device, donate: [0, 1], name: 'quantising a window' },
  );
  const earlier = new Map<string, Parts>();

  return async (source, name) => {
    const { dtype, shape, byteLength } = source.info(name);
    const [rows, columns] = shape as [number, number];
    const rowBytes = byteLength / rows;
    const view = windowViews[dtype]!;
    const [words, groups] = [wordsPerRow({ bits, columns }), groupsPerRow({ groupSize, columns })];
    const codes = new Uint32Array(rows * words);
    const scales = new Uint16Array(rows * groups);
    const offsets = new Uint16Array(rows * groups);
    const step = Math.min(rows, Math.max(1, Math.floor(windowElements / columns)));
    for (let from = 0; from < rows; from += step) {
      const count = Math.min(step, rows - from);
      const bytes = new Uint8Array(count * rowBytes);
      await source.readRangeInto(name, from * rowBytes, bytes);
      const key = `${count} ${columns}`;
      const before = earlier.get(key) ?? emptyParts(count, words, groups, scaleDtype);
      const parts = await run(view(bytes.buffer, [count, columns]), before);
      earlier.set(key, parts);
      const [gotCodes, gotScales, gotOffsets] = await Promise.all(parts.map((part) => part.data(device)));
      codes.set(gotCodes!, from * words);
      scales.set(gotScales!, from * groups);
      offsets.set(gotOffsets!, from * groups);
    }
    requireFinite(name, [scales, offsets], decoders[scaleDtype], scaleDtype);
    return { codes, scales, offsets };
  };
}

const emptyParts = (rows: number, words: number, groups: number, dtype: 'f16' | 'bf16'): Parts => [
  tensor(new Uint32Array(rows * words), [rows, words]),
  tensor(new Uint16Array(rows * groups), [rows, groups], { dtype }),
  tensor(new Uint16Array(rows * groups), [rows, groups], { dtype }),
];

/** Damaged weights must not become a checkpoint that looks whole. */
function requireFinite(
  name: string,
  factors: readonly Uint16Array[],
  decode: (code: number) => number,
  scaleDtype: string,
): void {
  for (const values of factors)
    for (const value of values)
      if (!Number.isFinite(decode(value)))
        throw new InvalidInputError(
          `tensor ${name} holds numbers that are not finite or too large for ${scaleDtype} scales; the checkpoint is damaged, or choose bf16 scales`,
        );
}
