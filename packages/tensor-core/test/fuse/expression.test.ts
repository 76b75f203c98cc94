/** The form of fused expressions: its op, its interpreter, its keys and its loops. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HostTensor, ShapeError, opTable, sizeOf, stridesOf } from '../../src/index.js';
import { placeholder } from '../../src/tensor.js';
import { type FusedExpression, reducedSpace, sectionsOf } from '../../src/fuse/expression.js';
import { fusedExpressionOp } from '../../src/fuse/expression-op.js';
import { explainExpression } from '../../src/fuse/explain.js';
import { expressionAttributesKey, expressionKey } from '../../src/fuse/key.js';
import { type Loop, loopNest } from '../../src/fuse/loop-nest.js';
import { scalarOps } from '../../src/fuse/scalar-ops.js';
import { broadcastStrides } from '../../src/shape.js';
import { arbitraryExpression, runReference, seededValue, widen } from '../../src/testing/index.js';
import { differences, runGraph } from './support.js';

interface Application {
  readonly inputs: readonly HostTensor[];
  readonly attributes: FusedExpression;
}

const expressions = (options: Parameters<typeof arbitraryExpression>[0]): fc.Arbitrary<Application> =>
  arbitraryExpression(options) as fc.Arbitrary<Application>;

const decomposed = ({ inputs, attributes }: Application, precision: 'f32' | 'f64' = 'f32'): HostTensor[] => {
  const parameters = inputs.map(placeholder);
  return runGraph(fusedExpressionOp.decompose!(parameters, attributes), parameters, inputs, precision);
};

describe('scalarOps', () => {
  it('are the ops of the table that compute one element at a time', () => {
    const names = [...opTable.values()].flatMap(({ name, scalar }) => (scalar ? [name] : []));
    expect([...scalarOps().keys()].sort()).toEqual(names.sort());
    for (const [name, op] of scalarOps()) expect(op, name).toBe(opTable.get(name));
  });
});

describe('the interpreter', () => {
  it('gives the bits of the steps run one by one, in 32 bits', () => {
    fc.assert(
      fc.property(expressions({ values: 'anything', maxSteps: 12 }), (application) => {
        const { inputs, attributes } = application;
        expect(differences(runReference(fusedExpressionOp, inputs, attributes), decomposed(application))).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives the bits of the steps run one by one, in 64 bits', () => {
    const isFloat = ({ inputs }: Application): boolean => inputs.some(({ dtype }) => dtype === 'f32');
    fc.assert(
      fc.property(expressions({ values: 'anything' }).filter(isFloat), ({ inputs, attributes }) => {
        const wide = { inputs: inputs.map(widen), attributes };
        const actual = runReference(fusedExpressionOp, wide.inputs, attributes, 'f64');
        expect(differences(actual, decomposed(wide, 'f64'))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('works across blocks, on large spaces and along every axis', () => {
    for (const axes of [undefined, [0], [1], [0, 2], [0, 1, 2]])
      for (const shape of [
        [3, 17, 211],
        [9000, 1, 2],
      ]) {
        const attributes = sumOfProducts(shape, axes);
        const inputs = [seededValue(shape, 'f32', 'wide', 1), seededValue([shape[2]!], 'f32', 'ordinary', 2)];
        const application = { inputs, attributes };
        expect(differences(runReference(fusedExpressionOp, inputs, attributes), decomposed(application))).toEqual([]);
      }
  });

  it('may write over an operand that the op says it may', () => {
    fc.assert(
      fc.property(expressions({ values: 'anything', reduction: false, maxLength: 20 }), ({ inputs, attributes }) => {
        for (const { output, input } of fusedExpressionOp.overwrites!(inputs, attributes)) {
          const expected = runReference(fusedExpressionOp, inputs, attributes);
          const operands = inputs.map((value) => ({ ...value, data: value.data.slice() }));
          const specs = fusedExpressionOp.infer(inputs, attributes);
          const outputs = specs.map((spec, i) => ({ ...spec, data: expected[i]!.data.slice().fill(0) }));
          const { buffer, byteOffset, length } = operands[input]!.data;
          const Kind = expected[output]!.data.constructor as Float32ArrayConstructor;
          outputs[output] = { ...specs[output]!, data: new Kind(buffer as ArrayBuffer, byteOffset, length) };
          fusedExpressionOp.reference!({ inputs: operands, outputs, attributes });
          expect(differences(outputs, expected)).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** a·b with b along the last axis, summed over `axes` when there are some, then doubled. */
function sumOfProducts(shape: readonly number[], axes?: readonly number[]): FusedExpression {
  const map: FusedExpression['map'] = [
    { kind: 'operand', operand: 0, dtype: 'f32' },
    { kind: 'operand', operand: 1, dtype: 'f32' },
    { kind: 'apply', op: 'mul', attributes: {}, inputs: [0, 1], dtype: 'f32' },
  ];
  if (!axes) return { shape, constants: [], map, results: [2] };
  return {
    shape,
    constants: [2],
    map,
    results: [2],
    reduction: {
      kind: 'sum',
      axes,
      keepDimensions: false,
      of: 2,
      epilogue: [
        { kind: 'reduced', dtype: 'f32' },
        { kind: 'constant', constant: 0, dtype: 'f32' },
        { kind: 'apply', op: 'mul', attributes: {}, inputs: [0, 1], dtype: 'f32' },
      ],
      results: [2],
    },
  };
}

