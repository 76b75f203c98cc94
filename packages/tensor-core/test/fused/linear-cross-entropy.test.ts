/** The streamed head against the loss over all of its logits. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DType,
  type LinearCrossEntropyOptions,
  type QuantizedTensor,
  type Tensor,
  add,
  cast,
  compile,
  createReferenceDevice,
  dequantize,
  div,
  evaluate,
  exp,
  full,
  isQuantized,
  linear,
  linearCrossEntropy,
  log,
  max,
  mul,
  neg,
  quantize,
  reshape,
  softmax,
  softmaxCrossEntropy,
  sub,
  sum,
  tensor,
  vectorJacobianProduct,
} from '../../src/index.js';
import {
  type HostTensor,
  type Tolerance,
  arbitrarySeed,
  assertClose,
  checkDeviceAgainstReference,
  checkGradients,
  readBack,
  seededValue,
  toTensor,
} from '../../src/testing/index.js';

const close: Tolerance = { absolute: 1e-8, relative: 1e-7, norm: 1e-8 };
type Storage = DType | 'quantized';

const arbitrary = fc.record({
  rows: fc.nat(5),
  width: fc.nat(6),
  classes: fc.integer({ min: 1, max: 13 }),
  chunkClasses: fc.integer({ min: 1, max: 15 }),
  storage: fc.constantFrom<Storage>('f32', 'f16', 'bf16', 'quantized'),
  biased: fc.boolean(),
  temperature: fc.constantFrom(1, 0.7, 2),
  /** Logits of everyday size, and such that e^z overflows by far. */
  magnitude: fc.constantFrom(1, 1, 1000),
  ignored: fc.constantFrom(-100, 0),
  seed: arbitrarySeed(),
});
type Given = typeof arbitrary extends fc.Arbitrary<infer T> ? T : never;

interface Operands {
  readonly x: Tensor;
  readonly weight: Tensor | QuantizedTensor;
  readonly bias: Tensor | undefined;
  readonly labels: Tensor;
  readonly cotangents: readonly Tensor[];
}

function operandsOf({ rows, width, classes, storage, biased, magnitude, ignored, seed }: Given): Operands {
  const value = (shape: number[], offset: number): HostTensor => seededValue(shape, 'f32', 'ordinary', seed + offset);
  const dense = mul(toTensor(value([classes, width], 1)), magnitude);
  const labels = seededValue([rows], 'u32', 'words', seed + 2).data.map((word) =>
    word % 4 === 0 ? ignored : word % classes,
  );
  return {
    x: toTensor(value([rows, width], 0)),
    weight:
      storage === 'quantized' ? quantize(dense, { bits: 4, groupSize: 32, scaleDtype: 'f32' }) : cast(dense, storage),
    bias: biased ? toTensor(value([classes], 3)) : undefined,
    labels: tensor(Int32Array.from(labels), [rows]),
    cotangents: [4, 5, 6].map((offset) => toTensor(value([rows], offset))),
  };
}

/** Loss, log-sum-exp and entropy from all logits at once. */
function whole({ x, weight, bias, labels }: Operands, { temperature, ignored }: Given): Tensor[] {
  const logits = div(linear(x, isQuantized(weight) ? dequantize(weight) : weight, bias), temperature);
  const largest = max(logits, -1, true);
  const logSumExp = add(log(sum(exp(sub(logits, largest)), -1)), reshape(largest, labels.shape));
  const loss = softmaxCrossEntropy(logits, labels);
  const entropy = sub(logSumExp, sum(mul(softmax(logits), logits), -1));
  const counted = tensor(
    Float32Array.from((labels.storage as { data: Int32Array }).data, (label) => Number(label !== ignored)),
    labels.shape,
  );
  return [mul(loss, counted), logSumExp, entropy];
}

function streamed({ x, weight, bias, labels }: Operands, { temperature, ignored, chunkClasses }: Given): Tensor[] {
  const options: LinearCrossEntropyOptions = { temperature, ignoredLabel: ignored, chunkClasses, entropy: true };
  const { loss, logSumExp, entropy } = linearCrossEntropy(x, weight, labels, bias ? { ...options, bias } : options);
  return [loss, logSumExp, entropy!];
}

