/**
 * Gradients against finite differences, in 64 bits.
 *
 * For outputs y = f(x) and random cotangents c, let L(x) = Σ_i ⟨c_i, y_i⟩. The vector-Jacobian product gives g = ∂L/∂x. It is
 * compared with central differences (L(x + h·d) − L(x − h·d)) / 2h, whose error is O(h²): along single elements d = e_j
 * (a sample of them, for large inputs) and along one random direction through all elements of an input. A difference
 * quotient at two step sizes that disagrees with itself has met a kink; the check says so instead of blaming the gradient.
 */
import type { Device } from '../device.js';
import { vectorJacobianProduct } from '../autograd/gradients.js';
import { isFloat } from '../dtype.js';
import { GradientError } from '../errors.js';
import type { HostTensor } from '../op.js';
import { compile } from '../plan/compile.js';
import { RandomStream } from '../random/random-stream.js';
import { createReferenceDevice } from '../reference/device.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { toTensor, widen } from './host.js';
import { MismatchError } from './tolerance.js';

export interface GradientCheckOptions {
  /** Places of the inputs whose gradients are checked; every f32 input when left out. */
  readonly differentiable?: readonly number[];
  /** An engine that holds f32 in 64 bits; the reference engine when left out. */
  readonly device?: Device;
  /** Of cotangents, directions and sampled elements. */
  readonly seed?: number;
  /** Relative to max(1, |x|). */
  readonly step?: number;
  readonly absolute?: number;
  readonly relative?: number;
  /** Elements of each input that are moved one by one. */
  readonly samples?: number;
}

/**
 * Throws a `MismatchError` that names the input and the element unless the gradients of `fn` are right at `inputs`.
 *
 * @param fn any function of tensors; all its f32 outputs count.
 * @param inputs host values; f32 is widened to 64 bits.
 */
export async function checkGradients(
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly HostTensor[],
  options: GradientCheckOptions = {},
): Promise<void> {
  const { device = createReferenceDevice({ precision: 'f64' }), seed = 0 } = options;
  const { step = 1e-5, absolute = 1e-7, relative = 1e-5, samples = 8 } = options;
  const places = options.differentiable ?? inputs.flatMap(({ dtype }, place) => (dtype === 'f32' ? [place] : []));
  const point = inputs.map(widen);
  const stream = RandomStream.fromSeed(seed);
  const floatOutputs = (given: readonly Tensor[]): Tensor[] =>
    [fn(...given)].flat().filter(({ dtype }) => isFloat(dtype));

  const outputs = compile((given: readonly Tensor[]) => floatOutputs(given), { device, name: 'outputs' });
  const gradients = compile(
    (given: readonly Tensor[], cotangents: readonly Tensor[]) =>
      vectorJacobianProduct(
        floatOutputs(given),
        places.map((place) => given[place]!),
        cotangents,
      ),
    { device, name: 'gradients' },
  );
  const valuesAt = async (at: readonly HostTensor[]): Promise<HostTensor[]> => {
    const results = await outputs(at.map(toTensor));
    return Promise.all(
      results.map(async (result) => ({ shape: result.shape, dtype: result.dtype, data: await result.data() })),
    );
  };
  const cotangents = (await valuesAt(point)).map(({ shape }) => normals(stream, shape));
  /** L at x + distance·direction, as its terms minus those at x would be: differences are taken before summing. */
  const quotient = async (place: number, direction: Float64Array, h: number): Promise<number> => {
    const moved = (sign: number): HostTensor[] =>
      point.map((value, i) =>
        i === place ? { ...value, data: Float64Array.from(value.data, (x, j) => x + sign * h * direction[j]!) } : value,
      );
    const [above, below] = [await valuesAt(moved(1)), await valuesAt(moved(-1))];
    let total = 0;
    above.forEach(({ data }, i) =>
      data.forEach((y: number, j: number) => (total += cotangents[i]!.data[j]! * (y - below[i]!.data[j]!))),
    );
    return total / (2 * h);
  };

  const analytic = await gradients(point.map(toTensor), cotangents.map(toTensor));
  for (const [i, place] of places.entries()) {
    const { data: x, shape, dtype } = point[place]!;
    const gradient = await analytic[i]!.data();
    if (gradient.length !== x.length)
      throw new GradientError(`the gradient of input ${place} has ${gradient.length} elements, the input ${x.length}`);
    if (x.length === 0) continue;
    const single = sampleOf(stream, x.length, samples).map((j) => ({
      name: `element ${j}`,
      direction: Float64Array.from({ length: x.length }, (_, at) => Number(at === j)),
      scale: Math.max(1, Math.abs(x[j]!)),
    }));
    const random = normals(stream, shape).data as Float64Array;
    for (const { name, direction, scale } of [...single, { name: 'a random direction', direction: random, scale: 1 }]) {
      const expected = direction.reduce((total, d, j) => total + d * gradient[j]!, 0);
      const numeric = await quotient(place, direction, step * scale);
      const allowed = (a: number, b: number): number => absolute + relative * Math.max(Math.abs(a), Math.abs(b));
      if (Math.abs(expected - numeric) <= allowed(expected, numeric)) continue;
      const finer = await quotient(place, direction, (step * scale) / 4);
      const kink =
        Math.abs(finer - numeric) > 4 * allowed(finer, numeric)
          ? '; the quotient changes with the step, so this point may lie on a kink or be too steep'
          : '';
      throw new MismatchError(
        `gradient of input ${place} (${dtype}${formatShape(shape)}) along ${name} is ${expected}, finite differences give ${numeric} (${finer} at a finer step)${kink}`,
      );
    }
  }
}

/** Standard normal numbers in 64 bits. */
function normals(stream: RandomStream, shape: readonly number[]): HostTensor {
  return { shape, dtype: 'f32', data: Float64Array.from({ length: sizeOf(shape) }, () => stream.normal()) };
}

/** Up to `count` different places below `length`. */
function sampleOf(stream: RandomStream, length: number, count: number): number[] {
  const all = Array.from({ length }, (_, i) => i);
  return length <= count ? all : stream.shuffle(all).slice(0, count);
}