describe('random expressions', () => {
  it('hold reductions, epilogues with operands, several results, every dtype and every scalar op', () => {
    const seen = new Set<string>();
    for (const { inputs, attributes } of fc.sample(expressions({ values: 'anything', maxSteps: 12 }), 2000)) {
      expect(fusedExpressionOp.infer(inputs, attributes).length + inputs.length).toBeLessThanOrEqual(8);
      for (const { name, nodes, results } of sectionsOf(attributes)) {
        for (const node of nodes) {
          seen.add(node.kind === 'apply' ? node.op : `${name} ${node.kind} ${node.dtype}`);
        }
        seen.add(`${name} ${results.length} results`);
      }
      if (attributes.reduction)
        seen.add(`${attributes.reduction.kind} with ${attributes.results.length} results of the map`);
    }
    for (const dtype of ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool']) expect(seen).toContain(`map operand ${dtype}`);
    for (const dtype of ['f32', 'i32', 'u32', 'bool']) expect(seen).toContain(`epilogue reduced ${dtype}`);
    for (const wanted of ['map 2 results', 'map 3 results', 'epilogue 2 results', 'sum with 1 results of the map', 'epilogue operand f32'])
      expect(seen).toContain(wanted);
    for (const name of scalarOps().keys()) expect(seen).toContain(name);
  });

  it('shrink to little', () => {
    const found = fc.check(
      fc.property(expressions({}), ({ attributes }) => !attributes.map.some((node) => 'op' in node && node.op === 'exp')),
      { numRuns: 1000, seed: 3 },
    );
    const { attributes } = found.counterexample![0];
    expect(attributes.map.length).toBeLessThanOrEqual(4);
    expect(attributes.shape).toEqual([]);
  });
});

describe('malformed expressions', () => {
  const x: HostTensor = seededValue([2, 3], 'f32', 'ordinary', 1);
  const good = sumOfProducts([2, 3], [1]);
  const [operand, , product] = good.map;

  it.each([
    [{ results: [], reduction: undefined }, /writes nothing/],
    [{ map: [operand!, operand!, product!] }, /node 1 of the map reads operand 0 a second time/],
    [{ map: [operand!, { kind: 'operand', operand: 7, dtype: 'f32' }, product!] }, /reads operand 7 of 2/],
    [{ map: [operand!, { kind: 'operand', operand: 1, dtype: 'i32' }, product!] }, /reads operand 1 as i32, it is f32/],
    [{ map: [operand!, { kind: 'constant', constant: 4, dtype: 'f32' }, product!] }, /is constant 4 of 1/],
    [{ map: [operand!, { kind: 'constant', constant: 0, dtype: 'f16' }, product!] }, /constant of f16: only casts/],
    [{ map: [operand!, { kind: 'reduced', dtype: 'f32' }, product!] }, /only an epilogue reads it/],
    [{ map: [operand!, { kind: 'constant', constant: 0, dtype: 'f32' }, product!] }, /operand 1 is not read/],
    [{ map: [...good.map.slice(0, 2), { ...product!, inputs: [0, 2] }] }, /reads nodes 0,2: only earlier ones/],
    [{ map: [...good.map.slice(0, 2), { ...product!, op: 'matmul' }] }, /applies matmul, which is no op on single/],
    [{ map: [...good.map.slice(0, 2), { ...product!, dtype: 'i32' }] }, /is i32, mul gives f32/],
    [{ map: [...good.map.slice(0, 2), { ...product!, op: 'logicalAnd' }] }, /logicalAnd does not take f32/],
    [{ results: [2, 2] }, /writes a node of the map twice/],
    [{ results: [1] }, /result 1 of the map is operand, not computed there/],
    [{ shape: [2, 4] }, /shape \[2, 3\], which does not stretch to \[2, 4\]/],
    [{ shape: [1, 3] }, /shape \[2, 3\], which does not stretch to \[1, 3\]/],
    [{ reduction: { ...good.reduction!, axes: [2] } }, /reduces axes \[2\] of \[2, 3\]: name axes that exist, rising/],
    [{ reduction: { ...good.reduction!, of: 9 } }, /reduces node 9, the map has 3 nodes/],
  ] as const)('%j is refused', (change, message) => {
    const refused = (): unknown => fusedExpressionOp.infer([x, x], { ...good, ...change } as FusedExpression);
    expect(refused).toThrow(ShapeError);
    expect(refused).toThrow(message);
  });

  it('well-formed ones are not', () => {
    expect(fusedExpressionOp.infer([x, x], good)).toEqual([
      { shape: [2, 3], dtype: 'f32' },
      { shape: [2], dtype: 'f32' },
    ]);
  });
});

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
    const keys = [of([3, 4]), of([4]), of([3, 1]), of([3, 4], [0]), of([3, 4], [1]), of([3, 4], [0, 1]), of([3, 4, 5], [1])];
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
            expect(walk(kept, (loop) => loop.epilogue[i]!)).toEqual(viewed(space, broadcastStrides(input.shape, space)));
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
    expect([kept.length, reduced.map(({ size, map }) => [size, ...map])]).toEqual([1, [[4, 5, 0], [5, 1, 1]]]);
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
