/** Functions with a gradient of their own making: customGrad and checkpoint. */
import { describe, expect, it } from 'vitest';
import {
  type Plan,
  type Tensor,
  add,
  checkpoint,
  compile,
  createReferenceDevice,
  customGrad,
  exp,
  full,
  gather,
  grad,
  less,
  mean,
  mul,
  reshape,
  rope,
  select,
  sin,
  sum,
  tanh,
  tensor,
  valueAndGrad,
} from '../../src/index.js';

const device = createReferenceDevice({ precision: 'f64' });
const numbers = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];
const vector = (): Tensor => tensor(Float64Array.of(1, 2, 3));

describe('customGrad', () => {
  const clippedDouble = customGrad(
    (x) => mul(x!, 2),
    ([x], y, dy) => [select(less(x!, 2.5), mul(dy, 100), add(dy, mul(y, 0)))],
  );

  it('computes the forward and takes the given gradient', async () => {
    const [value, gradient] = valueAndGrad((x: Tensor) => sum(clippedDouble(mul(x, 1))))(vector());
    expect(await value.item(device)).toBe(12);
    expect(await numbers(gradient)).toEqual([100, 100, 1]);
  });

  it('takes several inputs, captured data and nesting', async () => {
    const offset = tensor([5, 5, 5]);
    const outer = customGrad(
      (a, b) => add(clippedDouble(a!), add(b!, offset)),
      (_inputs, _output, dy) => [mul(dy, 7), mul(dy, 8)],
    );
    const gradients = grad(({ a, b }: { a: Tensor; b: Tensor }) => sum(outer(a, b)))({ a: vector(), b: vector() });
    expect(await numbers(gradients.a)).toEqual([7, 7, 7]);
    expect(await numbers(gradients.b)).toEqual([8, 8, 8]);
    expect(await numbers(outer(vector(), vector()))).toEqual([8, 11, 14]);
  });
});

describe('checkpoint', () => {
  const body = (w: Tensor) => (x: Tensor) => mul(exp(mul(x, w)), tanh(x));

  it('gives the same value and gradients, also of tensors it closes over', async () => {
    const loss = (wrap: boolean) => (p: { x: Tensor; w: Tensor }) => {
      const fn = body(p.w);
      return mean(wrap ? checkpoint((x) => fn(x!))(p.x) : fn(p.x));
    };
    const point = () => ({ x: vector(), w: tensor(Float64Array.of(0.3, 0.2, 0.1)) });
    const [plain, wrapped] = [valueAndGrad(loss(false))(point()), valueAndGrad(loss(true))(point())];
    expect(await wrapped[0].item(device)).toBe(await plain[0].item(device));
    expect(await numbers(wrapped[1].x)).toEqual(await numbers(plain[1].x));
    expect(await numbers(wrapped[1].w)).toEqual(await numbers(plain[1].w));
  });

  it('computes its body again on the way back, and keeps fewer values alive', async () => {
    const deep = (x: Tensor): Tensor => Array.from({ length: 10 }).reduce<Tensor>((y) => tanh(mul(sin(y), 1.1)), x);
    const network = (wrap: boolean) =>
      grad((x: Tensor) =>
        sum(Array.from({ length: 6 }).reduce<Tensor>((y) => (wrap ? checkpoint((z) => deep(z!))(y) : deep(y)), x)),
      );
    const x = full([1000], 0.5);
    const [plain, wrapped] = [false, true].map((wrap) => compile(network(wrap), { device }));
    const count = (plan: Plan): number => plan.steps.filter(({ op }) => op.name === 'tanh').length;
    expect(count(plain!.plan(x))).toBe(60);
    expect(count(wrapped!.plan(x))).toBe(110); // the last block's own forward is not asked for
    expect(wrapped!.plan(x).arena.byteLength).toBeLessThan(plain!.plan(x).arena.byteLength / 2);
    expect(await numbers(await wrapped!(x))).toEqual(await numbers(await plain!(x)));
  });

  it('asks for no gradient that nobody wants: rotary tables are data', async () => {
    const angles = mul(tensor([[[0.1, 0.2]]]), 2);
    const rotate = (x: Tensor): Tensor => rope(reshape(x, [1, 1, 1, 4]), exp(angles), tanh(angles));
    const point = tensor([1, 2, 3, 4]);
    const gradients = [rotate, (x: Tensor) => checkpoint((y) => rotate(y!))(x)].map((fn) =>
      grad((x: Tensor) => sum(mul(fn(x), fn(x))))(point),
    );
    expect(await numbers(gradients[1]!)).toEqual(await numbers(gradients[0]!));
    const rows = tensor(Int32Array.of(1, 0));
    const picked = checkpoint((table, indices) => gather(table!, indices!));
    expect(await numbers(grad((x: Tensor) => sum(mul(picked(x, rows), tensor([2, 3]))))(vector()))).toEqual([3, 2, 0]);
  });

  it('passes a result that is its input, or does not depend on it', async () => {
    expect(await numbers(checkpoint((x) => x!)(vector()))).toEqual([1, 2, 3]);
    const other = vector();
    const gradients = grad(({ x }: { x: Tensor }) => sum(mul(checkpoint(() => mul(other, 2))(x), x)))({ x: vector() });
    expect(await numbers(gradients.x)).toEqual([2, 4, 6]);
  });
});
