import { describe, expect, it } from 'vitest';
import {
  GradientError,
  type Tensor,
  add,
  argmax,
  attention,
  cast,
  checkpoint,
  createReferenceDevice,
  customGrad,
  evaluate,
  exp,
  floor,
  full,
  gather,
  grad,
  less,
  matmul,
  mul,
  rmsNorm,
  rope,
  select,
  sin,
  slice,
  softmax,
  softmaxCrossEntropy,
  stopGradient,
  sum,
  swiglu,
  tanh,
  tensor,
  updateSlice,
  valueAndGrad,
  vectorJacobianProduct,
} from '../../src/index.js';
import { checkGradients, seededValue, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice({ precision: 'f64' });
const numbers = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];
const vector = (): Tensor => tensor(Float64Array.of(1, 2, 3));

describe('grad and valueAndGrad', () => {
  it('give the value and the derivative', async () => {
    const [value, gradient] = valueAndGrad((x: Tensor) => sum(mul(x, x)))(vector());
    expect(await value.item(device)).toBe(14);
    expect(await numbers(gradient)).toEqual([2, 4, 6]);
  });

  it('differentiate in the first argument only, a tree of any shape', async () => {
    const parameters = { layers: [{ weight: vector() }, { weight: vector() }], scale: tensor(2), name: 'static' };
    const loss = (p: typeof parameters, x: Tensor): Tensor =>
      mul(sum(add(mul(p.layers[0]!.weight, x), mul(p.layers[1]!.weight, p.layers[1]!.weight))), p.scale);
    const gradients = grad(loss)(parameters, tensor([10, 20, 30]));
    expect(gradients.name).toBe('static');
    expect(await numbers(gradients.layers[0]!.weight)).toEqual([20, 40, 60]);
    expect(await numbers(gradients.layers[1]!.weight)).toEqual([4, 8, 12]);
    expect(await numbers(gradients.scale)).toEqual([140 + 14]);
  });

  it('pass extra results through', async () => {
    const fn = (x: Tensor): [Tensor, { readonly square: Tensor; readonly count: number }] => {
      const square = mul(x, x);
      return [sum(square), { square, count: 3 }];
    };
    const [[value, extra], gradient] = valueAndGrad(fn)(vector());
    expect(await value.item(device)).toBe(14);
    expect(extra.count).toBe(3);
    expect(await numbers(extra.square)).toEqual([1, 4, 9]);
    expect(await numbers(gradient)).toEqual([2, 4, 6]);
  });

  it('give zeros for leaves that do not matter', async () => {
    const gradients = grad(({ a }: { a: Tensor; b: Tensor }) => sum(a))({ a: vector(), b: vector() });
    expect(await numbers(gradients.b)).toEqual([0, 0, 0]);
  });

  it('treat a tensor that stands twice in the tree as two variables', async () => {
    const shared = vector();
    const gradients = grad(({ a, b }: { a: Tensor; b: Tensor }) => sum(mul(a, mul(b, b))))({ a: shared, b: shared });
    expect(await numbers(gradients.a)).toEqual([1, 4, 9]);
    expect(await numbers(gradients.b)).toEqual([2, 8, 18]);
  });

  it('treat a leaf computed from another as a variable of its own', async () => {
    const a = vector();
    const gradients = grad(({ x, y }: { x: Tensor; y: Tensor }) => sum(mul(x, y)))({ x: a, y: mul(a, 10) });
    expect(await numbers(gradients.x)).toEqual([10, 20, 30]);
    expect(await numbers(gradients.y)).toEqual([1, 2, 3]);
  });

  it('refuse a function that does not end in a scalar', () => {
    expect(() => grad((x: Tensor) => mul(x, 2))(vector())).toThrow(GradientError);
    expect(() => grad((x: Tensor) => mul(x, 2))(vector())).toThrow(
      /grad needs a function to an f32 scalar, it returned f32\[3\]: reduce it with sum or mean/,
    );
    expect(() => grad((x: Tensor) => argmax(x))(vector())).toThrow(/it returned i32\[\]/);
  });
});

