/** Sources of constants: memory filled with a repeated word, and the whole numbers in order. */
import { f32x4, i32, i32x4, memory, v128 } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';

const UNROLL = 4;
const VECTOR = 16;
const LANES = 4;
/** Bytes that are worth a part of the work of their own, and those of a cache line. */
const GRAIN = 2 ** 17;
const LINE = 64;

export type CountedType = 'f32' | 'i32';

/** Offsets in bytes. */
export interface ConstantKernels {
  /** Writes the four bytes of `word` over and over, cut off after `byteLength` bytes. */
  fill(to: number, word: number, byteLength: number): void;
  /** 0, 1, 2, … as f32, rounded to the nearest, or as i32; `count` up to 2^31. */
  iota(dtype: CountedType, to: number, count: number): void;
}

/** Emits the kernels. */
export function emitConstants(context: KernelContext): void {
  emitFill(context);
  for (const dtype of ['f32', 'i32'] as const) emitIota(context, dtype);
}

function emitFill({ module }: KernelContext): void {
  const parameters = { to: 'i32', word: 'i32', bytes: 'i32' } as const;
  module.function({ name: 'fillWords', parameters, result: 'void', exported: true }, (f, p) => {
    f.if(i32.eqz(p.word), () => {
      f.do(memory.fill(p.to, 0, p.bytes));
      f.return();
    });
    const words = f.let('words', i32x4.splat(p.word));
    const step = (bytes: number): void => f.set(p.to, i32.add(p.to, bytes));
    f.countDown(p.bytes, UNROLL * VECTOR, () => {
      for (let i = 0; i < UNROLL; i += 1) f.do(v128.store(p.to, words, i * VECTOR));
      step(UNROLL * VECTOR);
    });
    f.countDown(p.bytes, F32_BYTES, () => {
      f.do(i32.store(p.to, p.word));
      step(F32_BYTES);
    });
    f.countDown(p.bytes, 1, () => {
      f.do(i32.store8(p.to, p.word));
      f.set(p.word, i32.shrUnsigned(p.word, 8));
      step(1);
    });
  });
}

function emitIota({ module }: KernelContext, dtype: CountedType): void {
  const parameters = { to: 'i32', first: 'i32', count: 'i32' } as const;
  module.function({ name: `iota_${dtype}`, parameters, result: 'void', exported: true }, (f, p) => {
    const numbers = f.let('numbers', i32x4.add(i32x4.splat(p.first), i32x4.constant(0, 1, 2, 3)));
    const encoded = dtype === 'f32' ? f32x4.convertI32x4Unsigned(numbers) : numbers;
    for (const lanes of [LANES, 1]) {
      const step = f.let('step', i32x4.splat(i32.const(lanes)));
      f.countDown(p.count, lanes, () => {
        f.do(lanes === 1 ? v128.store32Lane(p.to, encoded, 0) : v128.store(p.to, encoded));
        f.set(numbers, i32x4.add(numbers, step));
        f.set(p.to, i32.add(p.to, lanes * F32_BYTES));
      });
    }
  });
}

/** Binds the kernels; they divide what they write. */
export function bindConstants(host: KernelHost): ConstantKernels {
  const fillWords = host.kernel('fillWords');
  const iotas = { f32: host.kernel('iota_f32'), i32: host.kernel('iota_i32') };
  return {
    fill(to, word, byteLength) {
      host.checkRange('fill to', to, byteLength, 1);
      host.divide(fillWords, { count: byteLength, grain: GRAIN, multiple: LINE }, (first, size) => [
        to + first,
        word,
        size,
      ]);
    },
    iota(dtype, to, count) {
      host.checkRange('iota to', to, count);
      const division = { count, grain: GRAIN / F32_BYTES, multiple: LINE / F32_BYTES };
      host.divide(iotas[dtype], division, (first, size) => [to + first * F32_BYTES, first, size]);
    },
  };
}
