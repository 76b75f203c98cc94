/** What reading one checkpoint's tensors needs everywhere, and the only ways their bytes reach the host. */
import {
  type Device,
  type HostArray,
  type SafetensorsDtype,
  type Tensor,
  type TensorInfo,
  type TensorSource,
  type TensorSpec,
  byteLengthOf,
  hostView,
  receive,
  tensor,
  upload,
  widenBf16,
  widenF16,
} from '@mindseye/tensor-core';

/** Bytes of a file that are on the host at a time where they have to be rewritten, beside the tensor they become. */
export const WINDOW_BYTES: number = 2 * 2 ** 20;

/** Bytes asked for at a time where they go straight to their place: few requests, and still soon stopped. */
const READ_BYTES = 16 * 2 ** 20;

export interface ReadContext {
  readonly source: TensorSource;
  /** Where the checkpoint is, for error messages. */
  readonly location: string;
  /** Where tensors go as soon as they are built; without one they stay on the host until they are used. */
  readonly device: Device | undefined;
  readonly signal: AbortSignal | undefined;
  /** `WINDOW_BYTES`, or what the caller wants instead. */
  readonly windowBytes: number;
  /** Told of every run of bytes that has been read. */
  readonly onBytes: (count: number) => void;
}

/** Moves what was built to the device, if there is one, so that its host memory can go. */
export const place = async <T>(tree: T, { device }: ReadContext): Promise<T> => (device ? upload(tree, device) : tree);

/** A tensor whose memory `fill` writes: the device's own where there is a device that can show it. */
export async function placed(
  { device }: ReadContext,
  spec: TensorSpec,
  fill: (data: HostArray) => Promise<void>,
): Promise<Tensor> {
  if (device) return receive(device, spec, fill);
  const data = hostView(new ArrayBuffer(byteLengthOf(spec)), 0, spec);
  await fill(data);
  return tensor(data, spec.shape, { dtype: spec.dtype });
}

/** Elements of a tensor. */
export const elementsOf = ({ shape }: Pick<TensorInfo, 'shape'>): number =>
  shape.reduce((total, size) => total * size, 1);

/** The bytes of a typed array. */
export const bytesOf = (array: HostArray): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Reads the whole tensor into `target`, in parts, so that it can be stopped and its progress told. */
export async function readInto(context: ReadContext, name: string, target: Uint8Array): Promise<void> {
  for (let at = 0; at < target.length; at += READ_BYTES) {
    const part = target.subarray(at, at + READ_BYTES);
    context.signal?.throwIfAborted();
    await context.source.readRangeInto(name, at, part);
    context.onBytes(part.length);
  }
}

/**
 * The bytes of a tensor in windows of whole units (a row, say). Every window is the same memory: it is only good until the
 * next is asked for.
 */
export async function* byteWindows(
  context: ReadContext,
  name: string,
  unitBytes: number,
): AsyncGenerator<{ readonly at: number; readonly bytes: Uint8Array<ArrayBuffer> }, void> {
  const { byteLength } = context.source.info(name);
  const windowBytes = Math.max(1, Math.floor(context.windowBytes / unitBytes)) * unitBytes;
  const memory = new Uint8Array(Math.min(windowBytes, byteLength));
  for (let at = 0; at < byteLength; at += windowBytes) {
    const bytes = memory.subarray(0, Math.min(windowBytes, byteLength - at));
    context.signal?.throwIfAborted();
    await context.source.readRangeInto(name, at, bytes);
    context.onBytes(bytes.length);
    yield { at, bytes };
  }
}

/** How the numbers of a float dtype become f32, from memory that starts at a multiple of their size. */
type Widen = (bytes: Uint8Array<ArrayBuffer>, target: Float32Array) => void;

const widenings: Partial<Record<SafetensorsDtype, { readonly byteSize: number; readonly widen: Widen }>> = {
  F32: { byteSize: 4, widen: (bytes, target) => target.set(new Float32Array(bytes.buffer, 0, bytes.length / 4)) },
  F16: {
    byteSize: 2,
    widen: (bytes, target) => void widenF16(new Uint16Array(bytes.buffer, 0, bytes.length / 2), target),
  },
  BF16: {
    byteSize: 2,
    widen: (bytes, target) => void widenBf16(new Uint16Array(bytes.buffer, 0, bytes.length / 2), target),
  },
  F64: { byteSize: 8, widen: (bytes, target) => target.set(new Float64Array(bytes.buffer, 0, bytes.length / 8)) },
};

/** True for the dtypes whose numbers can be weights. */
export const isFloatDtype = (dtype: SafetensorsDtype): boolean => widenings[dtype] !== undefined;

/**
 * A float tensor as f32, in windows of whole rows of `rowElements`. Every window is the same memory.
 * Memory: at most two windows, however large the tensor.
 */
export async function* floatWindows(
  context: ReadContext,
  name: string,
  rowElements: number,
): AsyncGenerator<{ readonly at: number; readonly values: Float32Array<ArrayBuffer> }, void> {
  const { byteSize, widen } = widenings[context.source.info(name).dtype]!;
  let memory = new Float32Array(0);
  for await (const { at, bytes } of byteWindows(context, name, rowElements * byteSize)) {
    const count = bytes.length / byteSize;
    if (memory.length < count) memory = new Float32Array(count);
    const values = memory.subarray(0, count);
    widen(bytes, values);
    yield { at: at / byteSize, values };
  }
}

/** A whole float tensor as f32. */
export async function readFloats(context: ReadContext, name: string): Promise<Float32Array<ArrayBuffer>> {
  const info = context.source.info(name);
  const target = new Float32Array(elementsOf(info));
  if (info.dtype === 'F32') await readInto(context, name, bytesOf(target));
  else for await (const { at, values } of floatWindows(context, name, 1)) target.set(values, at);
  return target;
}

/** A whole tensor of 32-bit words, whatever sign the file gives them. */
export async function readWords(context: ReadContext, name: string): Promise<Uint32Array<ArrayBuffer>> {
  const target = new Uint32Array(elementsOf(context.source.info(name)));
  await readInto(context, name, bytesOf(target));
  return target;
}