describe('higher derivatives', () => {
  const derivative = (fn: (x: Tensor) => Tensor) => grad((x: Tensor) => sum(fn(x)));

  it('differentiate gradients again', async () => {
    const third = derivative(derivative(derivative((x) => mul(mul(x, x), mul(x, x)))));
    expect(await numbers(third(vector()))).toEqual([24, 48, 72]);
    const second = derivative(derivative(sin));
    const expected = [1, 2, 3].map((x) => -Math.sin(x));
    (await numbers(second(vector()))).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 12));
  });

  it.each<[string, (x: Tensor) => Tensor]>([
    ['softmax', (x) => softmax(x)],
    ['rmsNorm', (x) => rmsNorm(x, full([4], 1.5), 0.1)],
    ['swiglu of one tensor with itself', (x) => swiglu(x, x)],
    ['swiglu of a tensor and a function of it', (x) => swiglu(x, tanh(x))],
    ['attention of a tensor with itself', (x) => attention(...splitHeads(x))],
    ['softmaxCrossEntropy', (x) => softmaxCrossEntropy(x, tensor(Int32Array.of(0, -100, 3)))],
    ['checkpoint', (x) => checkpoint((y) => mul(exp(y), tanh(y)))(x)],
  ])('are right through %s', async (_name, fn) => {
    const x = seededValue([3, 4], 'f32', 'ordinary', 3);
    const squared = (y: Tensor): Tensor => mul(fn(y), fn(y));
    for (const decomposeFused of [false, true]) {
      await checkGradients((y) => vectorJacobianProduct([squared(y!)], [y!], [full(squared(y!).shape, 1)]), [x], {
        device: createReferenceDevice({ precision: 'f64', decomposeFused }),
      });
    }
  });

  const splitHeads = (x: Tensor): [Tensor, Tensor, Tensor] => {
    const lifted = gather(x, tensor(Int32Array.of(0, 1, 2), [1, 1, 3]));
    return [lifted, tanh(lifted), lifted];
  };
});

describe('vectorJacobianProduct', () => {
  it('is linear in the cotangent and meets the Jacobian in the dot product', async () => {
    const x = seededValue([3, 4], 'f32', 'ordinary', 1);
    const w = seededValue([4, 2], 'f32', 'ordinary', 2);
    const [u, v] = [seededValue([3, 2], 'f32', 'ordinary', 3), seededValue([3, 2], 'f32', 'ordinary', 4)];
    const back = async (...cotangents: { data: ArrayLike<number> }[]): Promise<number[]> => {
      const total = Float64Array.from({ length: 6 }, (_, i) => cotangents.reduce((all, { data }) => all + data[i]!, 0));
      const input = tensor(Float64Array.from(x.data), [3, 4]);
      const y = tanh(matmul(input, toTensor(w)));
      return numbers(vectorJacobianProduct([y], [input], [tensor(total, [3, 2])])[0]!);
    };
    const [both, one, other] = [await back(u, v), await back(u), await back(v)];
    both.forEach((value, i) => expect(value).toBeCloseTo(one[i]! + other[i]!, 12));
  });

  it('takes several outputs, and inputs in the middle of the graph', async () => {
    const x = vector();
    const middle = mul(x, 2);
    const [first, second] = [mul(middle, middle), mul(middle, x)];
    const [dx, dmiddle] = vectorJacobianProduct([first, second], [x, middle], [full([3], 1), full([3], 1)]);
    expect(await numbers(dmiddle!)).toEqual([5, 10, 15]);
    expect(await numbers(dx!)).toEqual([12, 24, 36]);
    const [partial] = vectorJacobianProduct([first, second], [x, middle], [full([3], 1), full([3], 1)], {
      independent: true,
    });
    expect(await numbers(partial!)).toEqual([2, 4, 6]);
  });

  it('walks around stops', async () => {
    const x = vector();
    const stopped = stopGradient(x);
    const [dx, dstopped] = vectorJacobianProduct([mul(stopped, x)], [x, stopped], [full([3], 1)]);
    expect(await numbers(dx!)).toEqual([1, 2, 3]);
    expect(await numbers(dstopped!)).toEqual([1, 2, 3]);
  });

  it('asks no op above its inputs for a gradient', async () => {
    const cache = updateSlice(full([3], 1), full([1], 5), tensor(Int32Array.of(1)), 0);
    const [gradient] = vectorJacobianProduct([mul(cache, cache)], [cache], [full([3], 1)]);
    expect(await numbers(gradient!)).toEqual([2, 10, 2]);
  });

  it('counts an output that is an input', async () => {
    const x = vector();
    const [gradient] = vectorJacobianProduct([x, mul(x, x)], [x], [full([3], 1), full([3], 1)]);
    expect(await numbers(gradient!)).toEqual([3, 5, 7]);
  });

  it('keeps the dtype of its inputs and adds half cotangents in f32', async () => {
    const half = cast(tensor([1, 2]), 'f16');
    const y = mul(cast(half, 'f32'), cast(half, 'f32'));
    const [gradient, unused] = vectorJacobianProduct([y], [half, cast(tensor([1]), 'bf16')], [full([2], 1)]);
    expect([gradient!.dtype, unused!.dtype]).toEqual(['f16', 'bf16']);
    expect(await numbers(cast(gradient!, 'f32'))).toEqual([2, 4]);
    expect(await numbers(cast(unused!, 'f32'))).toEqual([0]);
  });

  it('refuses cotangents of another shape', () => {
    const x = vector();
    expect(() => vectorJacobianProduct([mul(x, x)], [x], [full([], 1)])).toThrow(
      /output 0 \(f32\[3\]\) needs a cotangent of its shape, got \[\]/,
    );
    expect(() => vectorJacobianProduct([x, x], [x], [full([3], 1)])).toThrow(
      /output 1 \(f32\[3\]\) needs a cotangent of its shape, got none/,
    );
  });
});

