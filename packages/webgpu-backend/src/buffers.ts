/**
 * Bytes on the GPU: allocation, upload, readback and their account.
 *
 * `queue.writeBuffer` keeps its staging copy until the next submit, so loops of uploads submit nothing every few buffers.
 */
import type { DeviceBuffer, HostArray, TensorSpec } from '@mindseye/tensor-core';
import { formatShape } from '@mindseye/tensor-core';
import type { LimitName } from './report.js';
import { fromWords, gpuBytesOf, toWords } from './element.js';
import { WebGpuError, asWebGpuError } from './errors.js';

/** GPUBufferUsage and GPUMapMode by number: Dawn in Node has no such globals. */
export const usage = { mapRead: 0x1, copySource: 0x4, copyDestination: 0x8, uniform: 0x40, storage: 0x80 } as const;
const mapModeRead = 1;

const uploadsPerFlush = 8;
const uploadBytesPerFlush = 32 * 2 ** 20;

/** A binding is never empty, so a value without elements still has one word. */
const smallestBuffer = 4;

/** The buffer of one materialised tensor. */
export class GpuBuffer implements DeviceBuffer {
  readonly gpu: GPUBuffer;
  readonly byteLength: number;
  /** Distinguishes buffers in keys of cached bind groups. */
  readonly serial: number;
  isReleased = false;

  constructor(gpu: GPUBuffer, serial: number) {
    this.gpu = gpu;
    this.byteLength = gpu.size;
    this.serial = serial;
  }
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

  /** @throws WebGpuError `limit-exceeded` when no buffer of this adapter can hold the value and be bound whole. */
  checkSize(spec: TensorSpec): void {
    for (const limit of ['maxBufferSize', 'maxStorageBufferBindingSize'] as const) {
      const [need, allowed] = [gpuBytesOf(spec), this.#limits[limit]];
      if (need > allowed)
        throw new WebGpuError(
          'limit-exceeded',
          `${spec.dtype}${formatShape(spec.shape)} takes ${need} bytes, this adapter's ${limit} is ${allowed}: split the tensor, or use another adapter`,
        );
    }
  }

  /** An uninitialised root. */
  allocate(spec: TensorSpec): GpuBuffer {
    this.checkSize(spec);
    const buffer = new GpuBuffer(
      this.#gpu.createBuffer({
        size: Math.max(smallestBuffer, gpuBytesOf(spec)),
        usage: usage.storage | usage.copySource | usage.copyDestination,
      }),
      this.#serial++,
    );
    this.#rootBytes += buffer.byteLength;
    this.#notePeak();
    return buffer;
  }

  /** Idempotent: a handle that was released by name may be collected later. */
  release(buffer: GpuBuffer): void {
    if (buffer.isReleased) return;
    buffer.isReleased = true;
    this.#rootBytes -= buffer.byteLength;
    buffer.gpu.destroy();
  }

  upload(data: HostArray, spec: TensorSpec): GpuBuffer {
    const buffer = this.allocate(spec);
    const words = toWords(data, spec.dtype);
    this.#gpu.queue.writeBuffer(buffer.gpu, 0, words.buffer as ArrayBuffer, words.byteOffset, words.byteLength);
    this.#pendingUploads++;
    this.#pendingBytes += words.byteLength;
    if (this.#pendingUploads >= uploadsPerFlush || this.#pendingBytes >= uploadBytesPerFlush) this.submit([]);
    return buffer;
  }

  /** Submits commands; staging copies of earlier uploads are freed with them. */
  submit(commands: readonly GPUCommandBuffer[]): void {
    this.#gpu.queue.submit([...commands]);
    this.#pendingUploads = 0;
    this.#pendingBytes = 0;
  }

  async read(buffer: GpuBuffer, spec: TensorSpec): Promise<HostArray> {
    const size = gpuBytesOf(spec);
    if (size === 0) return fromWords(new ArrayBuffer(0), spec.dtype);
    const staging = this.readback(size);
    const encoder = this.#gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer.gpu, 0, staging, 0, size);
    this.submit([encoder.finish()]);
    return fromWords(await takeBytes(staging), spec.dtype);
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
