/** Fused expressions as an op: what it refuses, and what its interpreter computes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HostTensor, ShapeError, opTable } from '../../src/index.js';
import { placeholder } from '../../src/tensor.js';
import { type FusedExpression, sectionsOf } from '../../src/fuse/expression.js';
import { fusedExpressionOp } from '../../src/fuse/expression-op.js';
import { scalarOps } from '../../src/fuse/scalar-ops.js';
import { assertClose, opCases, runReference, seededValue, widen } from '../../src/testing/index.js';
import { type Application, differences, expressions, runGraph, sumOfProducts } from './support.js';

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
    for (const wanted of [
      'map 2 results',
      'map 3 results',
      'epilogue 2 results',
      'sum with 1 results of the map',
      'epilogue operand f32',
    ])
      expect(seen).toContain(wanted);
    for (const name of scalarOps().keys()) expect(seen).toContain(name);
  });

  it('of ordinary numbers are well-conditioned: in 32 and in 64 bits they agree closely', () => {
    const { tolerance } = opCases.fusedExpression!;
    fc.assert(
      fc.property(expressions({ values: 'ordinary', maxSteps: 12 }), ({ inputs, attributes }) => {
        const exact = runReference(fusedExpressionOp, inputs.map(widen), attributes, 'f64');
        runReference(fusedExpressionOp, inputs, attributes).forEach((value, i) =>
          assertClose(value, exact[i]!, `output ${i}`, tolerance),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('shrink to little', () => {
    const found = fc.check(
      fc.property(
        expressions({}),
        ({ attributes }) => !attributes.map.some((node) => 'op' in node && node.op === 'exp'),
      ),
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
