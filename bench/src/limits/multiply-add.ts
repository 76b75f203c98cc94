/**
 * The most multiply-adds that one core can do from WebAssembly: chains acc ← x · y + acc that only wait for themselves, in
 * registers. Twelve chains hide the latency of two units of four cycles with some to spare, and leave room for x and y.
 */
import { type LoopModule, code, compileLoops, repeat } from './wasm-module.ts';

export const vectorWidths = [128, 256] as const;
export type VectorWidth = (typeof vectorWidths)[number];

const CHAINS = 12;
const UNROLL = 8;
const LANES = 4;
const VECTOR_BYTES = 16;
/** About a millisecond. */
const ITERATIONS = 50_000;

export interface MultiplyAddLimit {
  /** GFLOP/s of the fastest of several short runs; two per multiply-add. */
  measure(): number;
}

/** 256 bits are pairs of adjacent 128-bit chains, which V8 widens. */
export function multiplyAddLimit(width: VectorWidth): MultiplyAddLimit {
  const vectors = (CHAINS * width) / 128;
  const loops = chains(vectors, width);
  const flop = ITERATIONS * UNROLL * vectors * LANES * 2;
  return {
    measure() {
      let best = Infinity;
      for (let run = 0; run < 20; run++) {
        const start = performance.now();
        loops.call('chains', 0, ITERATIONS);
        best = Math.min(best, performance.now() - start);
      }
      return flop / best / 1e6;
    },
  };
}

function chains(vectors: number, width: VectorWidth): LoopModule {
  const [pointer, counter, x, y] = [0, 1, 2, 3];
  const accumulators = Array.from({ length: vectors }, (_, i) => ({ local: 4 + i, offset: (1 + i) * VECTOR_BYTES }));
  const step = accumulators.flatMap(({ local }) => [
    ...code.get(x),
    ...code.get(y),
    ...code.get(local),
    ...code.relaxedMultiplyAdd,
    ...code.set(local),
  ]);
  const body = [
    ...code.get(pointer),
    ...code.loadSplat32(0),
    ...code.set(x),
    ...code.get(pointer),
    ...code.loadSplat32(4),
    ...code.set(y),
    ...accumulators.flatMap(({ local, offset }) => [...code.get(pointer), ...code.load(offset), ...code.set(local)]),
    ...repeat(counter, Array<readonly number[]>(UNROLL).fill(step).flat()),
    ...accumulators.flatMap(({ local, offset }) => [...code.get(pointer), ...code.get(local), ...code.store(offset)]),
  ];
  const loops = compileLoops([{ name: 'chains', parameters: 2, vectors: vectors + 2, body }], 65_536, {
    pairs: width === 256,
  });
  new Float32Array(loops.memory.buffer).fill(1e-3);
  return loops;
}
