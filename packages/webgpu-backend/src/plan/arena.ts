/**
 * The slabs themselves, shared by all plans of a device: each is as large as the largest plan needs it.
 *
 * A run leaves nothing behind in them (outputs are copied out in the same submission), and the queue runs submissions in
 * order, so plans may share them even when several runs are under way.
 */
import type { Buffers } from '../buffers.js';
import { usage } from '../buffers.js';

export class Arena {
  readonly #gpu: GPUDevice;
  readonly #buffers: Buffers;
  #slabs: readonly GPUBuffer[] = [];
  #generation = 0;

  constructor(gpu: GPUDevice, buffers: Buffers) {
    this.#gpu = gpu;
    this.#buffers = buffers;
  }

  /** Changes whenever a slab was replaced, and bind groups made before are stale. */
  get generation(): number {
    return this.#generation;
  }

  /** The slabs, each at least as large as asked. */
  reserve(slabBytes: readonly number[]): readonly GPUBuffer[] {
    const count = Math.max(slabBytes.length, this.#slabs.length);
    const fits = slabBytes.every((bytes, slab) => bytes <= (this.#slabs[slab]?.size ?? 0));
    if (fits) return this.#slabs;
    this.#slabs = Array.from({ length: count }, (_, slab) => {
      const old = this.#slabs[slab];
      const bytes = slabBytes[slab] ?? 0;
      if (old && old.size >= bytes) return old;
      old?.destroy();
      this.#buffers.noteArena(bytes - (old?.size ?? 0));
      return this.#gpu.createBuffer({ size: bytes, usage: usage.storage | usage.copySource | usage.copyDestination });
    });
    this.#generation++;
    return this.#slabs;
  }
}
