/**
 * Reads one safetensors file, tensor by tensor, by byte range.
 *
 * Memory contract: opening reads the header only. `read` allocates the tensor's bytes. `readFloat32` allocates the f32 result and
 * at most 4 MiB beside it, however large the tensor. The `…Into` methods write to the caller's memory.
 * The numbers of the format are little-endian, and so is every platform this runs on (typed arrays are used in place).
 */
import { widenBf16, widenF16 } from '../numeric/half.js';
import { type ByteSource, readInto } from './byte-source.js';
import { type SafetensorsDtype, safetensorsDtypes } from './dtype.js';
import { SafetensorsError, type SafetensorsErrorCode } from './errors.js';
import {
  LENGTH_BYTES,
  parseSafetensorsHeader,
  safetensorsHeaderLength,
  type SafetensorsHeader,
  type TensorInfo,
} from './header.js';
import type { SafetensorsTensor, TensorSource } from './tensor-source.js';

/** Bytes converted at a time; a multiple of every element size. */
const CONVERSION_BYTES = 4 * 2 ** 20;

type Widen = (buffer: ArrayBuffer, elements: number, target: Float32Array) => void;

/** Dtypes that become f32 through a buffer. F32 itself is read in place. */
const widenings: Partial<Record<SafetensorsDtype, Widen>> = {
  F16: (buffer, elements, target) => void widenF16(new Uint16Array(buffer, 0, elements), target),
  BF16: (buffer, elements, target) => void widenBf16(new Uint16Array(buffer, 0, elements), target),
  F64: (buffer, elements, target) => target.set(new Float64Array(buffer, 0, elements)),
};

export class SafetensorsReader implements TensorSource {
  /** The name given at `open`, which every error carries. */
  readonly file: string;
  /** The file's own notes, such as { format: 'pt' }. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #source: ByteSource;
  readonly #header: SafetensorsHeader;

  private constructor(file: string, source: ByteSource, header: SafetensorsHeader) {
    this.file = file;
    this.metadata = header.metadata;
    this.#source = source;
    this.#header = header;
  }

  /**
   * Reads and checks the header. The reader closes `source` in `close()`; when opening fails the caller still owns it.
   * @param name file name or label for error messages.
   * @throws SafetensorsError when the file is not wholly right.
   */
  static async open(source: ByteSource, name: string): Promise<SafetensorsReader> {
    const prefix = await load(source, 0, Math.min(LENGTH_BYTES, source.size), name);
    const length = safetensorsHeaderLength(prefix, source.size, name);
    const bytes = await load(source, 0, LENGTH_BYTES + length, name);
    return new SafetensorsReader(name, source, parseSafetensorsHeader(bytes, source.size, name));
  }

  names(): string[] {
    return [...this.#header.tensors.keys()];
  }

  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  info(name: string): TensorInfo {
    const info = this.#header.tensors.get(name);
    if (!info) {
      const cure = `names() lists the ${this.#header.tensors.size} tensors of the file`;
      throw this.#fail('missing', name, 'no such tensor in this file', cure);
    }
    return info;
  }

  async read(name: string): Promise<SafetensorsTensor> {
    const { dtype, shape, byteOffset, byteLength } = this.info(name);
    const buffer = this.#allocate(byteLength, name);
    await this.#fill(byteOffset, new Uint8Array(buffer), name);
    const { byteSize, view } = safetensorsDtypes[dtype];
    return { dtype, shape, data: view(buffer, 0, byteLength / byteSize) };
  }

  async readBytesInto(name: string, target: Uint8Array): Promise<void> {
    const { byteOffset, byteLength } = this.info(name);
    if (target.length !== byteLength) {
      throw this.#fail(
        'target',
        name,
        `it has ${byteLength} bytes, the target has ${target.length}`,
        'pass a target of that length',
      );
    }
    await this.#fill(byteOffset, target, name);
  }

  async readRangeInto(name: string, from: number, target: Uint8Array): Promise<void> {
    const { byteOffset, byteLength } = this.info(name);
    if (!Number.isSafeInteger(from) || from < 0 || from > byteLength - target.length) {
      throw this.#fail(
        'target',
        name,
        `bytes ${from} to ${from + target.length} are not all within its ${byteLength} bytes`,
        'ask for a range inside the tensor',
      );
    }
    await this.#fill(byteOffset + from, target, name);
  }

  async readFloat32(name: string): Promise<Float32Array> {
    const { dtype, byteLength } = this.info(name);
    this.#requireFloat(dtype, name);
    const target = new Float32Array(this.#allocate((byteLength / safetensorsDtypes[dtype].byteSize) * 4, name));
    await this.readFloat32Into(name, target);
    return target;
  }

  async readFloat32Into(name: string, target: Float32Array): Promise<void> {
    const { dtype, byteOffset, byteLength } = this.info(name);
    this.#requireFloat(dtype, name);
    const { byteSize } = safetensorsDtypes[dtype];
    const elements = byteLength / byteSize;
    if (target.length !== elements) {
      throw this.#fail(
        'target',
        name,
        `it has ${elements} elements, the target has ${target.length}`,
        'pass a target of that length',
      );
    }
    const widen = widenings[dtype];
    if (!widen) return this.#fill(byteOffset, new Uint8Array(target.buffer, target.byteOffset, byteLength), name);
    const buffer = new ArrayBuffer(Math.min(CONVERSION_BYTES, byteLength));
    for (let done = 0; done < byteLength; done += CONVERSION_BYTES) {
      const count = Math.min(CONVERSION_BYTES, byteLength - done);
      await this.#fill(byteOffset + done, new Uint8Array(buffer, 0, count), name);
      widen(buffer, count / byteSize, target.subarray(done / byteSize, (done + count) / byteSize));
    }
  }

  async close(): Promise<void> {
    await this.#source.close?.();
  }

  #requireFloat(dtype: SafetensorsDtype, name: string): void {
    if (dtype !== 'F32' && !widenings[dtype]) {
      throw this.#fail('dtype', name, `${dtype} does not convert to f32`, 'use read() for its own values');
    }
  }

  #allocate(byteLength: number, name: string): ArrayBuffer {
    try {
      return new ArrayBuffer(byteLength);
    } catch (cause) {
      const cure = 'free memory, or read the tensor in parts from its info()';
      throw this.#fail('limit', name, `no memory for its ${byteLength} bytes`, cure, cause);
    }
  }

  async #fill(offset: number, target: Uint8Array, name: string): Promise<void> {
    try {
      await readInto(this.#source, offset, target);
    } catch (cause) {
      throw readError(this.file, offset, target.length, cause, name);
    }
  }

  #fail(code: SafetensorsErrorCode, tensor: string, problem: string, cure: string, cause?: unknown): SafetensorsError {
    return new SafetensorsError({ code, file: this.file, tensor, problem, cure, cause });
  }
}

function readError(file: string, offset: number, length: number, cause: unknown, tensor?: string): SafetensorsError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SafetensorsError({
    code: 'read',
    file,
    problem: `bytes ${offset} to ${offset + length} cannot be read (${why})`,
    cure: 'check that the file is still there, readable and not being changed',
    cause,
    ...(tensor === undefined ? {} : { tensor }),
  });
}

async function load(source: ByteSource, offset: number, length: number, file: string): Promise<Uint8Array> {
  // The length field is checked against the file before the second call, so a lying header allocates nothing.
  const target = new Uint8Array(length);
  try {
    await readInto(source, offset, target);
  } catch (cause) {
    throw readError(file, offset, length, cause);
  }
  return target;
}
