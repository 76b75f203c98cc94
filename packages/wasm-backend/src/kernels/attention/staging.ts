/** Keys and values in f16 or bf16, widened a block at a time, so that no f32 copy of a cache is made. */
import type { FunctionReference } from '../../emit/index.js';
import { WIDENING } from '../half.js';
import type { KernelContext } from '../host.js';
import type { StoredMatrix } from '../matmul/row-products.js';
import { forEachVector } from '../vector-loop.js';
import { i32 } from '../../emit/index.js';

export const STORAGE_CODE: Readonly<Record<StoredMatrix, number>> = { f32: 0, f16: 1, bf16: 2 };

export const storedBytes = (storage: StoredMatrix): number => (storage === 'f32' ? 4 : 2);

/** (storage, out, codes, count): `count` numbers as f32. */
export function emitStage({ module }: KernelContext): FunctionReference<'void'> {
  const parameters = { storage: 'i32', out: 'i32', codes: 'i32', count: 'i32' } as const;
  const signature = { name: 'attentionStage', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    for (const dtype of ['f16', 'bf16'] as const) {
      f.if(i32.eq(p.storage, STORAGE_CODE[dtype]), () => {
        const widen = WIDENING[dtype](f);
        forEachVector(f, { cursors: [p.out], halfCursors: [p.codes], count: p.count, unroll: 2 }, (lanes) => {
          const codes = f.let('codes', lanes.loadHalf(p.codes));
          f.do(lanes.store(p.out, widen(codes)));
        });
      });
    }
  });
}
