/** Single ops as generated kernels: transcendentals over all of f32, and casts over all numbers of every dtype. */
import { type DType, type Tensor, cast, cos, evaluate, log, rsqrt, sin, tensor } from '@mindseye/tensor-core';
import { arbitraryTensor, readBack, runReference, toTensor, ulpDistance } from '@mindseye/tensor-core/testing';
import { opTable } from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { bytesOf } from '../device/support.js';
import { TIERS } from '../kernels/support.js';

const count = 4096;
const float = new Float32Array(1);
const bitsOfFloat = new Uint32Array(float.buffer);

/** Numbers with random bits: every magnitude, both signs, NaN and infinities among them. */
const randomBits = fc
  .uint32Array({ minLength: 64, maxLength: 64 })
  .map((words) => Float32Array.from(words, (word) => ((bitsOfFloat[0] = word), float[0]!)));

const corners = Float32Array.of(
  0,
  -0,
  1,
  -1,
  Infinity,
  -Infinity,
  Number.NaN,
  1e-45,
  -1e-45,
  1.17549435e-38,
  3.4028235e38,
);

describe.each(TIERS)('%s', (tier) => {
  const device = createWasmDevice({ tier });
  const run = async (fn: (x: Tensor) => Tensor, x: Float32Array): Promise<Float32Array> =>
    (await fn(tensor(x)).data(device)) as Float32Array;

  test('log and rsqrt of numbers of all magnitudes, subnormal ones included', async () => {
    const functions = [
      { fn: log, exact: Math.log },
      { fn: rsqrt, exact: (x: number) => 1 / Math.sqrt(x) },
    ];
    for (const { fn, exact } of functions) {
      const property = fc.asyncProperty(randomBits, async (random) => {
        const x = Float32Array.of(...random, ...corners);
        const actual = await run(fn, x);
        x.forEach((value, i) => {
          const expected = Math.fround(exact(value));
          if (Object.is(actual[i], expected)) return;
          expect(ulpDistance(actual[i]!, expected), `of ${value}`).toBeLessThanOrEqual(4);
        });
      });
      await fc.assert(property, { numRuns: 100 });
    }
  });

  test('sin and cos: of angles below 2^31 to 2e-7, of others as the host computes them', async () => {
    const angles = Float32Array.from({ length: count }, (_, i) => (i % 2 ? -1 : 1) * 2 ** ((i / count) * 60 - 25));
    for (const [fn, exact] of [
      [sin, Math.sin],
      [cos, Math.cos],
    ] as const) {
      const actual = await run(fn, Float32Array.of(...angles, ...corners));
      [...angles, ...corners].forEach((angle, i) => {
        const expected = exact(angle);
        if (Number.isNaN(expected)) return expect(actual[i]).toBeNaN();
        expect(Math.abs(actual[i]! - expected), `of ${angle}`).toBeLessThan(2e-7);
        if (Math.abs(angle) >= 2 ** 31) expect(actual[i]).toBe(Math.fround(expected));
        if (angle === 0) expect(Object.is(actual[i], expected)).toBe(true);
      });
    }
  });

  test('casts between all dtypes, of any numbers', async () => {
    const dtypes: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool'];
    const pair = fc.tuple(fc.constantFrom(...dtypes), fc.constantFrom(...dtypes));
    const property = fc.asyncProperty(
      pair.chain(([from, to]) => {
        const range = from === 'i32' || from === 'u32' ? 'words' : 'special';
        return fc.tuple(arbitraryTensor(from, range, { maxLength: 20 }), fc.constant(to));
      }),
      async ([x, dtype]) => {
        const [expected] = runReference(opTable.get('cast')!, [x], { dtype });
        const actual = await readBack(await evaluate(cast(toTensor(x), dtype), { device }));
        if (x.dtype === dtype) return;
        // Which NaN comes out of a conversion between floats is not said.
        const [got, wanted] = [actual, expected!].map(({ data }) => (dtype === 'f32' ? [...data] : bytesOf({ data })));
        expect(got).toEqual(wanted);
      },
    );
    await fc.assert(property, { numRuns: 400 });
  });
});
