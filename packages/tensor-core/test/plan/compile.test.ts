import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  TensorStateError,
  add,
  attention,
  cast,
  compile,
  createReferenceDevice,
  dropout,
  evaluate,
  exp,
  full,
  gather,
  matmul,
  mul,
  rmsNorm,
  setDefaultDevice,
  sum,
  tensor,
} from '../../src/index.js';

const device = createReferenceDevice();
const numbers = async (value: Tensor): Promise<number[]> => [...(await value.data())];

describe('compile', () => {
  it('traces once per signature: shapes, dtypes and static arguments', async () => {
    let traces = 0;
    const scaled = compile(
      (x: Tensor, factor: number, options: { readonly bias?: Tensor | undefined; readonly name: string }) => {
        traces++;
        return add(mul(x, factor), options.bias ?? 0);
      },
      { device },
    );
    expect(await numbers(await scaled(tensor([1, 2]), 3, { name: 'a' }))).toEqual([3, 6]);
    expect(await numbers(await scaled(tensor([5, 6]), 3, { name: 'a' }))).toEqual([15, 18]);
    expect(traces).toBe(1);
    expect(await numbers(await scaled(tensor([1, 2]), 4, { name: 'a' }))).toEqual([4, 8]);
    expect(traces).toBe(2);
    await scaled(tensor([1, 2, 3]), 3, { name: 'a' });
    await scaled(tensor([1, 2]), 3, { name: 'b' });
    await scaled(tensor([1, 2]), 3, { name: 'a', bias: tensor([1]) });
    expect(traces).toBe(5);
    await scaled(tensor([7, 7]), 4, { name: 'a' });
    expect(traces).toBe(5);
  });

  it('tells apart what JSON would not', async () => {
    const seen: unknown[] = [];
    const run = compile(
      (x: Tensor, value: unknown) => {
        seen.push(value);
        return x;
      },
      { device },
    );
    const values = [
      undefined,
      null,
      Number.NaN,
      Infinity,
      0,
      -0,
      '0',
      '',
      'f32()',
      [],
      [undefined],
      [null],
      {},
      { a: undefined },
    ];
    for (const value of [...values, ...values]) await run(tensor(1), value);
    expect(seen).toEqual(values);
  });

  it('takes run-time numbers as tensors without another trace', async () => {
    let traces = 0;
    const step = compile(
      (x: Tensor, rate: Tensor, seed: Tensor) => {
        traces++;
        return mul(dropout(x, 0.5, seed, 0), rate);
      },
      { device },
    );
    const results = [];
    for (let i = 1; i <= 4; i++)
      results.push((await numbers(await step(full([64], 1), tensor(i), tensor(Uint32Array.of(i, 0))))).join());
    expect(traces).toBe(1);
    expect(new Set(results).size).toBe(4);
  });

  it('keeps one plan per device', async () => {
    const [one, two] = [createReferenceDevice(), createReferenceDevice({ precision: 'f64' })];
    const twice = compile((x: Tensor) => mul(x, 2));
    try {
      setDefaultDevice(one);
      expect(await (await twice(tensor(Float64Array.of(1 / 3), []))).item()).toBe(Math.fround(1 / 3) * 2);
      setDefaultDevice(two);
      expect(await (await twice(tensor(Float64Array.of(1 / 3), []))).item()).toBe(2 / 3);
    } finally {
      setDefaultDevice(undefined);
    }
    await expect(twice(tensor(1))).rejects.toThrow(/no default device: pass \{ device \}, or call setDefaultDevice/);
  });

  it('reads what the function closes over on each call, and evaluates lazy arguments', async () => {
    const weight = tensor([10, 20]);
    const lazy = mul(weight, 2);
    const run = compile((x: Tensor) => add(x, lazy), { device });
    expect(run.plan(tensor([1, 2])).steps.map(({ op }) => op.name)).toContain('mul');
    expect(await numbers(await run(tensor([1, 2])))).toEqual([21, 42]);
    expect(await numbers(await run(add(tensor([1, 2]), 1)))).toEqual([22, 43]);
    expect(await numbers(weight)).toEqual([10, 20]);
    const consume = compile((x: Tensor) => mul(x, 0), { device, donate: [0], name: 'consume' });
    await consume(weight);
    await expect(run(tensor([1, 2]))).rejects.toThrow(
      /this f32\[2\] tensor was donated to consume and holds no value any more/,
    );
  });

  it('gives results in the tree that the function returned', async () => {
    const run = compile((x: Tensor) => ({ parts: [x, mul(x, 2)] as const, name: 'kept', nothing: null }), { device });
    const { parts, name, nothing } = await run(tensor([1]));
    expect([await numbers(parts[0]), await numbers(parts[1]), name, nothing]).toEqual([[1], [2], 'kept', null]);
  });

  it('gives results of their own where outputs repeat or are inputs', async () => {
    const run = compile(
      (x: Tensor) => {
        const y = mul(x, 2);
        return [y, y, x, add(y, 0)];
      },
      { device },
    );
    const x = tensor([3]);
    const results = await run(x);
    const swallow = compile((y: Tensor) => mul(y, 0), { device, donate: [0] });
    await swallow(results[0]!);
    await swallow(results[2]!);
    expect(await Promise.all([results[1]!, results[3]!, x].map((value) => value.item()))).toEqual([6, 6, 3]);
  });

  it('names what it cannot take', async () => {
    const run = compile((x: unknown) => x, { device });
    await expect(run({ list: [1, new Map()] })).rejects.toThrow(
      /argument\[0\]\.list\[1\] is a Map: pass tensors, numbers/,
    );
    await expect(run([() => 1])).rejects.toThrow(/argument\[0\]\[0\] is a function/);
    await expect(compile(async (x: Tensor) => mul(x, 2), { device, name: 'step' })(tensor(1))).rejects.toThrow(
      /step is async/,
    );
    const foreign = await evaluate(mul(tensor([1]), 2), { device: createReferenceDevice({ precision: 'f64' }) });
    await expect(run(foreign)).rejects.toThrow(
      /a tensor on device "reference f64" was used on "reference f32": read it with data\(\)/,
    );
  });
});

