/**
 * Bytes on the GPU: allocation, upload, readback and their account.
 *
 * A tensor that is larger than one binding is held in shards, one GPUBuffer each, cut where the plans that read it expect it
 * (`shardBoundaries`). `queue.writeBuffer` keeps its staging copy until the next submit, so long uploads submit nothing now
 * and then.
 */
import {
  type DeviceBuffer,
  type HostArray,
  ShapeError,
  type TensorSpec,
  byteSizeOf,
  formatShape,
  shardBoundaries,
  sizeOf,
} from '@mindseye/tensor-core';
import type { LimitName } from './report.js';
import { fromBytes, gpuBytesOf, toBytes, wordBytes } from './element.js';
import { WebGpuError, asWebGpuError } from './errors.js';

/** GPUBufferUsage and GPUMapMode by number: Dawn in Node has no such globals. */
export const usage = { mapRead: 0x1, copySource: 0x4, copyDestination: 0x8, uniform: 0x40, storage: 0x80 } as const;
const mapModeRead = 1;

const uploadsPerFlush = 8;
const uploadBytesPerFlush = 32 * 2 ** 20;

/** The buffers of one materialised tensor: one, or its shards in order. */
export class GpuBuffer implements DeviceBuffer {
  readonly parts: readonly GPUBuffer[];
  readonly byteLength: number;
  /** Distinguishes buffers where bind groups are kept. */
  readonly serial: number;
  isReleased = false;

  constructor(parts: readonly GPUBuffer[], serial: number) {
    this.parts = parts;
    this.byteLength = parts.reduce((bytes, part) => bytes + part.size, 0);
    this.serial = serial;
  }
}

