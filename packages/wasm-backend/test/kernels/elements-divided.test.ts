/**
 * Element-wise kernels, random words and generated expressions give the same bits on one thread and on three, at any offset, and
 * in every tier whose multiply-add is fused.
 */
import {
  type FusedExpression,
  type TensorSpec,
  byteSizeOf,
  fusedExpressionOp,
  hostView,
  sizeOf,
} from '@mindseye/tensor-core';
import { type HostTensor, arbitraryExpression } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type BoundExpression, createExpressions } from '../../src/expressions/expressions.js';
import { type Kernels, createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { bytesOf } from '../device/support.js';
import { TIERS, valueSeed, values } from './support.js';

const PAGES = 64;
const sharedMemory = (): WebAssembly.Memory => new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });

const unary = ['neg', 'sqrt', 'exp', 'sigmoid', 'tanh', 'silu', 'gelu'] as const;
const binary = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'swiglu', 'geluBackward'] as const;

/** Around whole vectors, rounds and parts. */
const count = fc.oneof(fc.constantFrom(0, 1, 3, 17, 64, 65), fc.integer({ min: 0, max: 700 }));
const special = [Number.NaN, Infinity, -Infinity, 0, -0, 1e-45, -1e-45, 1e38, -88, 88.8];

interface Case {
  readonly count: number;
  /** Bytes that every array is moved by: kernels need no alignment. */
  readonly offset: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly c: Float32Array;
  readonly inPlace: boolean;
}

const cases: fc.Arbitrary<Case> = fc
  .tuple(count, fc.integer({ min: 0, max: 15 }), valueSeed, fc.constantFrom(1e-3, 3, 60), fc.boolean())
  .map(([length, offset, seed, scale, inPlace]) => {
    const numbers = (of: number): Float32Array =>
      values(seed + of, length, scale).map((value, i) => (i % 11 === of ? special[i % special.length]! : value));
    return { count: length, offset, a: numbers(0), b: numbers(1), c: numbers(2), inPlace };
  });

/** The bytes of all results of all kernels on a case. */
function resultsOf(kernels: Kernels, { count: length, offset, a, b, c, inPlace }: Case): Record<string, Uint8Array> {
  const at = (slot: number): number => 4096 * slot + offset;
  const put = (slot: number, data: Float32Array): number => {
    new Uint8Array(kernels.memory.buffer).set(new Uint8Array(data.buffer), at(slot));
    return at(slot);
  };
  const read = (pointer: number): Uint8Array => new Uint8Array(kernels.memory.buffer, pointer, 4 * length).slice();
  const results: Record<string, Uint8Array> = {};
  for (const name of unary) {
    const x = put(1, a);
    const out = inPlace ? x : at(0);
    kernels[name](out, x, length);
    results[name] = read(out);
  }
  for (const name of binary) {
    const [x, y] = [put(1, a), put(2, b)];
    const out = inPlace ? y : at(0);
    kernels[name](out, x, y, length);
    results[name] = read(out);
  }
  const [x, y] = [put(1, a), put(2, b)];
  kernels.scale(at(0), x, -1.7, length);
  results['scale'] = read(at(0));
  kernels.addScaled(at(0), x, y, 0.3, length);
  results['addScaled'] = read(at(0));
  const [gate, up, dy] = [put(1, a), put(2, b), put(3, c)];
  const [dgate, dup] = inPlace ? [dy, gate] : [at(0), at(4)];
  kernels.swigluBackward({ gate, up, dy, dgate, dup, count: length });
  results['dgate'] = read(dgate);
  results['dup'] = read(dup);
  return results;
}

const kernelsOf = (tier: Kernels['tier'], threads: Threads): Kernels =>
  createKernels({ tier, memory: sharedMemory(), threads });