describe('donation', () => {
  const step = () =>
    compile((state: { w: Tensor; n: Tensor }, x: Tensor) => ({ w: add(state.w, x), n: add(state.n, 1) }), {
      device,
      donate: [0],
      name: 'a step',
    });

  it('gives each donor to an output of its shape and dtype', () => {
    const plan = step().plan({ w: full([4], 0), n: tensor(0) }, full([4], 1));
    expect(plan.donations).toHaveLength(2);
    for (const { input, output } of plan.donations) {
      expect(plan.values[plan.inputs[input]!]!.shape).toEqual(plan.values[plan.outputs[output]!]!.shape);
    }
    expect(plan.outputBytes).toBe(0);
    const mixed = compile((x: Tensor) => [cast(x, 'i32'), sum(x)], { device, donate: [0] }).plan(full([2], 1));
    expect([mixed.donations, mixed.outputBytes]).toEqual([[], 12]);
  });

  it('never gives two outputs one donor', () => {
    const plan = compile((x: Tensor, y: Tensor) => [mul(x, 2), mul(y, 3), add(x, y)], { device, donate: [0, 1] }).plan(
      full([2], 1),
      full([2], 1),
    );
    expect(plan.donations).toEqual([
      { input: 0, output: 0 },
      { input: 1, output: 1 },
    ]);
  });

  it('ends the life of the handles that were given up', async () => {
    const run = step();
    const state = { w: full([2], 1), n: tensor(0) };
    const next = await run(state, full([2], 5));
    expect(await numbers(next.w)).toEqual([6, 6]);
    const gone =
      /this f32\[2\] tensor was donated to a step and holds no value any more: use the tensor that a step returned/;
    await expect(state.w.data()).rejects.toThrow(TensorStateError);
    await expect(state.w.data()).rejects.toThrow(gone);
    await expect(run(state, full([2], 5))).rejects.toThrow(gone);
    await expect(add(state.w, 1).data(device)).rejects.toThrow(gone);
    expect(state.w.toString()).toBe('Tensor(f32[2], donated)');
    expect(await numbers((await run(next, full([2], 1))).w)).toEqual([7, 7]);
  });

  it('gives the donated values back when the run fails', async () => {
    const pick = compile((table: Tensor, index: Tensor) => mul(table, gather(table, index)), { device, donate: [0] });
    const table = tensor([3, 4]);
    await expect(pick(table, tensor(Int32Array.of(0, 9)))).rejects.toThrow(/index 9 is outside/);
    expect(await numbers(table)).toEqual([3, 4]);
    expect(await numbers(await pick(table, tensor(Int32Array.of(1, 1))))).toEqual([12, 16]);
    expect(table.toString()).toBe('Tensor(f32[2], donated)');
  });

  it('refuses a tensor that is donated and passed or closed over again', async () => {
    const run = compile((a: Tensor, b: Tensor) => add(a, b), { device, donate: [0], name: 'sum of two' });
    const x = tensor([1]);
    await expect(run(x, x)).rejects.toThrow(
      /sum of two: Tensor\(f32\[1\], host\) is donated and also passed a second time/,
    );
    const closing = compile((a: Tensor) => add(a, x), { device, donate: [0] });
    await expect(closing(x)).rejects.toThrow(/is donated and also passed a second time, or closed over/);
    expect(await numbers(await run(x, tensor([2])))).toEqual([3]);
  });
});