/** Values of both, on engines with the loops of the op and with its chunked graph. */
async function compare(
  given: Given,
  build: (operands: Operands, outputs: readonly Tensor[]) => readonly Tensor[],
): Promise<void> {
  const reference = operandsOf(given);
  const expected = build(reference, whole(reference, given));
  await evaluate(expected, { device: createReferenceDevice({ precision: 'f64' }) });
  for (const decomposeFused of [false, true]) {
    const operands = operandsOf(given);
    const actual = build(operands, streamed(operands, given));
    await evaluate(actual, { device: createReferenceDevice({ precision: 'f64', decomposeFused }) });
    for (const [i, value] of actual.entries())
      assertClose(
        await readBack(value),
        await readBack(expected[i]!),
        `result ${i}, in chunks: ${decomposeFused}`,
        close,
      );
  }
}

/** Gradients of the outputs `places`, of x, the bias, and the weight where it has one in f32. */
const gradients =
  (places: readonly number[]) =>
  ({ x, bias, weight, cotangents }: Operands, outputs: readonly Tensor[]): readonly Tensor[] =>
    vectorJacobianProduct(
      places.map((place) => outputs[place]!),
      [x, ...(bias ? [bias] : []), ...(isQuantized(weight) || weight.dtype !== 'f32' ? [] : [weight])],
      places.map((place) => cotangents[place]!),
    );

