import { expect, it } from 'vitest';
import {
  type Tensor,
  add,
  checkpoint,
  compile,
  createReferenceDevice,
  full,
  grad,
  mul,
  rmsNorm,
  sum,
  tensor,
} from '../../src/index.js';

const device = createReferenceDevice();
const chain = (length: number, step: (x: Tensor) => Tensor, start: Tensor): Tensor => {
  let value = start;
  for (let i = 0; i < length; i++) value = step(value);
  return value;
};

it('a chain of 20,000 ops is built, differentiated, compiled and run without recursion', async () => {
  const start = tensor([0]);
  expect(await chain(20_000, (x) => add(x, 1), start).item(device)).toBe(20_000);
  const run = compile(
    grad((x: Tensor) => sum(chain(20_000, (y) => mul(y, 1), x))),
    { device },
  );
  expect(await (await run(tensor([3]))).item()).toBe(1);
});

it('a deep graph of fused ops decomposes in time that grows with its length', async () => {
  const poor = createReferenceDevice({ decomposeFused: true });
  const weight = full([2], 1);
  const run = compile((x: Tensor) => chain(2_000, (y) => rmsNorm(y, weight, 0), x), { device: poor });
  const y = await (await run(tensor([3, 4]))).data();
  expect(y[0]! / y[1]!).toBeCloseTo(0.75, 5);
});

it('nested checkpoints inline', async () => {
  const nest =
    (depth: number) =>
    (x: Tensor): Tensor =>
      depth === 0 ? mul(x, x) : checkpoint(nest(depth - 1))(mul(x, 1));
  expect(await grad((x: Tensor) => sum(nest(6)(x)))(tensor([3])).item(device)).toBe(6);
});
