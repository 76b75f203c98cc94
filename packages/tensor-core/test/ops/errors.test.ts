/** Operands that an op cannot take: a ShapeError that names the op and the operands, when the graph is built. */
import { describe, expect, it } from 'vitest';
import {
  type DType,
  ShapeError,
  type Tensor,
  abs,
  adamwStep,
  add,
  arange,
  argmax,
  attention,
  bitcast,
  broadcastTo,
  cast,
  concat,
  createReferenceDevice,
  cumulativeSum,
  div,
  dropout,
  equal,
  exp,
  full,
  gather,
  gelu,
  layerNorm,
  linear,
  logicalAnd,
  logicalNot,
  mask,
  matmul,
  max,
  mul,
  neg,
  pad,
  permute,
  randomBits,
  reshape,
  rmsNorm,
  rope,
  scatterAdd,
  select,
  slice,
  softmax,
  softmaxCrossEntropy,
  split,
  sum,
  swiglu,
  tensor,
  updateSlice,
} from '../../src/index.js';

const of = (shape: readonly number[], dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);

const cases: Readonly<Record<string, readonly [build: () => unknown, message: RegExp]>> = {
  'shapes that do not broadcast': [
    () => add(of([2, 3]), of([4])),
    /add of f32\[2, 3\] and f32\[4\]: .* do not broadcast \(3 against 4\)/,
  ],
  'two dtypes': [() => mul(of([2]), of([2], 'i32')), /mul does not take f32\[2\] with i32\[2\]/],
  'arithmetic on bool': [() => add(of([2], 'bool'), of([2], 'bool')), /add does not take bool/],
  'arithmetic on half bits': [() => add(of([2], 'f16'), of([2], 'f16')), /add does not take f16\[2\]/],
  'division of integers': [() => div(of([2], 'i32'), of([2], 'i32')), /div does not take i32/],
  'exp of half bits': [() => exp(of([2], 'bf16')), /exp does not take bf16 \(shape \[2\]\): cast it first/],
  'abs of integers': [() => abs(of([2], 'i32')), /abs does not take i32/],
  'neg of unsigned': [() => neg(of([2], 'u32')), /neg does not take u32/],
  'comparing half bits': [() => equal(of([2], 'f16'), of([2], 'f16')), /equal does not take f16/],
  'logic on numbers': [() => logicalAnd(of([2]), of([2])), /logicalAnd does not take f32\[2\] with f32\[2\]/],
  'not of numbers': [() => logicalNot(of([2], 'i32')), /logicalNot does not take i32/],
  'a condition that is no bool': [
    () => select(of([2]), of([2]), of([3])),
    /select needs a bool condition, got condition f32\[2\], a f32\[2\] and b f32\[3\]/,
  ],
  'branches that do not broadcast': [
    () => select(of([2], 'bool'), of([2]), of([3])),
    /select of bool\[2\], f32\[2\] and f32\[3\]: .* do not broadcast \(2 against 3\)/,
  ],
  'branches of two dtypes': [
    () => select(of([2], 'bool'), of([2]), of([2], 'i32')),
    /select needs branches of one dtype, got condition bool\[2\], a f32\[2\] and b i32\[2\]/,
  ],
  'a fraction next to integers': [() => add(arange(3), 1.5), /1\.5 is no i32/],
  'infinity next to integers': [() => select(of([3], 'bool'), arange(3), -Infinity), /-Infinity is no i32/],
  'a number that is no bool': [() => full([2], 2, 'bool'), /2 is no bool/],
  'a negative size': [() => full([-1], 0), /full: shape \[-1\] holds -1/],
  'a fractional size': [() => arange(2.5), /iota: shape \[2\.5\] holds 2\.5/],
  'counting in half bits': [() => arange(3, 'f16'), /arange does not count in f16/],
  'a reshape to another size': [() => reshape(of([2, 3]), [4]), /reshape: \[2, 3\] has 6 elements, \[4\] has 4/],
  'a reshape that does not divide': [() => reshape(of([5]), [-1, 2]), /reshape: shape \[2\.5, 2\] holds 2\.5/],
  'a repeated axis': [() => permute(of([2, 3]), [0, 0]), /permute: \[0, 0\] is not an order of the 2 axes of \[2, 3\]/],
  'an axis too many': [() => permute(of([2, 3]), [0, 1, 2]), /permute: axis 2 does not exist in a tensor of 2 axes/],
  'a broadcast that shrinks': [() => broadcastTo(of([3]), [1]), /broadcastTo: \[3\] does not stretch to \[1\]/],
  'a slice past the end': [() => slice(of([3]), 0, 1, 5), /slice: \[1\] to \[5\] leaves the shape \[3\]/],
  'a slice backwards': [() => slice(of([3]), 0, 2, 1), /slice: \[2\] to \[1\] leaves the shape \[3\]/],
  'a split of another length': [() => split(of([5]), [2, 2], 0), /split: sizes \[2, 2\] add up to 4, the axis has 5/],
  'padding by less than nothing': [() => pad(of([2]), [-1], [0]), /pad: \[-1\] and \[0\] do not pad \[2\]/],
  'padding of other axes': [() => pad(of([2]), [1, 1], [0, 0]), /pad: \[1, 1\] and \[0, 0\] do not pad \[2\]/],
  'concatenating nothing': [() => concat([], 0), /concat needs at least one tensor/],
  'concatenating other sizes': [
    () => concat([of([2, 3]), of([2, 4])], 0),
    /concat along axis 0: f32\[2, 4\] does not fit f32\[2, 3\]/,
  ],
  'concatenating other dtypes': [() => concat([of([2]), of([2], 'i32')], 0), /i32\[2\] does not fit f32\[2\]/],
  'an update that is too long': [
    () => updateSlice(of([2, 3]), of([3, 3]), of([1], 'i32'), 0),
    /updateSlice along axis 0: update f32\[3, 3\] and target f32\[2, 3\] do not fit/,
  ],
  'a start that is no integer': [
    () => updateSlice(of([2]), of([1]), of([1]), 0),
    /updateSlice: start is one i32, got f32\[1\] with target f32\[2\] and update f32\[1\]/,
  ],
  'rows of a scalar': [
    () => gather(of([]), of([2], 'i32')),
    /gather takes a table with rows and i32 indices, got f32\[\] and i32\[2\]/,
  ],
  'float indices': [
    () => gather(of([3]), of([2])),
    /gather takes a table with rows and i32 indices, got f32\[3\] and f32\[2\]/,
  ],
  'updates of another shape': [
    () => scatterAdd(of([3]), of([2], 'i32'), 4),
    /scatterAdd: updates f32\[3\] and indices i32\[2\] do not fit; the indices are i32/,
  ],
  'adding up bools': [
    () => scatterAdd(of([2], 'bool'), of([2], 'i32'), 4),
    /scatterAdd does not add bool \(updates bool\[2\] and indices i32\[2\]\)/,
  ],
  'a sum of bools': [() => sum(of([2], 'bool')), /sum does not add bool \(shape \[2\]\): cast it first/],
  'a sum over no axis': [() => sum(of([2]), 1), /sum: axis 1 does not exist in a tensor of 1 axes/],
  'a maximum of half bits': [() => max(of([2], 'bf16')), /max does not compare bf16/],
  'argmax of half bits': [() => argmax(of([2], 'f16')), /argmax does not compare f16/],
  'argmax of nothing': [() => argmax(of([2, 0])), /argmax needs a last axis with elements, got \[2, 0\]/],
  'matrices that do not meet': [
    () => matmul(of([2, 3]), of([4, 5])),
    /matmul: f32\[2, 3\] and f32\[4, 5\] do not meet \(3 against 4\)/,
  ],
  'a vector in a matrix product': [
    () => matmul(of([3]), of([3, 5])),
    /matmul: f32\[3\] and f32\[3, 5\] need two axes each/,
  ],
  'transposed matrices that do not meet': [
    () => matmul(of([2, 3]), of([3, 5]), { transposeA: true }),
    /f32\[2, 3\] transposed and f32\[3, 5\] do not meet \(2 against 3\)/,
  ],
  'other batches': [
    () => matmul(of([2, 2, 3]), of([3, 3, 4])),
    /matmul: f32\[2, 2, 3\] and f32\[3, 3, 4\] need two axes each and the same batch axes/,
  ],
  'a half weight in a product': [
    () => matmul(of([2, 3]), of([3, 2], 'f16')),
    /matmul multiplies f32 tensors, got f32\[2, 3\] and f16\[3, 2\]: cast them first/,
  ],
  'a seed of one word': [
    () => randomBits(of([1], 'u32'), [3], 0),
    /randomBits: the seed is two u32 words, got u32\[1\]/,
  ],
  'linear that does not fit': [
    () => linear(of([2, 3]), of([4, 5])),
    /linear: x \[2, 3\] does not fit weight \[4, 5\]; the weight is \[out, in\]/,
  ],
  'rmsNorm with a half weight': [
    () => rmsNorm(of([2, 3]), of([3], 'f16')),
    /rmsNorm computes in f32, got x f32\[2, 3\] and weight f16\[3\]: cast the others first/,
  ],
  'bits of another width': [
    () => bitcast(of([2], 'f16'), 'u32'),
    /bitcast is between f32, i32 and u32, got f16\[2\] to u32: cast it first/,
  ],
  'running sums of bools': [
    () => cumulativeSum(of([2], 'bool')),
    /cumulativeSum adds f32, i32 or u32 along an axis, got bool\[2\] and axis 0/,
  ],
  'rmsNorm that does not fit': [
    () => rmsNorm(of([2, 3]), of([4])),
    /rmsNorm: x f32\[2, 3\] and weight f32\[4\] do not fit; the weight is a vector as long as the last axis/,
  ],
  'layerNorm that does not fit': [
    () => layerNorm(of([2, 3]), of([3]), of([4])),
    /layerNorm: x f32\[2, 3\], weight f32\[3\] and bias f32\[4\] do not fit/,
  ],
  'softmax of a scalar': [() => softmax(of([])), /softmax needs a last axis/],
  'softmax of integers': [() => softmax(of([2], 'i32')), /softmax computes in f32, got i32\[2\]/],
  'gelu of half bits': [() => gelu(of([2], 'f16')), /gelu computes in f32, got f16\[2\]/],
  'a gate of another shape': [() => swiglu(of([2]), of([3])), /swiglu: gate f32\[2\] and up f32\[3\] do not fit/],
  'an odd rotary width': [
    () => rope(of([1, 1, 2, 3]), of([1, 2, 1]), of([1, 2, 1])),
    /rope: x f32\[1, 1, 2, 3\], cos f32\[1, 2, 1\] and sin f32\[1, 2, 1\] do not fit/,
  ],
  'a dropout of everything': [
    () => dropout(of([2]), 1, of([2], 'u32'), 0),
    /dropout: probability 1 is not in \[0, 1\)/,
  ],
  'a dropout seed that is none': [
    () => dropout(of([2]), 0.5, of([2]), 0),
    /dropout: x f32\[2\] and seed f32\[2\] do not fit; .* the seed is two u32 words/,
  ],
  'labels of another length': [
    () => softmaxCrossEntropy(of([2, 3]), of([3], 'i32')),
    /softmaxCrossEntropy: logits f32\[2, 3\] and labels i32\[3\] do not fit; logits are f32 \[n, classes\]/,
  ],
  'moments of another shape': [
    () => adamwStep(of([2]), of([2]), of([3]), of([2]), of([3]), { beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0 }),
    /adamwStep: parameter \[2\] and its gradient or moment \[3\] differ/,
  ],
  'query heads that do not divide': [
    () => attention(of([1, 3, 2, 4]), of([1, 2, 2, 4]), of([1, 2, 2, 4])),
    /attention: q \[1, 3, 2, 4\], k \[1, 2, 2, 4\] and v \[1, 2, 2, 4\] do not fit/,
  ],
  'values of another length': [
    () => attention(of([1, 2, 2, 4]), of([1, 2, 3, 4]), of([1, 2, 2, 4])),
    /attention: .* do not fit/,
  ],
  'keys and values that are stored differently': [
    () => attention(of([1, 2, 2, 4]), of([1, 2, 2, 4], 'f16'), of([1, 2, 2, 4], 'bf16')),
    /attention: k f16\[1, 2, 2, 4\] and v bf16\[1, 2, 2, 4\]; both are f32, both f16 or both bf16/,
  ],
  'whole numbers as keys and values': [
    () => attention(of([1, 2, 2, 4]), of([1, 2, 2, 4], 'i32'), of([1, 2, 2, 4], 'i32')),
    /attention: k i32\[1, 2, 2, 4\] and v i32\[1, 2, 2, 4\]; both are f32/,
  ],
  'queries in half precision': [
    () => attention(of([1, 2, 2, 4], 'f16'), of([1, 2, 2, 4], 'f16'), of([1, 2, 2, 4], 'f16')),
    /attention computes in f32, got f16\[1, 2, 2, 4\]/,
  ],
  'a mask of other lengths': [
    () => attention(of([1, 1, 2, 4]), of([1, 1, 3, 4]), of([1, 1, 3, 4]), { mask: mask.segments(of([1, 2], 'i32')) }),
    /mask segments: key is i32\[1, 2\], it must be i32\[1 or 1, 3\]/,
  ],
};

