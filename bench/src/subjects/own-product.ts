/** Products through this project's compiled functions: what a user of the library gets, plan and result buffer included. */
import { type Tensor, compile, matmul, tensor } from '@mindseye/tensor-core';
import { type EngineName, openEngine } from '../engines.ts';
import type { PrepareProduct } from './matmul.ts';

export function ownProduct(engine: EngineName): PrepareProduct {
  const device = openEngine(engine);
  return async ({ m, n, k }, a, b) => {
    // The old result is given up for the new one, so that nothing waits for the garbage collector.
    const multiply = compile((_old: Tensor, left: Tensor, right: Tensor) => matmul(left, right), {
      device,
      donate: [0],
      name: 'matmul',
    });
    const [left, right] = [tensor(a, [m, k]), tensor(b, [k, n])];
    let c = tensor(new Float32Array(m * n), [m, n]);
    return {
      async run() {
        c = await multiply(c, left, right);
      },
      read: () => c.data(device),
    };
  };
}
