/** The tools that test everything else: they accept what is right, and name what is wrong. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Device,
  type HostTensor,
  createReferenceDevice,
  customGrad,
  exp,
  mul,
  sizeOf,
  abs,
  tensor,
  add,
} from '../../src/index.js';
import {
  MismatchError,
  allClose,
  arbitraryBroadcastShapes,
  arbitraryDistinct,
  arbitraryGraph,
  arbitraryShape,
  arbitraryTensor,
  assertClose,
  buildGraph,
  checkDeviceAgainstReference,
  checkGradients,
  findMismatch,
  opCases,
  readBack,
  seededValue,
  toTensor,
  ulpDistance,
} from '../../src/testing/index.js';
import { broadcastShapes } from '../../src/shape.js';

const host = (data: number[], shape: readonly number[] = [data.length]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: Float32Array.from(data),
});

describe('tolerances', () => {
  it('count units in the last place across zero and powers of two', () => {
    expect(ulpDistance(1, 1 + 2 ** -23)).toBe(1);
    expect(ulpDistance(1, 1 - 2 ** -24)).toBe(1);
    expect(ulpDistance(0, -0)).toBe(0);
    expect(ulpDistance(2 ** -149, -(2 ** -149))).toBe(2);
    expect(ulpDistance(3.4028234663852886e38, Infinity)).toBe(1);
    expect(ulpDistance(Number.NaN, 1)).toBe(Infinity);
    fc.assert(
      fc.property(
        fc.float({ noNaN: true }),
        fc.float({ noNaN: true }),
        (a, b) => ulpDistance(a, b) === ulpDistance(b, a) && (ulpDistance(a, b) === 0) === (a === b),
      ),
    );
  });

  it('accept within absolute, relative, ulps or norm, and nothing beyond', () => {
    expect(allClose([1.05], [1], { absolute: 0.06 })).toBe(true);
    expect(allClose([1.05], [1], { absolute: 0.04 })).toBe(false);
    expect(allClose([105], [100], { relative: 0.06 })).toBe(true);
    expect(allClose([105], [100], { relative: 0.04 })).toBe(false);
    expect(allClose([1 + 2 ** -23], [1], { ulps: 1 })).toBe(true);
    expect(allClose([1 + 2 ** -22], [1], { ulps: 1 })).toBe(false);
    expect(allClose([1000, 0.001], [1000, 0], { norm: 1e-5 })).toBe(true);
    expect(allClose([1000, 0.1], [1000, 0], { norm: 1e-5 })).toBe(false);
    expect(allClose([1], [1, 2])).toBe(false);
  });

  it('never take infinity or NaN for a number', () => {
    for (const tolerance of [{ absolute: Infinity }, { relative: Infinity }, { norm: 1 }, { ulps: 1e9 }]) {
      expect(allClose([Number.NaN, Infinity, -Infinity], [Number.NaN, Infinity, -Infinity], tolerance)).toBe(true);
      for (const [actual, expected] of [
        [Number.NaN, 1],
        [1, Number.NaN],
        [Infinity, -Infinity],
        [3e38, Infinity],
        [Infinity, 3e38],
      ] as const)
        expect(allClose([actual], [expected], tolerance)).toBe(false);
    }
  });

  it('say where the first mismatch is', () => {
    expect(findMismatch([1, 2, 3], [1, 5, 6], {})).toEqual({ index: 1, actual: 2, expected: 5, count: 2 });
    const wrong = (): void => assertClose(host([1, 2, 3, 4.5], [2, 2]), host([1, 2, 3, 4], [2, 2]), 'logits');
    expect(wrong).toThrow(MismatchError);
    expect(wrong).toThrow(
      /logits, f32\[2, 2\]: element \[1, 1\] is 4\.5, expected 4 \(off by 5\.00e-1, 1048576 ulps\); 1 of 4 elements disagree/,
    );
    expect(() => assertClose(host([1]), host([1], []), 'loss')).toThrow(/loss is f32\[1\], expected f32\[\]/);
  });
});

describe('arbitraries', () => {
  it('make shapes within bounds, empty and unit axes among them', () => {
    const shapes = fc.sample(arbitraryShape({ maxLength: 5, maxRank: 3 }), 500);
    expect(shapes.every((shape) => shape.length <= 3 && shape.every((size) => size <= 5))).toBe(true);
    for (const wanted of [
      (shape: number[]) => shape.includes(0),
      (shape: number[]) => shape.includes(1),
      (shape: number[]) => shape.length === 0,
      (shape: number[]) => sizeOf(shape) > 20,
    ])
      expect(shapes.some(wanted)).toBe(true);
  });

  it('make shapes that broadcast', () => {
    fc.assert(
      fc.property(
        arbitraryBroadcastShapes(3),
        ([a, b, c]) => broadcastShapes(broadcastShapes(a!, b!, ''), c!, '').length >= 0,
      ),
    );
  });

  it('make the special values', () => {
    const values = fc
      .sample(arbitraryTensor('f32', 'special', { minRank: 2, minLength: 3 }), 50)
      .flatMap(({ data }) => [...data]);
    for (const wanted of [
      Number.isNaN,
      (x: number) => x === Infinity,
      (x: number) => Object.is(x, -0),
      (x: number) => x !== 0 && Math.abs(x) < 1.1754943508222875e-38,
    ])
      expect(values.some(wanted)).toBe(true);
  });

  it('make distinct values for ops that dislike ties', () => {
    fc.assert(fc.property(arbitraryDistinct([3, 4]), ({ data }) => new Set(data).size === 12));
  });

  it('make graphs of many ops that shrink to one step', () => {
    const used = new Set(
      fc
        .sample(arbitraryGraph(), 300)
        .flatMap(({ inputs, steps }) => namesOf(buildGraph({ inputs, steps }, inputs.map(toTensor)))),
    );
    for (const name of [
      'attention',
      'rmsNorm',
      'matmul',
      'gather',
      'scatterAdd',
      'softmaxCrossEntropy',
      'rope',
      'call',
      'dropout',
      'concat',
      'select',
    ])
      expect(used).toContain(name);
    const found = fc.check(
      fc.property(arbitraryGraph(), ({ steps }) => steps.every((step) => 'block' in step || step.rule !== 7)),
      { seed: 1, numRuns: 1000 },
    );
    expect(found.counterexample?.[0].steps).toHaveLength(1);
    expect(found.counterexample?.[0].inputs).toHaveLength(1);
  });
});

/** Names of the ops behind some values. */
function namesOf(
  values: readonly { producer: { op: { name: string }; inputs: readonly object[] } | undefined }[],
): string[] {
  const names: string[] = [];
  const seen = new Set<object>();
  const stack = [...values];
  for (let value = stack.pop(); value; value = stack.pop()) {
    if (!value.producer || seen.has(value.producer)) continue;
    seen.add(value.producer);
    names.push(value.producer.op.name);
    stack.push(...(value.producer.inputs as typeof stack));
  }
  return names;
}