describe('evaluate', () => {
  it('forgets the graph of what it computed', async () => {
    const x = tensor([1, 2]);
    const inner = mul(x, 2);
    const outer = exp(inner);
    await evaluate([outer], { device });
    expect(outer.producer).toBeUndefined();
    expect(inner.producer?.op.name).toBe('mul');
    expect(outer.toString()).toBe('Tensor(f32[2], device)');
    expect(inner.toString()).toBe('Tensor(f32[2], lazy mul)');
  });

  it.each(['before', 'after'])('evaluates one output of an op, and reads it %s the other one', async (order) => {
    const local = createReferenceDevice({ precision: 'f64' });
    const [y, scale] = rmsNorm(tensor([[3, 4]]), full([2], 1), 0).producer!.outputs;
    await evaluate([y!], { device: local });
    const [first, second] = [sum(y!), mul(scale!, 2)];
    const total = order === 'before' ? add(first, second) : add(second, first);
    expect(await total.item(local)).toBeCloseTo(9 / Math.sqrt(12.5), 12);
  });

  it('says what a placeholder is', async () => {
    const kept: Tensor[] = [];
    const plan = compile((x: Tensor) => (kept.push(x), mul(x, 2)), { device }).plan(tensor([1, 2]));
    expect(plan.steps).toHaveLength(2);
    await expect(kept[0]!.data(device)).rejects.toThrow(
      /Tensor\(f32\[2\], placeholder\) has no value: it stands for an argument while a function is traced/,
    );
    await expect(mul(kept[0]!, 2).data(device)).rejects.toThrow(/it stands for an argument/);
  });

  it('keeps what data() gave apart from the tensor', async () => {
    const x = tensor([1, 2]);
    const copy = await x.data();
    copy[0] = 99;
    await evaluate([mul(x, 1)], { device });
    const again = await x.data();
    again[0] = 98;
    expect(await numbers(x)).toEqual([1, 2]);
  });
});

describe('plans', () => {
  it('explain themselves', () => {
    const text = compile((x: Tensor) => sum(mul(x, x)), { device })
      .plan(full([2, 3], 1))
      .explain();
    expect(text).toContain('inputs %0 f32[2, 3]');
    expect(text).toContain('%1 f32[2, 3] = mul(%0, %0)');
    expect(text).toMatch(/%2 f32\[\]( → output)? = sum\(%1\) +28 B +6 FLOP/);
    expect(text).toContain('2 steps, 12 FLOP');
    expect(text).toMatch(/memory: inputs 24 B, new outputs 4 B, arena \d+ B \(alive at most \d+ B\); peak \d+ B/);
    expect(text).toMatch(/peak at step \d \((mul|sum)\), caused by/);
    expect(text).toContain('24 B %1 f32[2, 3], written by mul in step 0, last read in step 1');
  });

  it('decompose what the device refuses, and name what it cannot run at all', () => {
    const q = full([1, 2, 3, 4], 1);
    const names = (decomposeFused: boolean): string[] =>
      compile(() => attention(q, q, q), { device: createReferenceDevice({ decomposeFused }) })
        .plan()
        .steps.map(({ op }) => op.name);
    expect(names(false)).toContain('attention');
    expect(names(true)).not.toContain('attention');
    expect(names(true).filter((name) => name === 'matmul')).toHaveLength(2);
    const poor = { ...device, name: 'poor', supports: () => false };
    expect(() => compile(() => matmul(full([1, 1], 1), full([1, 1], 1)), { device: poor }).plan()).toThrow(
      /poor has no kernel for full, and the op has no decomposition/,
    );
  });
});