describe('operands that do not fit', () => {
  it.each(Object.entries(cases))('%s', (_what, [build, message]) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });
});

describe('values that only show when they run', () => {
  const device = createReferenceDevice();
  const index = tensor(Int32Array.of(5));
  it.each([
    ['gather', () => gather(of([3, 2]), index), /gather: index 5 is outside the table's 3 rows/],
    ['scatterAdd', () => scatterAdd(of([1]), index, 2), /scatterAdd: index 5 is outside the table's 2 rows/],
    ['updateSlice', () => updateSlice(of([3]), of([1]), index, 0), /updateSlice: rows 5 to 6 leave the capacity of 3/],
    ['softmaxCrossEntropy', () => softmaxCrossEntropy(of([1, 3]), index), /label 5 is not one of the 3 classes/],
  ])('%s', async (_name, build, message) => {
    await expect(build().data(device)).rejects.toThrow(message);
  });
});

describe('tensor()', () => {
  it('refuses shapes that the elements do not fill, and ragged nesting', () => {
    expect(() => tensor(new Float32Array(3), [2, 2])).toThrow(
      /tensor: 3 elements do not fill the shape \[2, 2\] \(4 elements\)/,
    );
    expect(() => tensor([[1, 2], [3, 4, 5], [6]])).toThrow(/rows of different lengths or depths/);
    expect(() => tensor([[1], [[2]]] as never)).toThrow(/rows of different lengths or depths/);
    expect(() => tensor(new Uint16Array(2))).toThrow(/does not say its dtype/);
    expect(() => tensor([1], [Number.NaN])).toThrow(ShapeError);
  });

  it('stores numbers as the dtype means them', async () => {
    const device = createReferenceDevice();
    const numbers = [1.5, -2, 0];
    for (const source of [numbers, Float32Array.from(numbers)]) {
      for (const dtype of ['f16', 'bf16'] as const) {
        const half = tensor(source, undefined, { dtype });
        expect([...(await cast(half, 'f32').data(device))]).toEqual(numbers);
      }
      expect([...(await tensor(source, undefined, { dtype: 'bool' }).data())]).toEqual([1, 1, 0]);
      expect([...(await tensor(source, undefined, { dtype: 'i32' }).data())]).toEqual([1, -2, 0]);
    }
    expect([...(await cast(full([2], 1.5, 'f16'), 'f32').data(device))]).toEqual([1.5, 1.5]);
  });

  it('keeps 64-bit numbers for the f64 engine and rounds them for others', async () => {
    const third = (): Tensor => tensor(Float64Array.of(1 / 3));
    expect(await add(third(), 0).item(createReferenceDevice({ precision: 'f64' }))).toBe(1 / 3);
    expect(await add(third(), 0).item(createReferenceDevice())).toBe(Math.fround(1 / 3));
  });
});

it('one-element reads need one element', async () => {
  await expect(of([2]).item()).rejects.toThrow(/item\(\) needs exactly one element, the tensor has shape \[2\]/);
});
