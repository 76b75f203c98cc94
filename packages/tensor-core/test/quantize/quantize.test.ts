import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type QuantizedTensor,
  type QuantizeOptions,
  type ScaleDType,
  type Tensor,
  bf16ToF32,
  cast,
  checkQuantized,
  compile,
  createReferenceDevice,
  dequantize,
  evaluate,
  f16ToF32,
  groupsPerRow,
  isQuantized,
  largestCode,
  quantize,
  sliceRows,
  symmetricZero,
  tensor,
  unpackCodes,
  weightBytes,
  weightShape,
} from '../../src/index.js';
import { arbitrarySeed, seededValue } from '../../src/testing/index.js';

const device = createReferenceDevice();
const decoders = { f32: (value: number) => value, f16: f16ToF32, bf16: bf16ToF32 };

const formats = fc.record({
  bits: fc.constantFrom(4 as const, 8 as const),
  groupSize: fc.constantFrom(32 as const, 64 as const, 128 as const),
  symmetric: fc.boolean(),
  scaleDtype: fc.constantFrom<ScaleDType>('f32', 'f16', 'bf16'),
});

interface Decoded {
  readonly weights: Float32Array;
  readonly scales: number[];
  readonly offsets: number[] | undefined;
  readonly codes: ArrayLike<number>;
}

async function decode(q: QuantizedTensor): Promise<Decoded> {
  const given = { ...q, codes: q.codes };
  await evaluate(given, { device });
  const decodeScale = decoders[q.scales.dtype as ScaleDType];
  return {
    weights: (await dequantize(q).data(device)) as Float32Array,
    scales: Array.from(await q.scales.data(), decodeScale),
    offsets: q.offsets && Array.from(await q.offsets.data(), decodeScale),
    codes: await unpackCodes(q.codes, q.bits, q.columns).data(device),
  };
}

/** The bound of the head of quantize.ts, element by element. */
async function checkBound(
  w: Float32Array,
  [rows, columns]: readonly [number, number],
  options: Required<QuantizeOptions>,
): Promise<void> {
  const { bits, groupSize, symmetric } = options;
  const { weights, scales, offsets } = await decode(quantize(tensor(w.slice(), [rows, columns]), options));
  const groups = groupsPerRow({ groupSize, columns });
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const places = Array.from(
        { length: Math.min(groupSize, columns - group * groupSize) },
        (_, i) => row * columns + group * groupSize + i,
      );
      const [low, high] = [Math.min(...places.map((i) => w[i]!)), Math.max(...places.map((i) => w[i]!))];
      const largest = Math.max(-low, high);
      const scale = symmetric ? largest / (symmetricZero(bits) - 1) : (high - low) / largestCode(bits);
      const stored = scales[row * groups + group]!;
      const offsetError = offsets ? Math.abs(low - offsets[row * groups + group]!) : 0;
      // Beside the stated bound one unit of the smallest f32, in which anything smaller is held.
      const bound =
        stored * (0.5 + 2 ** -15) +
        largestCode(bits) * Math.abs(scale - stored) +
        offsetError +
        2 ** -22 * largest +
        2 ** -149;
      for (const i of places) {
        const error = Math.abs(w[i]! - weights[i]!);
        expect(error <= bound, `element ${i}: ${w[i]} became ${weights[i]}, off by ${error}, allowed ${bound}`).toBe(
          true,
        );
      }
    }
  }
}