describe('gradients that do not exist', () => {
  const start = tensor(Int32Array.of(0));
  it.each<[string, (x: Tensor) => Tensor, RegExp]>([
    [
      'an op without a gradient',
      (x) => sum(updateSlice(x, full([1], 0), start, 0)),
      /updateSlice has no gradient: wrap its input in stopGradient/,
    ],
    [
      'a table that is data',
      (x) =>
        sum(rope(full([1, 1, 1, 6], 1), gather(x, tensor(new Int32Array([0, 1, 2]), [1, 1, 3])), full([1, 1, 3], 1))),
      /rope gives no gradient for its input 1 \(f32\[1, 1, 3\]\)/,
    ],
    [
      'a tensor that a custom gradient closes over',
      (x) =>
        sum(
          customGrad(
            (y) => mul(y, x),
            (_inputs, _output, dy) => [dy],
          )(full([3], 1)),
        ),
      /call gives no gradient for its input 1 \(f32\[3\]\)/,
    ],
    [
      'a custom gradient of too few inputs',
      (x) =>
        sum(
          customGrad(
            (a, b) => mul(a!, b!),
            (_inputs, _output, dy) => [dy],
          )(full([3], 1), x),
        ),
      /call gives no gradient for its input 1/,
    ],
    [
      'a custom gradient of another shape',
      (x) =>
        sum(
          customGrad(
            (a) => mul(a!, 2),
            () => [full([2], 1)],
          )(x),
        ),
      /call: the gradient of input 0 has shape \[2\] instead of \[3\]/,
    ],
  ])('%s throws when the gradient is built', (_what, fn, message) => {
    expect(() => grad(fn)(vector())).toThrow(GradientError);
    expect(() => grad(fn)(vector())).toThrow(message);
  });

  it('says that saved outputs of a fused op have none', () => {
    const q = full([1, 1, 2, 2], 1);
    const y = attention(q, q, q);
    const [, lse] = y.producer!.outputs;
    expect(() => vectorJacobianProduct([lse!], [q], [full([1, 1, 2], 1)])).toThrow(
      /attention: only its first output has a gradient/,
    );
  });

  it('stops at comparisons, rounding and argmax by definition', async () => {
    const loss = (x: Tensor): Tensor => sum(add(select(less(x, 2), x, 0), add(floor(x), cast(argmax(x), 'f32'))));
    expect(await numbers(grad(loss)(vector()))).toEqual([1, 0, 0]);
  });
});

describe('stopGradient', () => {
  it('keeps the value and ends the gradient', async () => {
    const [value, gradient] = valueAndGrad((x: Tensor) => sum(mul(stopGradient(mul(x, x)), x)))(vector());
    expect(await value.item(device)).toBe(36);
    expect(await numbers(gradient)).toEqual([1, 4, 9]);
  });

  it('shields ops without a gradient', async () => {
    const loss = (x: Tensor): Tensor =>
      sum(mul(x, stopGradient(updateSlice(x, full([1], 0), tensor(Int32Array.of(0)), 0))));
    expect(await numbers(grad(loss)(vector()))).toEqual([0, 2, 3]);
  });
});

it('values survive evaluation in the middle of building a graph', async () => {
  const x = vector();
  const y = mul(x, 2);
  await evaluate([y], { device });
  expect(y.producer).toBeUndefined();
  expect(await numbers(add(y, x))).toEqual([3, 6, 9]);
  expect(await numbers(slice(add(y, x), 0, 1))).toEqual([6, 9]);
});
