/** Products through this project's compiled functions: what a user of the library gets, plan and result buffer included. */
import { matmul, tensor } from '@mindseye/tensor-core';
import { type EngineName, openEngine } from '../engines.ts';
import { compiledWork } from '../own-work.ts';
import type { PrepareProduct } from './matmul.ts';

export function ownProduct(engine: EngineName): PrepareProduct {
  const device = openEngine(engine);
  return async ({ m, n, k }, a, b) =>
    compiledWork(device, [tensor(a, [m, k]), tensor(b, [k, n])], [[m, n]], ([left, right]) => [matmul(left!, right!)]);
}
