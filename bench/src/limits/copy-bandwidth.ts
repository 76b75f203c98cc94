/**
 * How fast one core copies memory from WebAssembly, by a loop of vectors and by the engine's own `memory.copy`. An elementwise
 * op over n bytes in and out can take no less than a copy that reads and writes n bytes together.
 */
import { code, compileLoops, repeat } from './wasm-module.ts';

const VECTORS = 8;
const VECTOR_BYTES = 16;
const STRIDE = VECTORS * VECTOR_BYTES;

export const copyMethods = ['vectors', 'whole'] as const;

export interface CopyBandwidth {
  /** Milliseconds to move `traffic` bytes, half of them read and half of them written. */
  copy(method: (typeof copyMethods)[number], traffic: number): number;
}

/** Room for copies of up to `traffic` bytes, read and written together. */
export function copyBandwidth(traffic: number): CopyBandwidth {
  const half = Math.ceil(traffic / 2 / STRIDE) * STRIDE;
  const [to, from, counter] = [0, 1, 2];
  const vectors = Array.from({ length: VECTORS }, (_, i) => ({ local: 3 + i, offset: i * VECTOR_BYTES }));
  const step = [
    ...vectors.flatMap(({ local, offset }) => [...code.get(from), ...code.load(offset), ...code.set(local)]),
    ...vectors.flatMap(({ local, offset }) => [...code.get(to), ...code.get(local), ...code.store(offset)]),
    ...[to, from].flatMap((local) => [
      ...code.get(local),
      ...code.constant(STRIDE),
      ...code.addI32,
      ...code.set(local),
    ]),
  ];
  const whole = [...code.get(to), ...code.get(from), ...code.get(counter), ...code.copyMemory];
  const loops = compileLoops(
    [
      { name: 'vectors', parameters: 3, vectors: VECTORS, body: repeat(counter, step) },
      { name: 'whole', parameters: 3, vectors: 0, body: whole },
    ],
    2 * half,
    { pairs: true },
  );
  new Uint8Array(loops.memory.buffer).fill(1);
  /** What one count stands for. */
  const units = { vectors: STRIDE, whole: 1 };
  return {
    copy(method, bytes) {
      const start = performance.now();
      const count = Math.floor(bytes / 2 / units[method]);
      if (count > 0) loops.call(method, half, 0, count);
      return performance.now() - start;
    },
  };
}