/** One shard of a tensor, or the whole: its bytes in the tensor, and on the GPU to the end of a word. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly gpuBytes: number;
}

export class Buffers {
  readonly #gpu: GPUDevice;
  readonly #limits: Readonly<Record<LimitName, number>>;
  #serial = 0;
  #pendingUploads = 0;
  #pendingBytes = 0;
  #rootBytes = 0;
  #arenaBytes = 0;
  #peakBytes = 0;

  constructor(gpu: GPUDevice, limits: Readonly<Record<LimitName, number>>) {
    this.#gpu = gpu;
    this.#limits = limits;
  }

  get rootBytes(): number {
    return this.#rootBytes;
  }
  get arenaBytes(): number {
    return this.#arenaBytes;
  }
  get peakBytes(): number {
    return this.#peakBytes;
  }
  /** Bytes of the largest buffer that can be bound whole: larger tensors are held in shards. */
  get bindingBytes(): number {
    return Math.min(this.#limits.maxBufferSize, this.#limits.maxStorageBufferBindingSize);
  }

  /**
   * An uninitialised root.
   *
   * @throws WebGpuError `limit-exceeded` when not even one row of the tensor can be bound.
   */
  allocate(spec: TensorSpec): GpuBuffer {
    const parts = this.#partsOf(spec).map(({ gpuBytes }) =>
      this.#gpu.createBuffer({
        // A binding is never empty, so a value without elements still has one word.
        size: Math.max(wordBytes, gpuBytes),
        usage: usage.storage | usage.copySource | usage.copyDestination,
      }),
    );
    const buffer = new GpuBuffer(parts, this.#serial++);
    this.#rootBytes += buffer.byteLength;
    this.#notePeak();
    return buffer;
  }

  #partsOf(spec: TensorSpec): readonly Part[] {
    const boundaries = this.#boundariesOf(spec) ?? [0, spec.shape[0] ?? 1];
    const rowBytes = sizeOf(spec.shape.slice(1)) * byteSizeOf(spec.dtype);
    return boundaries.slice(1).map((end, i) => {
      const [from, to] = [boundaries[i]! * rowBytes, end * rowBytes];
      return { from, to, gpuBytes: Math.ceil((to - from) / wordBytes) * wordBytes };
    });
  }

  #boundariesOf(spec: TensorSpec): readonly number[] | undefined {
    try {
      return shardBoundaries(spec, this.bindingBytes);
    } catch (cause) {
      if (!(cause instanceof ShapeError)) throw cause;
      const limit =
        this.#limits.maxBufferSize < this.#limits.maxStorageBufferBindingSize
          ? 'maxBufferSize'
          : 'maxStorageBufferBindingSize';
      throw new WebGpuError('limit-exceeded', `${cause.message} (${limit} of this adapter)`, { cause });
    }
  }

  /** Idempotent: a handle that was released by name may be collected later. */
  release(buffer: GpuBuffer): void {
    if (buffer.isReleased) return;
    buffer.isReleased = true;
    this.#rootBytes -= buffer.byteLength;
    for (const part of buffer.parts) part.destroy();
  }

  upload(data: HostArray, spec: TensorSpec): GpuBuffer {
    if (data.length !== sizeOf(spec.shape))
      throw new ShapeError(
        `an upload of ${data.length} elements does not fill ${spec.dtype}${formatShape(spec.shape)} (${sizeOf(spec.shape)} elements)`,
      );
    const buffer = this.allocate(spec);
    const bytes = toBytes(data);
    this.#partsOf(spec).forEach(({ from, to }, i) => this.#write(buffer.parts[i]!, bytes.subarray(from, to)));
    return buffer;
  }

  #write(target: GPUBuffer, bytes: Uint8Array<ArrayBuffer>): void {
    const { queue } = this.#gpu;
    const whole = bytes.byteLength - (bytes.byteLength % wordBytes);
    for (let from = 0; from < whole; from += uploadBytesPerFlush) {
      const length = Math.min(uploadBytesPerFlush, whole - from);
      queue.writeBuffer(target, from, bytes.buffer, bytes.byteOffset + from, length);
      this.#pendingBytes += length;
      if (this.#pendingBytes >= uploadBytesPerFlush) this.submit([]);
    }
    if (whole < bytes.byteLength) {
      // Writes are whole words, so the last bytes travel in one of their own.
      const last = new Uint8Array(wordBytes);
      last.set(bytes.subarray(whole));
      queue.writeBuffer(target, whole, last);
    }
    this.#pendingUploads++;
    if (this.#pendingUploads >= uploadsPerFlush) this.submit([]);
  }

  /** Submits commands; staging copies of earlier uploads are freed with them. */
  submit(commands: readonly GPUCommandBuffer[]): void {
    this.#gpu.queue.submit([...commands]);
    this.#pendingUploads = 0;
    this.#pendingBytes = 0;
  }

  async read(buffer: GpuBuffer, spec: TensorSpec): Promise<HostArray> {
    const parts = this.#partsOf(spec);
    if (gpuBytesOf(spec) === 0) return fromBytes(new ArrayBuffer(0), spec);
    if (parts.length === 1) return fromBytes(await this.#readPart(buffer.parts[0]!, parts[0]!), spec);
    const joined = new Uint8Array(parts.at(-1)!.to);
    for (const [i, part] of parts.entries()) {
      const bytes = await this.#readPart(buffer.parts[i]!, part);
      joined.set(new Uint8Array(bytes, 0, part.to - part.from), part.from);
    }
    return fromBytes(joined.buffer, spec);
  }

  #readPart(from: GPUBuffer, { gpuBytes }: Part): Promise<ArrayBuffer> {
    const staging = this.readback(gpuBytes);
    const encoder = this.#gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, staging, 0, gpuBytes);
    this.submit([encoder.finish()]);
    return takeBytes(staging);
  }

  /** A buffer that commands copy into and `takeBytes` empties. */
  readback(size: number): GPUBuffer {
    return this.#gpu.createBuffer({ size, usage: usage.mapRead | usage.copyDestination });
  }

  /** The arena grew (or shrank) by `bytes`. */
  noteArena(bytes: number): void {
    this.#arenaBytes += bytes;
    this.#notePeak();
  }

  #notePeak(): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#rootBytes + this.#arenaBytes);
  }
}

/** Waits for a readback buffer's contents and destroys it. */
export async function takeBytes(staging: GPUBuffer): Promise<ArrayBuffer> {
  try {
    await staging.mapAsync(mapModeRead);
    return staging.getMappedRange().slice(0);
  } catch (error) {
    throw asWebGpuError(error, 'reading back');
  } finally {
    staging.destroy();
  }
}