describe('quantize', () => {
  it('is off by no more than half a scale and what rounding the scale costs', async () => {
    await fc.assert(
      fc.asyncProperty(
        formats,
        fc.nat(3),
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom('ordinary' as const, 'moderate' as const, 'small' as const),
        arbitrarySeed(),
        async (options, rows, columns, range, seed) => {
          const w = seededValue([rows, columns], 'f32', range, seed).data as Float32Array;
          await checkBound(w, [rows, columns], options);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is at huge and tiny magnitudes, where the dtype of the scales reaches', async () => {
    const exponents: Record<ScaleDType, [number, number]> = { f32: [-45, 38], bf16: [-45, 38], f16: [-12, 5] };
    await fc.assert(
      fc.asyncProperty(
        formats,
        fc.double({ min: 0, max: 1, noNaN: true }),
        arbitrarySeed(),
        async (options, at, seed) => {
          const [from, to] = exponents[options.scaleDtype];
          const magnitude = 10 ** (from + at * (to - from));
          const unit = seededValue([2, 70], 'f32', 'ordinary', seed).data;
          await checkBound(
            Float32Array.from(unit, (value) => value * magnitude * 0.5),
            [2, 70],
            options,
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('keeps zeros, and groups of one number as exactly as their scale or offset', async () => {
    await fc.assert(
      fc.asyncProperty(formats, fc.constantFrom(0, 1, -1, 0.3, 1e30, -1e-30), async (options, value) => {
        const columns = 75;
        const w = new Float32Array(2 * columns).fill(value);
        const { weights, scales } = await decode(quantize(tensor(w.slice(), [2, columns]), options));
        if (value === 0 || !options.symmetric) expect([...scales]).toEqual(scales.map(() => 0));
        if (value === 0) expect([...weights].every((x) => x === 0)).toBe(true);
        else if (options.scaleDtype === 'f32')
          for (const x of weights) expect(Math.abs(x - w[0]!)).toBeLessThanOrEqual(Math.abs(w[0]!) * 2 ** -22);
      }),
    );
  });

  it('gives the same codes and scales for what it gave (symmetric, half-precision scales)', async () => {
    await fc.assert(
      fc.asyncProperty(formats, fc.integer({ min: 1, max: 140 }), arbitrarySeed(), async (format, columns, seed) => {
        const options = { ...format, symmetric: true, scaleDtype: 'f16' as const };
        const w = seededValue([2, columns], 'f32', 'ordinary', seed);
        const once = await decode(quantize(tensor(w.data, [2, columns]), options));
        const twice = await decode(quantize(tensor(once.weights.slice(), [2, columns]), options));
        expect(twice).toEqual(once);
      }),
    );
  });

  it('uses the ends of its range', async () => {
    const w = Float32Array.from({ length: 32 }, (_, i) => i - 15.5);
    const affine = await decode(quantize(tensor(w.slice(), [1, 32]), { bits: 4, groupSize: 32, symmetric: false }));
    expect([affine.codes[0], affine.codes[31]]).toEqual([0, 15]);
    const symmetric = await decode(quantize(tensor(w.slice(), [1, 32]), { bits: 4, groupSize: 32 }));
    expect([symmetric.codes[0], symmetric.codes[31]]).toEqual([1, 15]);
  });

  it('shows damage: a group with NaN, an infinity or more than its scale can hold has no finite number', async () => {
    const cases: [number, QuantizeOptions][] = [NaN, Infinity, -Infinity].flatMap((bad) =>
      [true, false].map((symmetric): [number, QuantizeOptions] => [
        bad,
        { bits: 4, groupSize: 32, symmetric, scaleDtype: 'f32' },
      ]),
    );
    for (const [bad, options] of [...cases, [1e6, { bits: 4, groupSize: 32 }] as [number, QuantizeOptions]]) {
      const w = new Float32Array(64).fill(0.5);
      w[3] = bad;
      const { weights } = await decode(quantize(tensor(w, [1, 64]), options));
      for (let i = 0; i < 64; i++)
        expect(Number.isFinite(weights[i]!), `${bad}, element ${i} is ${weights[i]}`).toBe(i >= 32);
    }
  });

  it('takes half-precision weights', async () => {
    const w = tensor(seededValue([3, 40], 'f32', 'ordinary', 1).data, [3, 40]);
    for (const dtype of ['f16', 'bf16'] as const) {
      const half = cast(w, dtype);
      const [a, b] = [quantize(half, { bits: 8 }), quantize(cast(half, 'f32'), { bits: 8 })];
      expect(await decode(a)).toEqual(await decode(b));
    }
  });

  it('names what it cannot take', () => {
    expect(() => quantize(tensor([1, 2]), { bits: 4 })).toThrow(/matrix \[rows, columns\], got f32\[2\]/);
    expect(() => quantize(tensor(Int32Array.of(1), [1, 1]), { bits: 4 })).toThrow(/got i32\[1, 1\]/);
    expect(() => quantize(tensor([[1]]), { bits: 3 as 4 })).toThrow(/codes have 4 or 8 bits, got 3/);
    expect(() => quantize(tensor([[1]]), { bits: 4, groupSize: 48 as 32 })).toThrow(
      /a group has 32, 64, 128 columns, got 48/,
    );
  });
});

describe('a quantised tensor', () => {
  const sample = (options: QuantizeOptions = { bits: 4, groupSize: 32 }): QuantizedTensor =>
    quantize(tensor(seededValue([5, 70], 'f32', 'ordinary', 3).data, [5, 70]), options);

  it('knows its shape and bytes', () => {
    expect(weightShape(sample())).toEqual([5, 70]);
    expect(weightBytes(sample())).toBe(5 * (9 * 4 + 3 * 2));
    expect(weightBytes(sample({ bits: 8, groupSize: 32, symmetric: false, scaleDtype: 'f32' }))).toBe(
      5 * (18 * 4 + 2 * 3 * 4),
    );
    expect(weightBytes(tensor([[1, 2]]))).toBe(8);
    expect(isQuantized(sample())).toBe(true);
    for (const other of [tensor([1]), null, {}, { codes: 1, scales: 2, bits: 4, groupSize: 32, columns: 1 }, 4])
      expect(isQuantized(other)).toBe(false);
  });

  it('goes through compiled functions as a tree', async () => {
    const halve = compile(
      (q: QuantizedTensor): { readonly q: QuantizedTensor; readonly w: Tensor } => ({ q, w: dequantize(q) }),
      { device },
    );
    const given = sample({ bits: 8, groupSize: 64, symmetric: false });
    const { q, w } = await halve(given);
    expect(isQuantized(q)).toBe(true);
    expect(await w.data()).toEqual(await dequantize(given).data(device));
    expect(await decode(q)).toEqual(await decode(given));
  });

  it('is cut into rows', async () => {
    const q = sample({ bits: 8, groupSize: 32, symmetric: false });
    const all = await dequantize(q).data(device);
    expect(await dequantize(sliceRows(q, 1, 4)).data(device)).toEqual(all.slice(70, 280));
  });

  it('says which part does not fit', () => {
    const q = sample();
    const check = (changed: Partial<QuantizedTensor>) => () => checkQuantized({ ...q, ...changed }, 'head');
    expect(check({})).not.toThrow();
    expect(check({ columns: 80 })).toThrow(
      /head: codes for 4 bits in groups of 32 over 80 columns are u32\[rows, 10\], got u32\[5, 9\]/,
    );
    expect(check({ groupSize: 64 })).toThrow(/scales for .* \[5, 2\], got f16\[5, 3\]/);
    expect(check({ offsets: cast(q.scales, 'f32') })).toThrow(
      /offsets are like the scales, f16\[5, 3\], got f32\[5, 3\]/,
    );
    expect(check({ bits: 8 })).toThrow(/codes for 8 bits/);
    expect(() => dequantize({ ...q, columns: 80 })).toThrow(/dequantize: codes/);
  });
});
