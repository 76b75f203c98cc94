/**
 * A few small computations on a device, each against the reference engine in double precision: a matrix product, the norms,
 * attention under a causal mask, and a gradient. Agreement is absolute, to 1e-4 on values around 1.
 */
import {
  type Device,
  RandomStream,
  type Tensor,
  attention,
  createReferenceDevice,
  grad,
  linear,
  mask,
  matmul,
  mul,
  rmsNorm,
  softmax,
  sum,
  swiglu,
  tensor,
} from '@mindseye/tensor-core';

const TOLERANCE = 1e-4;

export interface SelfTestResult {
  readonly name: string;
  readonly passed: boolean;
  /** Greatest difference from the reference; null where the device failed before there was one. */
  readonly difference: number | null;
  readonly message?: string;
}

/** Uniform numbers from −1 to 1, the same for every device. */
function input(name: string, shape: readonly number[]): Tensor {
  const random = RandomStream.fromSeed(`doctor/${name}`);
  const size = shape.reduce((product, length) => product * length, 1);
  return tensor(
    Float32Array.from({ length: size }, () => 2 * random.uniform() - 1),
    shape,
  );
}

const tests: Readonly<Record<string, () => Tensor>> = {
  'matrix product': () => matmul(input('a', [33, 17]), input('b', [17, 29])),
  softmax: () => softmax(input('x', [8, 40])),
  'RMS norm': () => rmsNorm(input('x', [8, 40]), input('scale', [40])),
  SwiGLU: () => swiglu(input('gate', [6, 20]), input('up', [6, 20])),
  'causal attention': () =>
    attention(input('q', [1, 2, 9, 8]), input('k', [1, 2, 9, 8]), input('v', [1, 2, 9, 8]), { mask: mask.causal() }),
  gradient: () => {
    const x = input('x', [5, 12]);
    return grad((weight: Tensor) => sum(mul(softmax(linear(x, weight)), input('w', [5, 7]))))(input('weight', [7, 12]));
  },
};

export async function selfTest(device: Device): Promise<SelfTestResult[]> {
  const reference = createReferenceDevice({ precision: 'f64' });
  const results: SelfTestResult[] = [];
  for (const [name, build] of Object.entries(tests)) {
    try {
      const expected = await build().data(reference);
      const actual = await build().data(device);
      const difference = greatestDifference(actual, expected);
      results.push({ name, passed: difference <= TOLERANCE, difference });
    } catch (error) {
      results.push({
        name,
        passed: false,
        difference: null,
        message: error instanceof Error ? error.message : String(error),
      });
    }
  }
  return results;
}

/** NaN anywhere counts as infinitely different. */
function greatestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let greatest = actual.length === expected.length ? 0 : Infinity;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    greatest = Number.isNaN(difference) ? Infinity : Math.max(greatest, difference);
  }
  return greatest;
}
