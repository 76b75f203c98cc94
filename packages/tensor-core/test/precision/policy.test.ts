import { describe, expect, it } from 'vitest';
import {
  type QuantizedTensor,
  type Tensor,
  cast,
  createReferenceDevice,
  evaluate,
  isQuantized,
  linear,
  masterWeights,
  precisionPolicy,
  quantize,
  shadow,
  storeWeights,
  sum,
  tensor,
  valueAndGrad,
} from '../../src/index.js';
import { assertClose, readBack, seededValue, toTensor } from '../../src/testing/index.js';

const value = (shape: number[], seed: number): Tensor => toTensor(seededValue(shape, 'f32', 'ordinary', seed));
const model = () => ({
  embed: value([6, 40], 1),
  layers: [{ norm: value([40], 2), proj: { weight: value([8, 40], 3), bias: value([8], 4) } }],
  patch: value([4, 3, 2], 5),
  positions: tensor(Int32Array.of(1, 2)),
  scale: 0.5,
});

describe('storeWeights', () => {
  it('stores matrices in the precision of the policy, and vectors in f32', () => {
    const stored = storeWeights(model(), precisionPolicy({ weights: 'bf16' }));
    expect((stored.embed as Tensor).dtype).toBe('bf16');
    expect((stored.layers[0]!.proj.weight as Tensor).dtype).toBe('bf16');
    expect((stored.patch as Tensor).dtype).toBe('bf16');
    expect((stored.layers[0]!.norm as Tensor).dtype).toBe('f32');
    expect((stored.layers[0]!.proj.bias as Tensor).dtype).toBe('f32');
    expect((stored.positions as Tensor).dtype).toBe('i32');
    expect(stored.scale).toBe(0.5);
  });

  it('quantises matrices, keeps what it is told to, and chooses by path', async () => {
    const seen: string[] = [];
    const policy = precisionPolicy({
      weights: (path) => (path === 'embed' ? { bits: 8, groupSize: 32 } : { bits: 4, groupSize: 64 }),
      keep: (path) => (seen.push(path), path.startsWith('positions')),
    });
    const stored = storeWeights(model(), policy);
    const { weight } = stored.layers[0]!.proj;
    expect(isQuantized(weight) && [weight.bits, weight.groupSize, weight.columns]).toEqual([4, 64, 40]);
    expect(isQuantized(stored.embed) && stored.embed.bits).toBe(8);
    expect((stored.patch as Tensor).dtype).toBe('f32');
    expect(seen).toEqual(['embed', 'layers.0.proj.weight', 'patch']);
    await evaluate(stored, { device: createReferenceDevice() });
    expect(storeWeights(stored, policy).embed).toBe(stored.embed);
  });

  it('keeps', () => {
    const policy = precisionPolicy({ weights: 'f16', keep: (path) => path.includes('proj') });
    const stored = storeWeights(model(), policy);
    expect((stored.layers[0]!.proj.weight as Tensor).dtype).toBe('f32');
    expect((stored.embed as Tensor).dtype).toBe('f16');
  });

  it('widens a half-precision norm that has to be f32', () => {
    const stored = storeWeights({ norm: cast(value([4], 1), 'bf16') }, precisionPolicy({ weights: 'bf16' }));
    expect((stored.norm as Tensor).dtype).toBe('f32');
  });
});

describe('masters and shadows', () => {
  it('masters are f32 copies of all floats', () => {
    const policy = precisionPolicy({ weights: 'bf16' });
    const masters = masterWeights({ a: cast(value([2, 2], 1), 'bf16'), ids: tensor(Int32Array.of(1)) }, policy);
    expect([masters.a.dtype, masters.ids.dtype]).toEqual(['f32', 'i32']);
  });

  it('a shadow reads masters in the precision of the policy and sends gradients back to them', async () => {
    const device = createReferenceDevice();
    const policy = precisionPolicy({ weights: 'bf16' });
    const x = value([3, 40], 9);
    const train = valueAndGrad((masters: { readonly w: Tensor; readonly b: Tensor }) => {
      const { w, b } = shadow(masters, policy);
      expect([w.dtype, b.dtype]).toEqual(['bf16', 'f32']);
      return sum(linear(x, w, b));
    });
    const masters = { w: value([8, 40], 1), b: value([8], 2) };
    const [, gradients] = train(masters);
    expect([gradients.w.dtype, gradients.b.dtype]).toEqual(['f32', 'f32']);
    const [, exactly] = valueAndGrad((w: Tensor) => sum(linear(x, w)))(masters.w);
    assertClose(await readBack(gradients.w, device), await readBack(exactly, device), 'dW', {
      relative: 2 ** -7,
      absolute: 1e-6,
    });
  });

  it('refuse quantised weights', () => {
    const q: QuantizedTensor = quantize(value([2, 32], 1), { bits: 4 });
    const policy = precisionPolicy({ weights: { bits: 4, groupSize: 32 } });
    expect(() => masterWeights({ head: q }, policy)).toThrow(/head is quantised and has no master/);
    expect(() => shadow({ head: value([2, 32], 1) }, policy)).toThrow(/shadow: the policy quantises head/);
    expect(shadow({ head: q, bias: value([2], 1) }, policy).head).toBe(q);
  });
});

describe('precisionPolicy', () => {
  it('refuses what loses accuracy, and says what to do instead', () => {
    const given = (options: object) => () => precisionPolicy({ weights: 'f16', ...options });
    expect(given({ accumulate: 'f16' })).toThrow(/accumulate in f16: sums of products overflow/);
    expect(given({ activations: 'f16' })).toThrow(
      /activations in f16: residual streams .* store the weights in 16 bits/,
    );
    expect(given({ master: 'bf16' })).toThrow(/master in bf16: .* keep f32 masters .* shadow\(\)/);
    expect(given({ master: 'f32', accumulate: 'f32', activations: 'f32' })).not.toThrow();
  });

  it('names precisions that do not exist', () => {
    expect(() => precisionPolicy({ weights: 'f8' as 'f16' })).toThrow(/weights is f8: use 'f32'/);
    expect(() => precisionPolicy({ weights: { bits: 2 as 4 } })).toThrow(/codes have 4 or 8 bits, got 2/);
    const policy = precisionPolicy({ weights: () => 'i8' as 'f16' });
    expect(() => storeWeights({ head: value([2, 2], 1) }, policy)).toThrow(/head is i8/);
  });
});
