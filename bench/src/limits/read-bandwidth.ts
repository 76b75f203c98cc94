/**
 * How fast one core reads memory from WebAssembly: a sum over 8 independent vectors, in pairs that V8 widens to 256 bits
 * where it can. One stream from front to back, which is what hardware prefetches best.
 */
import { type LoopModule, code, compileLoops, repeat } from './wasm-module.ts';

const VECTORS = 8;
const VECTOR_BYTES = 16;
const STRIDE = VECTORS * VECTOR_BYTES;
/** What is read starts behind the place of the sums. */
const START = 65_536;

export interface ReadBandwidth {
  /** Milliseconds to read `bytes` from `offset`; both are rounded down to multiples of 128. */
  read(offset: number, bytes: number): number;
}

/** A memory of so many bytes, all touched. */
export function readBandwidth(bytes: number): ReadBandwidth {
  const loops = sums(bytes);
  new Uint8Array(loops.memory.buffer).fill(1);
  return {
    read(offset, count) {
      const start = performance.now();
      const strides = Math.floor(count / STRIDE);
      if (strides > 0) loops.call('sum', START + Math.floor(offset / STRIDE) * STRIDE, strides);
      return performance.now() - start;
    },
  };
}

function sums(bytes: number): LoopModule {
  const [pointer, counter] = [0, 1];
  const accumulators = Array.from({ length: VECTORS }, (_, i) => ({ local: 2 + i, offset: i * VECTOR_BYTES }));
  const step = [
    ...accumulators.flatMap(({ local, offset }) => [
      ...code.get(pointer),
      ...code.load(offset),
      ...code.get(local),
      ...code.addI32x4,
      ...code.set(local),
    ]),
    ...code.get(pointer),
    ...code.constant(STRIDE),
    ...code.addI32,
    ...code.set(pointer),
  ];
  const body = [
    ...repeat(counter, step),
    ...code.constant(0),
    ...code.set(pointer),
    ...accumulators.flatMap(({ local, offset }) => [...code.get(pointer), ...code.get(local), ...code.store(offset)]),
  ];
  const sum = { name: 'sum', parameters: 2, vectors: VECTORS, body };
  return compileLoops([sum], START + bytes + STRIDE, { pairs: true });
}
