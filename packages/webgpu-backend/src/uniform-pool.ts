/**
 * Uniform blocks of all plans, at fixed offsets of a few shared buffers, so that bind groups can be cached.
 *
 * Blocks are found by content: the same sizes in another plan, or a hundred layers of one shape, are one block. They are
 * never freed: there are as many as there are different sizes in a program (256 bytes each).
 */
import { usage } from './buffers.js';

/** minUniformBufferOffsetAlignment of every device. */
const alignment = 256;
const pageBytes = 256 * alignment;

export interface UniformBlock {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

export class UniformPool {
  readonly #gpu: GPUDevice;
  readonly #blocks = new Map<string, UniformBlock>();
  #page: GPUBuffer | undefined;
  #next = 0;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  block(words: readonly number[]): UniformBlock {
    const key = words.join();
    const known = this.#blocks.get(key);
    if (known) return known;
    const size = Math.max(16, Math.ceil(words.length / 4) * 16);
    const span = Math.ceil(size / alignment) * alignment;
    if (!this.#page || this.#next + span > this.#page.size) {
      this.#page = this.#gpu.createBuffer({
        size: Math.max(pageBytes, span),
        usage: usage.uniform | usage.copyDestination,
      });
      this.#next = 0;
    }
    const block = { buffer: this.#page, offset: this.#next, size };
    this.#gpu.queue.writeBuffer(block.buffer, block.offset, Uint32Array.from(words));
    this.#next += span;
    this.#blocks.set(key, block);
    return block;
  }
}
