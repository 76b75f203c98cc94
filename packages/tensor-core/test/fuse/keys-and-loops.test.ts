/** What backends make code from: keys and loops of fused expressions, and their texts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainExpression } from '../../src/fuse/explain.js';
import { type FusedExpression, reducedSpace } from '../../src/fuse/expression.js';
import { expressionAttributesKey, expressionKey } from '../../src/fuse/key.js';
import { type Loop, loopNest } from '../../src/fuse/loop-nest.js';
import { sizeOf, stridesOf } from '../../src/index.js';
import { broadcastStrides } from '../../src/shape.js';
import { expressions, sumOfProducts } from './support.js';

describe('keys', () => {
  const of = (shape: readonly number[], axes?: readonly number[]): string =>
    expressionKey(sumOfProducts(shape, axes), [
      { shape, dtype: 'f32' },
      { shape: shape.slice(-1), dtype: 'f32' },
    ]);

  it('do not know sizes, ranks that collapse, or constants', () => {
    expect(of([3, 4])).toBe(of([500, 7]));
    expect(of([3, 4])).toBe(of([3, 5, 9, 4]));
    expect(of([3, 4], [1])).toBe(of([3, 1, 8, 9], [3]));
    const other = { ...sumOfProducts([3, 4], [1]), constants: [Infinity] };
    const specs = [
      { shape: [3, 4], dtype: 'f32' },
      { shape: [4], dtype: 'f32' },
    ] as const;
    expect(expressionKey(other, specs)).toBe(of([3, 4], [1]));
  });

  it('tell apart what needs other code', () => {
    const keys = [
      of([3, 4]),
      of([4]),
      of([3, 1]),
      of([3, 4], [0]),
      of([3, 4], [1]),
      of([3, 4], [0, 1]),
      of([3, 4, 5], [1]),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('of attributes tell apart every difference', () => {
    const base = sumOfProducts([3, 4], [1]);
    const variants: FusedExpression[] = [
      base,
      { ...base, constants: [3] },
      { ...base, constants: [0] },
      { ...base, constants: [-0] },
      { ...base, constants: [NaN] },
      { ...base, constants: [Infinity] },
      { ...base, shape: [4, 3] },
      { ...base, results: [] },
      { ...base, reduction: { ...base.reduction!, axes: [0] } },
      { ...base, reduction: { ...base.reduction!, kind: 'max' } },
      { ...base, reduction: { ...base.reduction!, keepDimensions: true } },
    ];
    expect(new Set(variants.map(expressionAttributesKey)).size).toBe(variants.length);
    expect(expressionAttributesKey(structuredClone(base))).toBe(expressionAttributesKey(base));
  });
});

describe('loopNest', () => {
  /** For each turn of the loops: [offset by `strides` …]. */
  function walk(loops: readonly Loop[], offset: (loop: Loop) => number): number[] {
    let offsets = [0];
    for (const loop of loops)
      offsets = offsets.flatMap((start) => Array.from({ length: loop.size }, (_, i) => start + i * offset(loop)));
    return offsets;
  }

  /** Offsets of a view of `shape`, in row-major order. */
  const viewed = (shape: readonly number[], strides: readonly number[]): number[] =>
    walk(
      shape.map((size, axis) => ({ size, map: [], epilogue: [], result: strides[axis]! })),
      ({ result }) => result,
    );

  it('reaches the elements that broadcasting does', () => {
    fc.assert(
      fc.property(expressions({ values: 'anything', maxLength: 4 }), ({ inputs, attributes }) => {
        const { shape, map, reduction } = attributes;
        const { kept, reduced, innermost } = loopNest(attributes, inputs);
        const all = [...kept, ...reduced];
        const places = walk(all, ({ result }) => result);
        expect([...places].sort((a, b) => a - b)).toEqual(viewed(shape, stridesOf(shape)));
        if (!reduction) expect(places).toEqual(viewed(shape, stridesOf(shape)));
        const reads = (nodes: FusedExpression['map'], i: number): boolean =>
          nodes.some((node) => node.kind === 'operand' && node.operand === i);
        inputs.forEach((input, i) => {
          if (reads(map, i)) {
            const offsets = viewed(shape, broadcastStrides(input.shape, shape));
            expect(walk(all, (loop) => loop.map[i]!)).toEqual(places.map((place) => offsets[place]!));
          }
          if (reduction && reads(reduction.epilogue, i)) {
            const space = reducedSpace(shape, reduction);
            expect(walk(kept, (loop) => loop.epilogue[i]!)).toEqual(
              viewed(space, broadcastStrides(input.shape, space)),
            );
          }
        });
        const last = (innermost === 'kept' ? kept : reduced).at(-1);
        if (last && sizeOf(shape) > 0) expect(last.map.every((stride) => stride === 0 || stride === 1)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('is one loop for dense operands of any rank', () => {
    const specs = [
      { shape: [3, 4, 5], dtype: 'f32' },
      { shape: [5], dtype: 'f32' },
    ] as const;
    expect(loopNest(sumOfProducts([3, 4, 5]), specs).kept.map(({ size }) => size)).toEqual([12, 5]);
    expect(loopNest(sumOfProducts([3, 4, 5]), [specs[0], specs[0]]).kept.map(({ size }) => size)).toEqual([60]);
    const { kept, reduced } = loopNest(sumOfProducts([3, 4, 5], [1, 2]), specs);
    expect([kept.length, reduced.map(({ size, map }) => [size, ...map])]).toEqual([
      1,
      [
        [4, 5, 0],
        [5, 1, 1],
      ],
    ]);
  });
});

describe('explainExpression', () => {
  it.each([
    [sumOfProducts([2, 3]), 'a * b'],
    [sumOfProducts([2, 3], [1]), 't1 = a * b; t1; t1 -> sum over axis 1 -> r * 2'],
    [{ ...sumOfProducts([2, 3], [0, 1]), results: [] }, 'a * b -> sum over axes 0, 1 -> r * 2'],
  ])('%#', (expression, text) => {
    expect(explainExpression(expression)).toBe(text);
  });

  it('brackets by precedence, names shared parts, writes casts and numbers short', () => {
    const f32 = 'f32' as const;
    const expression: FusedExpression = {
      shape: [],
      constants: [0.1, -Infinity],
      map: [
        { kind: 'operand', operand: 0, dtype: 'bf16' },
        { kind: 'apply', op: 'cast', attributes: { dtype: f32 }, inputs: [0], dtype: f32 },
        { kind: 'constant', constant: 0, dtype: f32 },
        { kind: 'constant', constant: 1, dtype: f32 },
        { kind: 'apply', op: 'sub', attributes: {}, inputs: [2, 2], dtype: f32 },
        { kind: 'apply', op: 'sub', attributes: {}, inputs: [1, 4], dtype: f32 },
        { kind: 'apply', op: 'neg', attributes: {}, inputs: [5], dtype: f32 },
        { kind: 'apply', op: 'maximum', attributes: {}, inputs: [6, 3], dtype: f32 },
        { kind: 'apply', op: 'less', attributes: {}, inputs: [7, 1], dtype: 'bool' },
        { kind: 'apply', op: 'select', attributes: {}, inputs: [8, 7, 1], dtype: f32 },
      ],
      results: [9],
    };
    expect(explainExpression(expression)).toBe(
      't1 = f32(a); t2 = max(-(t1 - (0.1 - 0.1)), -Infinity); select(t2 < t1, t2, t1)',
    );
  });
});
