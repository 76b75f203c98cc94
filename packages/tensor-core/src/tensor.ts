/**
 * A tensor is an immutable handle on a lazy graph.
 *
 *   Tensor ──producer──▶ GraphNode { op, inputs: Tensor[], attributes, outputs: Tensor[] }
 *
 * A handle is in one of three states: *lazy* (it has a producer), *materialised* (it has storage, on the host or on one
 * device, and has forgotten its producer, so that graphs never grow), or a *placeholder* (neither: a parameter of a
 * function being traced). Nothing is computed before `evaluate`, `data()` or a compiled function asks.
 */
import { type DType, type HostArray, allocateHost, byteSizeOf, dtypeOfArray, encoderOf } from './dtype.js';
import type { Device, DeviceBuffer } from './device.js';
import { ShapeError, TensorStateError } from './errors.js';
import type { Op } from './op.js';
import { evaluate } from './plan/evaluate.js';
import { type Shape, checkShape, formatShape, sizeOf } from './shape.js';

export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** One application of an op. All outputs are created with the node, so that one value has exactly one handle. */
export interface GraphNode {
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly attributes: object;
  readonly outputs: readonly Tensor[];
  /** Nodes built earlier have smaller numbers. */
  readonly created: number;
  /** True for work that a checkpoint does a second time. */
  readonly recomputed?: boolean;
  /** The source line that built the node, while `trackOrigins` holds. */
  readonly origin?: string;
}

export type Storage =
  | { readonly kind: 'host'; readonly data: HostArray }
  | { readonly kind: 'device'; readonly device: Device; readonly buffer: DeviceBuffer }
  | { readonly kind: 'donated'; readonly to: string };

export class Tensor implements TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
  /** @internal The node that computes this value; undefined once materialised, and for placeholders. */
  producer: GraphNode | undefined;
  /** @internal Where the value lives; undefined while lazy. */
  storage: Storage | undefined;
  /** @internal Name of the op that computed the value, when the graph behind it is forgotten. */
  computedBy: string | undefined;

  /** @internal Use `tensor`, `zeros`, … or an op. */
  constructor(shape: Shape, dtype: DType, producer?: GraphNode, storage?: Storage) {
    this.shape = shape;
    this.dtype = dtype;
    this.producer = producer;
    this.storage = storage;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes of the value when materialised. */
  get byteLength(): number {
    return this.size * byteSizeOf(this.dtype);
  }

  /**
   * The elements in row-major order, computing them on `device` if they are still lazy.
   * The array is the caller's to keep; writing to it does not change the tensor.
   */
  async data(device?: Device): Promise<HostArray> {
    if (this.storage === undefined) await evaluate([this], device ? { device } : {});
    const storage = this.storage as Storage; // evaluate sets it or throws
    if (storage.kind === 'host') return storage.data.slice();
    if (storage.kind === 'device') return storage.device.read(storage.buffer, this);
    throw donatedError(this, storage.to);
  }

  /** The only element of a one-element tensor. */
  async item(device?: Device): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item() needs exactly one element, the tensor has shape ${formatShape(this.shape)}`);
    return (await this.data(device))[0]!;
  }

  toString(): string {
    const state = this.storage?.kind ?? (this.producer ? `lazy ${this.producer.op.name}` : 'placeholder');
    return `Tensor(${this.dtype}${formatShape(this.shape)}, ${state})`;
  }
}

export function donatedError(tensor: TensorSpec, to: string): TensorStateError {
  return new TensorStateError(
    `this ${tensor.dtype}${formatShape(tensor.shape)} tensor was donated to ${to} and holds no value any more: use the tensor that ${to} returned, or do not donate this argument`,
  );
}

/** Numbers are read as f32 scalars wherever an op takes a tensor. */
export type TensorLike = Tensor | number;

type NestedNumbers = number | readonly NestedNumbers[];

/**
 * A tensor from numbers.
 *
 * @param data a typed array (taken over, not copied: do not write to it afterwards), a number, or nested arrays. An array
 *   of another class than the dtype's is converted, except that f32 may be given in 64 bits for the f64 reference engine.
 * @param shape defaults to the nesting of `data`, or to one axis for a typed array.
 */
export function tensor(
  data: HostArray | NestedNumbers,
  shape?: Shape,
  options: { readonly dtype?: DType } = {},
): Tensor {
  if (ArrayBuffer.isView(data)) {
    const dtype = options.dtype ?? dtypeOfArray(data);
    const resolved = shape ?? [data.length];
    checkShape(resolved, 'tensor');
    if (sizeOf(resolved) !== data.length) {
      throw new ShapeError(
        `tensor: ${data.length} elements do not fill the shape ${formatShape(resolved)} (${sizeOf(resolved)} elements)`,
      );
    }
    return new Tensor([...resolved], dtype, undefined, { kind: 'host', data: asHostArray(data, dtype) });
  }
  const nesting = shapeOfNested(data as NestedNumbers);
  const flat: number[] = [];
  const collect = (level: NestedNumbers, axis: number): void => {
    const isRow = typeof level !== 'number';
    if (isRow ? level.length !== nesting[axis] : axis !== nesting.length)
      throw new ShapeError('tensor: nested arrays have rows of different lengths or depths');
    if (isRow) for (const part of level) collect(part, axis + 1);
    else flat.push(level);
  };
  collect(data as NestedNumbers, 0);
  const dtype = options.dtype ?? 'f32';
  const host = allocateHost(dtype, flat.length);
  const encode = encoderOf(dtype);
  for (let i = 0; i < flat.length; i++) host[i] = encode(flat[i]!);
  return tensor(host, shape ?? nesting, { dtype });
}

/** `data` itself when its class fits `dtype`, else a converted copy. */
function asHostArray(data: HostArray, dtype: DType): HostArray {
  const host = allocateHost(dtype, 0);
  if (data.constructor === host.constructor || (dtype === 'f32' && data instanceof Float64Array)) return data;
  const converted = allocateHost(dtype, data.length);
  const encode = encoderOf(dtype);
  for (let i = 0; i < data.length; i++) converted[i] = encode(data[i]!);
  return converted;
}

function shapeOfNested(data: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let level: NestedNumbers | undefined = data; typeof level === 'object'; level = level[0])
    shape.push(level.length);
  return shape;
}

/** A parameter of a function being traced. */
export const placeholder = (spec: TensorSpec): Tensor => new Tensor(spec.shape, spec.dtype);