describe('checkGradients', () => {
  const x = seededValue([2, 3], 'f32', 'nonzero', 1);

  it('accepts right gradients, also of several outputs and chosen inputs', async () => {
    await checkGradients((a, b) => [mul(a!, b!), exp(a!)], [x, x]);
    await checkGradients((a, b) => mul(a!, b!), [x, { ...x, dtype: 'f32' }], { differentiable: [1] });
  });

  it('finds a gradient that is wrong by one part in a thousand, and says where', async () => {
    const wrong = customGrad(
      (y) => exp(y!),
      (_inputs, y, dy) => [mul(mul(dy, y), 1.001)],
    );
    await expect(checkGradients((a) => wrong(a!), [x])).rejects.toThrow(
      /gradient of input 0 \(f32\[2, 3\]\) along element 0 is .*, finite differences give/,
    );
  });

  it('finds an error in a single element of many', async () => {
    const bump = new Float64Array(300);
    bump[123] = 1;
    const wrong = customGrad(
      (y) => exp(y!),
      (_inputs, y, dy) => [add(mul(dy, y), tensor(bump))],
    );
    await expect(checkGradients((a) => wrong(a!), [seededValue([300], 'f32', 'ordinary', 1)])).rejects.toThrow(
      /along a random direction/,
    );
  });

  it('hints at kinks', async () => {
    await expect(checkGradients((a) => abs(a!), [host([1e-6])])).rejects.toThrow(/may lie on a kink/);
  });
});

describe('checkDeviceAgainstReference', () => {
  /** A reference device with one kernel replaced. */
  const brokenDevice = (
    name: string,
    spoil: (data: { [index: number]: number; readonly length: number }) => void,
  ): Device => {
    const device = createReferenceDevice();
    return {
      ...device,
      name: 'broken',
      lower: (plan) =>
        device.lower({
          ...plan,
          steps: plan.steps.map((step) => ({
            ...step,
            op:
              step.op.name !== name
                ? step.op
                : {
                    ...step.op,
                    reference: (call) => {
                      step.op.reference!(call);
                      for (const { data } of call.outputs) spoil(data);
                    },
                  },
          })),
        }),
    };
  };

  it('finds a kernel that is off in its last element', async () => {
    const device = brokenDevice('matmul', (data) => {
      if (data.length > 0) data[data.length - 1]! += 0.01;
    });
    await expect(checkDeviceAgainstReference(device, { ops: ['matmul'] })).rejects.toMatchObject({
      cause: { message: expect.stringMatching(/output 0 of matmul on broken/) },
    });
    const { compared } = await checkDeviceAgainstReference(device, {
      ops: ['add', 'linear'],
      numRuns: 5,
      values: ['ordinary'],
    });
    expect(compared).toEqual({ add: 5, linear: 5 });
  });

  it('reports what a device refuses, and runs it decomposed where asked to', async () => {
    const device = createReferenceDevice({ decomposeFused: true });
    expect(
      await checkDeviceAgainstReference(device, { ops: ['gelu', 'add'], numRuns: 5, values: ['ordinary'] }),
    ).toEqual({ compared: { add: 5 }, refused: { gelu: 5 } });
    expect(await checkDeviceAgainstReference(device, { ops: ['gelu'], numRuns: 5, decomposed: true })).toEqual({
      compared: { gelu: 10 },
      refused: {},
    });
    await expect(checkDeviceAgainstReference(device, { ops: ['nothing'] })).rejects.toThrow(
      /nothing is no op with a case/,
    );
  });

  it('makes large applications where asked to', () => {
    const [first] = fc
      .sample(opCases['matmul']!.invocations({ values: 'ordinary', maxLength: 200 }), { numRuns: 20, seed: 1 })
      .filter(({ inputs }) => sizeOf(inputs[0]!.shape) > 5000);
    expect(first).toBeDefined();
  });
});

it('readBack and toTensor keep a value as it is', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryTensor('f16', 'special'), async (value) => {
      expect(await readBack(toTensor(value))).toEqual(value);
    }),
  );
});