describe('linearCrossEntropy', () => {
  it('is the loss, log-sum-exp and entropy of all logits', () =>
    fc.assert(fc.asyncProperty(arbitrary, (given) => compare(given, (_, outputs) => outputs))));

  it('has the gradient of the loss of all logits', () =>
    fc.assert(fc.asyncProperty(arbitrary, (given) => compare(given, gradients([0])))));

  it('has gradients from log-sum-exp and entropy too', () =>
    fc.assert(
      fc.asyncProperty(arbitrary, fc.subarray([0, 1, 2], { minLength: 1 }), (given, places) =>
        compare({ ...given, magnitude: 1 }, gradients(places)),
      ),
    ));

  it('has second derivatives', async () => {
    const given = {
      rows: 2,
      width: 3,
      classes: 5,
      chunkClasses: 2,
      storage: 'f32',
      biased: false,
      temperature: 1,
      magnitude: 1,
      ignored: -100,
      seed: 7,
    } as const;
    for (const decomposeFused of [false, true]) {
      const { labels, cotangents } = operandsOf(given);
      await checkGradients(
        (x, weight) => {
          const { loss, entropy } = linearCrossEntropy(x, weight, labels, { chunkClasses: 2, entropy: true });
          return vectorJacobianProduct([loss, entropy!], [x, weight], cotangents.slice(0, 2));
        },
        [seededValue([2, 3], 'f32', 'ordinary', 1), seededValue([5, 3], 'f32', 'ordinary', 2)],
        { device: createReferenceDevice({ precision: 'f64', decomposeFused }), step: 1e-4 },
      );
    }
  });

  it('gives a half-precision weight its gradient in its own dtype', async () => {
    const device = createReferenceDevice();
    const dense = toTensor(seededValue([5, 3], 'f32', 'ordinary', 1));
    const x = toTensor(seededValue([2, 3], 'f32', 'ordinary', 2));
    const labels = tensor(Int32Array.of(1, 4));
    const gradientOf = (weight: Tensor): Tensor => {
      const { loss } = linearCrossEntropy(x, weight, labels, { chunkClasses: 2 });
      return vectorJacobianProduct([loss], [weight], [full([2], 1)])[0]!;
    };
    const half = cast(dense, 'bf16');
    const [actual, expected] = [gradientOf(half), gradientOf(cast(half, 'f32'))];
    expect(actual.dtype).toBe('bf16');
    assertClose(await readBack(actual, device), await readBack(cast(expected, 'bf16'), device), 'dW');
  });

  it('forbids classes whose bias is -Infinity, whole chunks of them too', async () => {
    const forbidden = [0, 1, 2, 3, 6];
    const bias = Float32Array.from({ length: 8 }, (_, i) => (forbidden.includes(i) ? -Infinity : i / 4));
    const x = seededValue([2, 3], 'f32', 'ordinary', 1);
    const weight = seededValue([8, 3], 'f32', 'ordinary', 2);
    for (const decomposeFused of [false, true]) {
      const device = createReferenceDevice({ decomposeFused });
      const [rows, w, b] = [toTensor(x), toTensor(weight), tensor(bias.slice())];
      const labels = tensor(Int32Array.of(4, 7));
      const { loss, entropy } = linearCrossEntropy(rows, w, labels, { bias: b, chunkClasses: 2, entropy: true });
      const logits = linear(rows, w, b);
      const p = softmax(logits);
      const expected = [
        softmaxCrossEntropy(logits, labels),
        neg(sum(mul(p, log(add(p, tensor(bias.map((value) => Number(value === -Infinity)))))), -1)),
      ];
      const found = vectorJacobianProduct([loss, entropy!], [rows], [full([2], 1), full([2], 1)])[0]!;
      await evaluate([loss, entropy, expected, found], { device });
      assertClose(await readBack(loss), await readBack(expected[0]!), 'loss');
      assertClose(await readBack(entropy!), await readBack(expected[1]!), 'entropy');
      expect((await found.data()).every(Number.isFinite)).toBe(true);
    }
  });

  it('computes only the gradients that are asked for', () => {
    const [x, weight] = [full([4, 3], 1), full([6, 3], 1)];
    const labels = full([4], 2, 'i32');
    const run = compile(
      (rows: Tensor) => vectorJacobianProduct([linearCrossEntropy(rows, weight, labels).loss], [rows], [full([4], 1)]),
      { device: createReferenceDevice() },
    );
    const plan = run.plan(x);
    const step = plan.steps.find(({ op }) => op.name === 'linearCrossEntropyBackward')!;
    expect(step.outputs.map((value) => plan.values[value]!.shape)).toEqual([[4, 3]]);
  });

  it('names what does not fit', async () => {
    const [x, weight, labels] = [full([2, 3], 0), full([5, 3], 0), full([2], 0, 'i32')];
    expect(() => linearCrossEntropy(full([2, 4], 0), weight, labels)).toThrow(
      /x \[2, 4\] do not fit the weight \[5, 3\]/,
    );
    expect(() => linearCrossEntropy(x, weight, full([2], 0))).toThrow(
      /labels are i32\[2\], one for each row of x, got f32\[2\]/,
    );
    expect(() => linearCrossEntropy(x, weight, labels, { bias: full([4], 0) })).toThrow(/bias \[4\]/);
    expect(() => linearCrossEntropy(x, full([0, 3], 0), labels)).toThrow(/no classes/);
    expect(() => linearCrossEntropy(x, full([5, 3], 0, 'i32'), labels)).toThrow(/a dense weight is f32, f16 or bf16/);
    expect(() => linearCrossEntropy(x, weight, labels, { temperature: 0 })).toThrow(
      /temperature is a positive number, got 0/,
    );
    expect(() => linearCrossEntropy(x, weight, labels, { chunkClasses: 1.5 })).toThrow(
      /chunkClasses is a positive whole number/,
    );
    const outside = linearCrossEntropy(x, weight, full([2], 5, 'i32')).loss;
    await expect(outside.data(createReferenceDevice())).rejects.toThrow(
      /label 5 is not one of the 5 classes; use -100/,
    );
  });
});

it('an engine with only primitives agrees in f32 with the loops, within the tolerance of the cases', async () => {
  const report = await checkDeviceAgainstReference(createReferenceDevice({ decomposeFused: true }), {
    ops: [
      'linear',
      'linearTransposed',
      'dequantize',
      'quantizedLinear',
      'linearCrossEntropy',
      'linearCrossEntropyBackward',
    ],
    numRuns: 150,
    maxLength: 9,
    decomposed: true,
  });
  expect(Object.values(report.compared)).toEqual(Array.from({ length: 6 }, () => 300));
});
