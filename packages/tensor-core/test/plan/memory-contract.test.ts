/** What a plan promises about bytes: outputs in place, donors untouched by a rejected run, budgets, scalars, shards. */
import { describe, expect, it } from 'vitest';
import {
  type Device,
  type Tensor,
  GradientError,
  add,
  allocationSites,
  broadcastTo,
  cast,
  checkpoint,
  compile,
  concat,
  createReferenceDevice,
  evaluate,
  full,
  gather,
  linear,
  matmul,
  mean,
  mul,
  neg,
  placeholder,
  setMemoryBudget,
  slice,
  softmaxCrossEntropy,
  sum,
  tanh,
  tensor,
  trackOrigins,
  updateSlice,
  valueAndGrad,
  vectorJacobianProduct,
} from '../../src/index.js';
import { collectGarbage } from '../../src/node.js';
import { assertClose, createArenaDevice, exact, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const numbers = async (value: Tensor, device?: Device): Promise<number[]> => Array.from(await value.data(device));

describe('outputs and donors', () => {
  it('are written where they stay: nothing is copied, nothing extra is held', () => {
    const device = createArenaDevice();
    const plan = compile((x: Tensor) => [tanh(x), neg(x)], { device }).plan(full([1000], 1));
    expect(plan.copies).toEqual([]);
    expect(plan.arena.byteLength).toBe(0);
    expect(plan.peakBytes).toBe(3 * 4000);
  });

  it('write the pieces of a concatenation where they belong in it', async () => {
    const device = createArenaDevice();
    const fn = (x: Tensor): Tensor => concat([matmul(x, x), tanh(x), matmul(x, neg(x))], 0);
    const scan = (x: Tensor): Tensor => concat([tanh(x), matmul(tanh(x), x)], 0);
    expect(
      compile(scan, { device })
        .plan(full([4, 4], 1))
        .steps.at(-1)!.op.name,
    ).toBe('concat');
    const x = seededValue([16, 16], 'f32', 'ordinary', 1);
    const plan = compile(fn, { device }).plan(toTensor(x));
    expect(plan.steps.map(({ op }) => op.name)).not.toContain('concat');
    expect(plan.arena.byteLength).toBe(16 * 16 * 4); // the negated operand
    const [actual, expected] = [fn(toTensor(x)), fn(toTensor(x))];
    await evaluate(actual, { device });
    await evaluate(expected, { device: createReferenceDevice() });
    assertClose(await readBack(actual), await readBack(expected), 'concatenation', exact);
  });

  it('lets a donated cache grow in place', async () => {
    const device = createArenaDevice();
    const append = compile((cache: Tensor, row: Tensor, at: Tensor) => updateSlice(cache, row, at, 0), {
      device,
      donate: [0],
    });
    const at = (row: number): Tensor => tensor(Int32Array.of(row));
    const plan = append.plan(full([8, 4], 0), full([1, 4], 1), at(0));
    expect(plan.copies).toEqual([]);
    expect(plan.arena.byteLength).toBe(0);
    expect(plan.places[plan.outputs[0]!]).toEqual({ kind: 'input', position: 0, byteOffset: 0 });
    let cache = tensor(new Float32Array(32), [8, 4]);
    for (let row = 0; row < 8; row++) cache = await append(cache, full([1, 4], row + 1), at(row));
    expect(await numbers(cache)).toEqual(Array.from({ length: 32 }, (_, i) => Math.floor(i / 4) + 1));
  });

  it('does not overwrite a donor that something still reads', async () => {
    const device = createArenaDevice();
    const fn = compile((x: Tensor) => [mul(x, 2), sum(tanh(mul(x, 2))), add(sum(x), 1)], { device, donate: [0] });
    const x = [0.5, -1, 2];
    const [doubled, total, plusOne] = await fn(tensor(x));
    expect(await numbers(doubled!)).toEqual([1, -2, 4]);
    expect(await total!.item()).toBeCloseTo(Math.tanh(1) - Math.tanh(2) + Math.tanh(4), 6);
    expect(await plusOne!.item()).toBe(2.5);
  });

  it('keeps every donor when the contents of an operand make a run fail', async () => {
    const device = createArenaDevice();
    const state = tensor(Float32Array.of(1, 2, 3), [3, 1]);
    const step = compile((given: Tensor, index: Tensor) => [mul(given, 10), gather(given, index)], {
      device,
      donate: [0],
      name: 'a step',
    });
    await expect(step(state, tensor(Int32Array.of(7)))).rejects.toThrow(/index 7 is outside the table's 3 rows/);
    expect(await numbers(state)).toEqual([1, 2, 3]);
    const [next, picked] = await step(state, tensor(Int32Array.of(2)));
    expect(await numbers(next!)).toEqual([10, 20, 30]);
    expect(await numbers(picked!)).toEqual([3]);
    await expect(state.data()).rejects.toThrow(/donated to a step/);
  });

  it('checks what an op would have checked that runs as its decomposition or in parts', async () => {
    const labels = tensor(Int32Array.of(1, 9));
    const decomposing = createArenaDevice({ decomposeFused: true });
    const loss = softmaxCrossEntropy(full([2, 3], 1), labels);
    await expect(evaluate(loss, { device: decomposing })).rejects.toThrow(/label 9 is not one of the 3 classes/);
    const sharding = createArenaDevice({ limits: { bindingBytes: 64 * 4, viewAlignment: 256 } });
    const rows = gather(tensor(new Float32Array(200), [200, 1]), tensor(Int32Array.of(3, 200)));
    await expect(evaluate(rows, { device: sharding })).rejects.toThrow(/index 200 is outside the table's 200 rows/);
  });
});

describe('numbers that change', () => {
  it('declared as scalars share one plan', async () => {
    const device = createReferenceDevice();
    let traced = 0;
    const scale = compile((x: Tensor, by: Tensor | number) => (traced++, mul(x, by)), { device, scalars: [1] });
    expect(await numbers(await scale(tensor([1, 2]), 3))).toEqual([3, 6]);
    expect(await numbers(await scale(tensor([1, 2]), -0.5))).toEqual([-0.5, -1]);
    expect(traced).toBe(1);
    await expect(scale(tensor([1]), tensor([1]))).rejects.toThrow(/argument 1 is declared a scalar, it is a object/);
  });

  it('graphs of one structure share one plan', async () => {
    let lowered = 0;
    const device = createReferenceDevice();
    const counting: Device = { ...device, lower: (plan) => (lowered++, device.lower(plan)) };
    const run = (x: number[], factor: number): Promise<Tensor> =>
      evaluate(sum(mul(tanh(tensor(x)), factor)), { device: counting });
    await run([1, 2], 3);
    await run([3, 4], 3);
    expect(lowered).toBe(1);
    await run([1, 2], 4);
    await run([1, 2, 3], 3);
    expect(lowered).toBe(3);
  });
});

describe('checkpoints', () => {
  const layers = 12;
  const width = 64;
  const network =
    (wrap: (fn: (x: Tensor) => Tensor) => (x: Tensor) => Tensor) =>
    (x: Tensor, weights: readonly Tensor[]): Tensor =>
      mean(weights.reduce((h, w) => wrap((inside) => tanh(matmul(tanh(matmul(inside, w)), w)))(h), x));
  const planOf = (checkpoints: boolean): ReturnType<ReturnType<typeof compile>['plan']> =>
    compile(
      (weights: readonly Tensor[], x: Tensor) =>
        valueAndGrad((given: readonly Tensor[]) => network(checkpoints ? checkpoint : (fn) => fn)(x, given))(weights),
      { device: createArenaDevice() },
    ).plan(
      Array.from({ length: layers }, () => full([width, width], 0.1)),
      full([32, width], 1),
    );

  it('lower the peak, and the plan says what is computed again', () => {
    const [plain, saved] = [planOf(false), planOf(true)];
    const activation = 32 * width * 4;
    expect(saved.arena.byteLength).toBeLessThanOrEqual((layers + 8) * activation);
    expect(saved.arena.byteLength).toBeLessThan(0.65 * plain.arena.byteLength);
    const again = saved.steps.filter(({ recomputed }) => recomputed);
    expect(again.filter(({ op }) => op.name === 'matmul').length).toBeGreaterThanOrEqual(layers);
    expect(saved.explain()).toMatch(/of which \d+ steps and [\d.]+ [kM]?FLOP recomputed/);
    expect(plain.explain()).not.toContain('recomputed');
  });
});

describe('inputs larger than a binding', () => {
  const rows = 300;
  const limits = { bindingBytes: 64 * 8 * 4, viewAlignment: 256 };
  const weight = seededValue([rows, 8], 'f32', 'ordinary', 1);

  it('are read in shards by linear and gather, with the same result', async () => {
    const x = seededValue([1, 8], 'f32', 'ordinary', 2);
    const bias = seededValue([rows], 'f32', 'ordinary', 3);
    const ids = Int32Array.of(0, 63, 64, 128, 299);
    const build = (): Tensor[] => {
      const w = toTensor(weight);
      return [linear(toTensor(x), w, toTensor(bias)), gather(w, tensor(ids)), slice(w, 0, 60, 70)];
    };
    const expected = await evaluate(build(), { device: createReferenceDevice() });
    for (const device of [createArenaDevice({ limits }), createReferenceDevice({ limits })]) {
      const actual = await evaluate(build(), { device });
      for (const [i, value] of actual.entries())
        assertClose(
          await readBack(value),
          await readBack(expected[i]!),
          `value ${i} on ${device.name}`,
          i === 0 ? undefined : exact,
        );
    }
    const plan = compile((w: Tensor) => gather(w, tensor(ids)), { device: createArenaDevice({ limits }) }).plan(
      placeholder(weight),
    );
    expect(plan.shards.map(({ shard }) => shard)).toEqual([0, 1, 2, 3, 4]);
  });

  it('are multiplied in parts, whichever way they lie', async () => {
    const other = seededValue([8, 300], 'f32', 'ordinary', 4);
    const products = (): Tensor[] => {
      const [w, v] = [toTensor(weight), toTensor(other)];
      const row = (length: number): Tensor => toTensor(seededValue([1, length], 'f32', 'ordinary', 5));
      return [
        matmul(row(8), w, { transposeB: true }),
        matmul(row(300), w),
        matmul(w, row(8), { transposeB: true }),
        matmul(w, row(300), { transposeA: true, transposeB: true }),
        matmul(row(300), v, { transposeB: true }),
      ];
    };
    const expected = await evaluate(products(), { device: createReferenceDevice() });
    const actual = await evaluate(products(), { device: createArenaDevice({ limits }) });
    for (const [i, value] of actual.entries())
      assertClose(await readBack(value), await readBack(expected[i]!), `product ${i}`, { absolute: 1e-5, norm: 1e-6 });
  });

  it('and cannot be are errors that name the tensor, the limit and a cure', () => {
    const device = createArenaDevice({ limits });
    expect(() => compile((w: Tensor) => tanh(w), { device }).plan(placeholder(weight))).toThrow(
      /tanh reads f32\[300,8\], which is larger than one binding of arena \(2048 bytes\)/,
    );
    expect(() => compile((x: Tensor) => broadcastTo(x, [100, 8]), { device }).plan(full([8], 1))).toThrow(
      /f32\[100, 8\], a result of \w+, takes 3200 bytes, one binding of arena holds 2048/,
    );
  });
});

describe('a budget', () => {
  it('frees what nobody holds in Node, without a word', async () => {
    const device = createReferenceDevice();
    const warnings: string[] = [];
    setMemoryBudget(device, {
      bytes: 400_000,
      collect: collectGarbage,
      warn: (message) => void warnings.push(message),
    });
    for (let i = 0; i < 200; i++) {
      await evaluate(full([10_000], i), { device });
      expect(device.memory().rootBytes).toBeLessThan(400_000 + 3 * 40_000);
    }
    expect(warnings).toEqual([]);
    setMemoryBudget(device, undefined);
  });

  it('collects first, then warns with the lines that allocated', async () => {
    const device = createReferenceDevice();
    const before = trackOrigins(true);
    try {
      const warnings: string[] = [];
      let collections = 0;
      setMemoryBudget(device, {
        bytes: 10_000,
        collect: () => (collections++, Promise.resolve()),
        warn: (message) => void warnings.push(message),
      });
      const kept: Tensor[] = [];
      for (let i = 0; i < 8; i++) kept.push(await evaluate(full([1000], i), { device }));
      expect(collections).toBeGreaterThan(0);
      expect(collections).toBeLessThan(4); // not again at once after it did not help
      expect(warnings[0]).toMatch(/reference f32 holds 11\.7 KiB of tensors, the budget is 9\.77 KiB/);
      expect(warnings[0]).toContain('memory-contract.test.ts:');
      expect(allocationSites(device)[0]!.byteLength).toBe(32_000);
      expect(kept).toHaveLength(8);
    } finally {
      trackOrigins(before);
      setMemoryBudget(device, undefined);
    }
  });
});

describe('errors', () => {
  it('name both operands, the op and the line that put them together', () => {
    expect(() => add(full([2, 3], 1), full([4], 1))).toThrow(
      /^add of .*\[2, 3\].*\[4\].*\(at .*memory-contract\.test\.ts:\d+:\d+\)$/s,
    );
  });

  it('of a run name the line that built the failing node, while origins are tracked', async () => {
    const before = trackOrigins(true);
    try {
      const device = createReferenceDevice();
      const late = gather(tensor([1, 2]), cast(tensor([0, 7]), 'i32'));
      await expect(evaluate(late, { device })).rejects.toThrow(
        /index 7 is outside the table's 2 rows \(at .*memory-contract\.test\.ts:\d+:\d+\)$/,
      );
      const early = gather(tensor([1, 2]), tensor(Int32Array.of(7)));
      await expect(evaluate(early, { device })).rejects.toThrow(/rows \(at .*memory-contract\.test\.ts:\d+:\d+\)$/);
    } finally {
      trackOrigins(before);
    }
  });

  it('say that a value was evaluated before its gradient was taken', async () => {
    const device = createReferenceDevice();
    const x = tensor([1, 2]);
    const y = sum(mul(x, x));
    await evaluate(y, { device });
    expect(() => vectorJacobianProduct([y], [x], [full([], 1)])).toThrow(GradientError);
    expect(() => vectorJacobianProduct([y], [x], [full([], 1)])).toThrow(/evaluated before its gradient was taken/);
  });
});