describe.each(TIERS)('%s', (tier) => {
  const threads = new Threads(3, { eager: true });
  afterAll(() => threads.end());
  const [one, three] = [kernelsOf(tier, new Threads(1)), kernelsOf(tier, threads)];

  test('element-wise kernels on three threads', () => {
    fc.assert(
      fc.property(cases, (given) => {
        expect(resultsOf(three, given)).toEqual(resultsOf(one, given));
      }),
      { numRuns: 60 },
    );
  });

  test('random words and dropout on three threads', () => {
    const draw = fc.record({
      count,
      seed: fc.tuple(fc.nat(), fc.nat()),
      stream: fc.nat(),
      probability: fc.constant(0.3),
    });
    const property = fc.property(draw, (given) => {
      const drawn = [one, three].map((kernels) => {
        const [words, x, y] = [0, 1, 2].map((slot) => 4096 * slot) as [number, number, number];
        new Float32Array(kernels.memory.buffer, x, given.count).set(values(5, given.count));
        kernels.randomWords({ ...given, out: words, scratch: 4096 * 3 });
        kernels.dropout({ ...given, x, y, scratch: 4096 * 3 });
        return [words, y].map((pointer) => new Uint32Array(kernels.memory.buffer, pointer, given.count).slice());
      });
      expect(drawn[1]).toEqual(drawn[0]);
    });
    fc.assert(property, { numRuns: 60 });
  });

  test('widening of halves on three threads', () => {
    for (const dtype of ['f16', 'bf16'] as const) {
      const widened = [one, three].map((kernels) => {
        new Uint16Array(kernels.memory.buffer, 65_536, 5000).forEach((_, i, codes) => (codes[i] = i * 13));
        kernels.widen(dtype, 0, 65_536, 5000);
        return new Uint32Array(kernels.memory.buffer, 0, 5000).slice();
      });
      expect(widened[1]).toEqual(widened[0]);
    }
  });

  const bound = [one, three].map((kernels) => ({ kernels, expressions: createExpressions(kernels) }));

  /** The bytes of all outputs of one application. */
  function applied(
    { kernels, expressions }: (typeof bound)[number],
    inputs: readonly HostTensor[],
    of: FusedExpression,
  ) {
    const specs: readonly TensorSpec[] = fusedExpressionOp.infer(inputs, of);
    let next = 0;
    const allocate = (spec: TensorSpec): number => {
      const at = next;
      next += Math.ceil((sizeOf(spec.shape) * byteSizeOf(spec.dtype)) / 4) * 4 + 64;
      return at;
    };
    const memory = new Uint8Array(kernels.memory.buffer);
    const outputs = specs.map(allocate);
    const operands = inputs.map((input) => {
      const at = allocate(input);
      memory.set(bytesOf(input), at);
      return at;
    });
    const kernel: BoundExpression = expressions.bind(of, inputs);
    kernel(
      [...outputs, ...operands],
      [...outputs, ...operands].map((_, i) => i),
    );
    return specs.map((spec, i) => bytesOf({ data: hostView(kernels.memory.buffer.slice(0), outputs[i]!, spec) }));
  }

  test('expressions on three threads', () => {
    const property = fc.property(
      fc.constantFrom(5, 40).chain((maxLength) => arbitraryExpression({ values: 'anything', maxLength })),
      ({ inputs, attributes }) => {
        const [alone, divided] = bound.map((engine) => applied(engine, inputs, attributes as FusedExpression));
        expect(divided).toEqual(alone);
      },
    );
    fc.assert(property, { numRuns: 120 });
  });
});

const fused = TIERS.filter((tier) => tier !== 'simd128');

test.runIf(fused.length > 1)('tiers with a fused multiply-add have the same bits', () => {
  const kernels = fused.map((tier) => kernelsOf(tier, new Threads(1)));
  fc.assert(
    fc.property(cases, (given) => {
      const [expected, ...others] = kernels.map((of) => resultsOf(of, given));
      for (const other of others) expect(other).toEqual(expected);
    }),
    { numRuns: 120 },
  );
});
