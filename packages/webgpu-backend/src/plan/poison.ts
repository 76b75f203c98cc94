/** Fills buffers with NaN words before a run, so that a kernel that reads what nobody has written shows. For tests. */
import { usage } from '../buffers.js';

const chunkBytes = 64 * 1024;
/** NaN as f32 and as each half of a word in f16 and bf16; true as bool. */
const poisonWord = 0xffffffff;

export class Poison {
  readonly #source: GPUBuffer;

  constructor(gpu: GPUDevice) {
    this.#source = gpu.createBuffer({ size: chunkBytes, usage: usage.copySource | usage.copyDestination });
    gpu.queue.writeBuffer(this.#source, 0, new Uint32Array(chunkBytes / 4).fill(poisonWord));
  }

  fill(encoder: GPUCommandEncoder, targets: readonly GPUBuffer[]): void {
    for (const target of targets) {
      for (let from = 0; from < target.size; from += chunkBytes)
        encoder.copyBufferToBuffer(this.#source, 0, target, from, Math.min(chunkBytes, target.size - from));
    }
  }
}
