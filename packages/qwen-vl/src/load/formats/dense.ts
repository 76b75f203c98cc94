/**
 * Dense tensors: f32, f16, bf16, and f64 narrowed to f32.
 *
 * In their own dtype the bytes of the file are the tensor and go straight to its memory. Anything else is rewritten in windows
 * of rows: memory is the tensor that is built and one window, in the file's dtype and in f32.
 */
import {
  type HostArray,
  type SafetensorsDtype,
  type Tensor,
  type Weight,
  type WeightPrecision,
  defaultDevice,
  evaluate,
  groupsPerRow,
  narrowToBf16,
  narrowToF16,
  quantize,
  sizeOf,
  tensor,
  wordsPerRow,
} from '@mindseye/tensor-core';
import type { NameLayout } from '../../model/parameters.js';
import { type ReadContext, bytesOf, floatWindows, place, placed, readFloats, readInto } from '../read-context.js';

export type DenseDType = 'f32' | 'f16' | 'bf16';

/** The dtype in memory that is the file's own; f64 has none and becomes f32. */
const ownDtypes: Partial<Record<SafetensorsDtype, DenseDType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16', F64: 'f32' };

/** What a dense tensor is kept in when nothing else is asked for; undefined for dtypes that are no weights. */
export const denseDtypeOf = (dtype: SafetensorsDtype): DenseDType | undefined => ownDtypes[dtype];

/** Memory of a dense tensor, filled with f32 numbers run by run. */
export interface DenseTarget {
  readonly data: Float32Array | Uint16Array;
  write(values: Float32Array, at: number): void;
}

const targets: Readonly<Record<DenseDType, (size: number) => DenseTarget>> = {
  f32(size) {
    const data = new Float32Array(size);
    return { data, write: (values, at) => data.set(values, at) };
  },
  f16(size) {
    const data = new Uint16Array(size);
    return { data, write: (values, at) => void narrowToF16(values, data.subarray(at, at + values.length)) };
  },
  bf16(size) {
    const data = new Uint16Array(size);
    return { data, write: (values, at) => void narrowToBf16(values, data.subarray(at, at + values.length)) };
  },
};

export const denseTarget = (dtype: DenseDType, size: number): DenseTarget => targets[dtype](size);

/** A tensor on memory that is given up to it. */
export const tensorOn = (data: HostArray, shape: readonly number[], dtype: DenseDType | 'u32'): Tensor =>
  tensor(data, shape, { dtype });

/** The bytes of the file are those of the tensor: they go right to where it will be used. */
export function readAsStored(
  context: ReadContext,
  name: string,
  shape: readonly number[],
  dtype: DenseDType | 'u32',
): Promise<Tensor> {
  return placed(context, { shape, dtype }, (data) => readInto(context, name, bytesOf(data)));
}

/** Reads the tensor stored as `name` into the precision asked for; one that quantises is for matrices only. */
export async function readDense(
  context: ReadContext,
  name: string,
  shape: readonly number[],
  precision: WeightPrecision,
): Promise<Weight> {
  if (typeof precision === 'object') return readQuantizing(context, name, shape, precision);
  const { dtype } = context.source.info(name);
  if (ownDtypes[dtype] === precision && dtype !== 'F64') return readAsStored(context, name, shape, precision);
  const target = denseTarget(precision, sizeOf(shape));
  for await (const { at, values } of floatWindows(context, name, 1)) target.write(values, at);
  return place(tensorOn(target.data, shape, precision), context);
}

/** Quantises a matrix window by window; the codes of each come back to the host and go to the device whole. */
async function readQuantizing(
  context: ReadContext,
  name: string,
  shape: readonly number[],
  options: Exclude<WeightPrecision, string>,
): Promise<Weight> {
  const [rows, columns] = shape as readonly [number, number];
  const { bits, groupSize = 64, symmetric = true, scaleDtype = 'f16' } = options;
  const device = context.device ?? defaultDevice();
  const words = wordsPerRow({ bits, columns });
  const groups = groupsPerRow({ groupSize, columns });
  const codes = new Uint32Array(rows * words);
  const numbers = (): HostArray => denseTarget(scaleDtype, rows * groups).data;
  const scales = numbers();
  const offsets = symmetric ? undefined : numbers();
  for await (const { at, values } of floatWindows(context, name, columns)) {
    const row = at / columns;
    const part = quantize(tensor(values, [values.length / columns, columns]), options);
    await evaluate(part, { device });
    codes.set(await part.codes.data(), row * words);
    scales.set(await part.scales.data(), row * groups);
    if (part.offsets) offsets?.set(await part.offsets.data(), row * groups);
  }
  const onDevice = (data: HostArray, width: number, dtype: DenseDType | 'u32'): Promise<Tensor> =>
    place(tensorOn(data, [rows, width], dtype), context);
  return {
    codes: await onDevice(codes, words, 'u32'),
    scales: await onDevice(scales, groups, scaleDtype),
    ...(offsets && { offsets: await onDevice(offsets, groups, scaleDtype) }),
    bits,
    groupSize,
    columns,
  };
}

/** [out, channels, time, height, width] of a kernel [out, time, height, width, channels]. */
const channelsFirst = ([out, time, height, width, channels]: readonly number[]): number[] => [
  out!,
  channels!,
  time!,
  height!,
  width!,
];

/** The shape that a kernel of five axes in the layout of MLX has in ours; undefined for every other tensor. */
export const kernelShape = (shape: readonly number[], layout: NameLayout | undefined): readonly number[] | undefined =>
  layout === 'mlx' && shape.length === 5 ? channelsFirst(shape) : undefined;

/** Reads a patch kernel stored with its channels last. */
export async function readChannelsLast(context: ReadContext, name: string): Promise<Tensor> {
  const stored = context.source.info(name).shape;
  const [out, channels, time, height, width] = channelsFirst(stored) as [number, number, number, number, number];
  const values = await readFloats(context, name);
  const result = new Float32Array(values.length);
  const places = time * height * width;
  for (let filter = 0; filter < out; filter++) {
    const start = filter * places * channels;
    for (let at = 0; at < places; at++)
      for (let channel = 0; channel < channels; channel++)
        result[start + channel * places + at] = values[start + at * channels + channel]!;
  }
  return place(tensorOn(result, [out, channels, time, height, width], 'f32'), context);
}
