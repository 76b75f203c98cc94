/** delta of attention backward: how far the output of each query goes along its gradient. */
import { f32x4, i32, v128 } from '../../emit/index.js';
import type { FunctionReference } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { Accumulators, forEachVector } from '../vector-loop.js';
import { wordLocals } from './words.js';

/** (out, y, dy, stride, rows, width): the sum of y dy over each row. */
export function emitDeltas({ module, arithmetic }: KernelContext): FunctionReference<'void'> {
  const parameters = { out: 'i32', y: 'i32', dy: 'i32', stride: 'i32', rows: 'i32', width: 'i32' } as const;
  const signature = { name: 'attentionDeltas', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const unroll = 2;
    const products = new Accumulators(f, 'product', unroll);
    const { y, dy } = wordLocals(f, 'y', 'dy');
    f.countDown(p.rows, 1, () => {
      f.set(y, p.y);
      f.set(dy, p.dy);
      products.fill(f32x4.constant(0));
      forEachVector(f, { cursors: [y, dy], count: p.width, unroll }, (lanes) => {
        const sum = products.of(lanes.copy);
        f.set(sum, arithmetic.multiplyAdd(lanes.own(lanes.load(y)), lanes.own(lanes.load(dy)), sum));
      });
      f.do(v128.store32Lane(p.out, products.sum(), 0));
      f.set(p.out, i32.add(p.out, F32_BYTES));
      f.set(p.y, i32.add(p.y, p.stride));
      f.set(p.dy, i32.add(p.dy, p.stride));
    });
  });
}
