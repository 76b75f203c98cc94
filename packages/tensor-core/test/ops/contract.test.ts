/** What ops tell the plan compiler (`scalar`, `view`, `overwrites`, `guard`, `flops`) against their reference loops. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type HostArray,
  type HostTensor,
  type Op,
  broadcastStrides,
  byteSizeOf,
  hostView,
  opTable,
  sizeOf,
} from '../../src/index.js';
import { allocateHost } from '../../src/dtype.js';
import type { Overwrite } from '../../src/op.js';
import { type OpInvocation, opCases, runReference } from '../../src/testing/index.js';

const ops = [...opTable.values()];
const namesWith = (member: keyof Op): string[] => ops.filter((op) => op[member] !== undefined).map(({ name }) => name);

/** Runs `check` on applications of an op, extreme values included. */
function forEachCase(name: string, check: (op: Op, given: OpInvocation) => void, numRuns = 60): void {
  for (const values of ['ordinary', 'extreme'] as const) {
    const property = fc.property(opCases[name]!.invocations({ values, maxLength: 4 }), (given) => {
      check(opTable.get(name)!, given);
    });
    fc.assert(property, { numRuns });
  }
}

/** Same numbers, −0 apart from 0 and NaN equal to NaN. */
function expectSameNumbers(actual: HostArray, expected: HostArray): void {
  expect(actual.length).toBe(expected.length);
  const different = [...expected].findIndex((value, i) => !Object.is(actual[i], value));
  expect(different < 0 ? 'same' : `element ${different}: ${actual[different]} is not ${expected[different]}`).toBe(
    'same',
  );
}

const bytesOf = ({ buffer, byteOffset, byteLength }: HostArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Every place of a broadcast result: its index in row-major order, then the element of each operand. */
function* places(shape: readonly number[], operands: readonly HostTensor[]): Generator<number[]> {
  const strides = operands.map((operand) => broadcastStrides(operand.shape, shape));
  for (let i = 0; i < sizeOf(shape); i++) {
    let rest = i;
    const at = operands.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const index = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
      strides.forEach((own, operand) => (at[operand]! += index * own[axis]!));
    }
    yield at;
  }
}

describe('scalar', () => {
  it('is there for every op on one element at a time, and for no other', () => {
    const unary = ['neg', 'abs', 'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'sigmoid', 'erf', 'floor'];
    const binary = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'equal', 'less', 'lessEqual'];
    const others = ['logicalAnd', 'logicalOr', 'logicalNot', 'select', 'cast', 'bitcast', 'shiftRight'];
    expect(namesWith('scalar').sort()).toEqual([...unary, ...binary, ...others].sort());
  });

  it.each(namesWith('scalar'))('%s: stored in an array of the result, gives what the loops give', (name) => {
    forEachCase(
      name,
      (op, { inputs, attributes }) => {
        const [expected] = runReference(op, inputs, attributes);
        const compute = op.scalar!(
          inputs.map(({ dtype }) => dtype),
          attributes,
        );
        const actual = allocateHost(expected!.dtype, expected!.data.length);
        let i = 0;
        for (const at of places(expected!.shape, inputs))
          actual[i++] = compute(...inputs.map(({ data }, operand) => data[at[operand]!]!));
        expectSameNumbers(actual, expected!.data);
      },
      150,
    );
  });
});

describe('view', () => {
  const names = namesWith('view').filter((name) => name !== 'barrier');

  it.each(names)('%s: the result lies in the bytes of input 0 at the given offset', (name) => {
    let found = 0;
    const check = (op: Op, { inputs, attributes }: OpInvocation): void => {
      const offset = op.view!(inputs, attributes);
      if (offset === undefined) return;
      found++;
      const [y] = runReference(op, inputs, attributes);
      const size = sizeOf(y!.shape) * byteSizeOf(y!.dtype);
      const source = bytesOf(inputs[0]!.data);
      expect(offset + size).toBeLessThanOrEqual(source.length);
      expect([...source.subarray(offset, offset + size)]).toEqual([...bytesOf(y!.data)]);
    };
    forEachCase(name, check, 200);
    expect(found, 'views seen').toBeGreaterThan(0);
  });

  it('finds contiguous boxes and only those', () => {
    const offsetOf = (shape: number[], start: number[], end: number[]): number | undefined =>
      opTable.get('slice')!.view!([{ shape, dtype: 'f32' }], { start, end });
    expect(offsetOf([4, 3, 5], [1, 0, 0], [3, 3, 5])).toBe(15 * 4);
    expect(offsetOf([4, 3, 5], [2, 1, 0], [3, 3, 5])).toBe((2 * 15 + 5) * 4);
    expect(offsetOf([4, 3, 5], [2, 1, 3], [3, 2, 5])).toBe((2 * 15 + 5 + 3) * 4);
    expect(offsetOf([4, 3, 5], [1, 1, 0], [3, 3, 5])).toBeUndefined();
    expect(offsetOf([4, 3, 5], [0, 0, 0], [4, 3, 4])).toBeUndefined();
    expect(offsetOf([1, 3, 1], [0, 1, 0], [1, 3, 1])).toBe(4);
    expect(offsetOf([4, 3], [4, 0], [4, 3])).toBe(0);
  });

  it('finds permutations that only move axes of size 1', () => {
    const offsetOf = (shape: number[], axes: number[]): number | undefined =>
      opTable.get('permute')!.view!([{ shape, dtype: 'f16' }], { axes });
    expect(offsetOf([2, 1, 3], [1, 0, 2])).toBe(0);
    expect(offsetOf([1, 1, 3], [2, 1, 0])).toBe(0);
    expect(offsetOf([2, 0, 3], [2, 1, 0])).toBe(0);
    expect(offsetOf([2, 3], [1, 0])).toBeUndefined();
  });
});

/** The outputs of an application whose results lie on operands as `pairs` say. */
function runInPlace(op: Op, { inputs, attributes }: OpInvocation, pairs: readonly Overwrite[]): HostTensor[] {
  const own = inputs.map((operand) => ({ ...operand, data: operand.data.slice() }));
  const outputs = op.infer(inputs, attributes).map((spec, place) => {
    const pair = pairs.find(({ output }) => output === place);
    const data = pair ? hostView(own[pair.input]!.data.buffer, 0, spec) : allocateHost(spec.dtype, sizeOf(spec.shape));
    return { ...spec, data };
  });
  op.reference!({ inputs: own, outputs, attributes });
  return outputs;
}

/** Two outputs at once on two operands, where there are such. */
const twoAtOnce = (pairs: readonly Overwrite[]): Overwrite[][] =>
  pairs.flatMap((first) =>
    pairs
      .filter((second) => first.output < second.output && first.input !== second.input)
      .map((second) => [first, second]),
  );

describe('overwrites', () => {
  it.each(namesWith('overwrites'))('%s: gives the same when results lie on operands', (name) => {
    let seen = 0;
    forEachCase(name, (op, given) => {
      const expected = runReference(op, given.inputs, given.attributes);
      const pairs = op.overwrites!(given.inputs, given.attributes);
      for (const chosen of [...pairs.map((pair) => [pair]), ...twoAtOnce(pairs)]) {
        seen++;
        const outputs = runInPlace(op, given, chosen);
        outputs.forEach((result, place) => expectSameNumbers(result.data, expected[place]!.data));
      }
    });
    expect(seen, 'overwritable operands seen').toBeGreaterThan(0);
  });

  it('leaves operands of another shape or element size alone', () => {
    const f32 = (shape: number[]) => ({ shape, dtype: 'f32' as const });
    const of = (name: string, inputs: Parameters<Op['infer']>[0], attributes = {}) =>
      opTable.get(name)!.overwrites!(inputs, attributes);
    expect(of('add', [f32([2, 3]), f32([3])])).toEqual([{ output: 0, input: 0 }]);
    expect(of('add', [f32([2, 1]), f32([3])])).toEqual([]);
    expect(of('less', [f32([3]), f32([3])])).toEqual([]);
    expect(of('cast', [f32([3])], { dtype: 'i32' })).toEqual([{ output: 0, input: 0 }]);
    expect(of('cast', [f32([3])], { dtype: 'f16' })).toEqual([]);
    expect(of('select', [{ shape: [3], dtype: 'bool' }, f32([3]), f32([])])).toEqual([{ output: 0, input: 1 }]);
    expect(of('updateSlice', [f32([4]), f32([4]), { shape: [], dtype: 'i32' }], { axis: 0 })).toEqual([
      { output: 0, input: 0 },
    ]);
  });
});

describe('guard', () => {
  const guarded = ['scatterAdd', 'updateSlice', 'softmaxCrossEntropy', 'softmaxCrossEntropyBackward', 'resamplePixels'];

  it.each(guarded)('%s: passes what the loops take and refuses what they refuse', (name) => {
    let refused = 0;
    forEachCase(name, (op, { inputs, attributes }) => {
      const { operands, check } = op.guard!;
      const dataOf = (given: readonly HostTensor[]): HostArray[] => operands.map((place) => given[place]!.data);
      check({ inputs, data: dataOf(inputs), attributes });
      for (const wrong of [-1, 1000]) {
        const spoiled = inputs.map((operand, place) =>
          operands.includes(place) ? { ...operand, data: operand.data.slice().fill(wrong, 0, 1) } : operand,
        );
        if (dataOf(spoiled)[0]!.length === 0) continue;
        refused++;
        expect(() => check({ inputs: spoiled, data: dataOf(spoiled), attributes })).toThrow(RangeError);
        expect(() => runReference(op, spoiled, attributes)).toThrow(RangeError);
      }
    });
    expect(refused).toBeGreaterThan(0);
  });
});

describe('flops', () => {
  it.each(namesWith('flops'))('%s: is a whole number', (name) => {
    forEachCase(
      name,
      (op, { inputs, attributes }) => {
        const count = op.flops!(inputs, op.infer(inputs, attributes), attributes);
        expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
      },
      10,
    );
  });

  it('is 0 for ops that only move elements', () => {
    for (const name of ['reshape', 'permute', 'broadcastTo', 'slice', 'pad', 'concat', 'updateSlice', 'stopGradient'])
      forEachCase(
        name,
        (op, { inputs, attributes }) => expect(op.flops!(inputs, op.infer(inputs, attributes), attributes)).toBe(0),
        5,
      );
  });

  it('counts products and sums as textbooks do', () => {
    const f32 = (...shape: number[]) => ({ shape, dtype: 'f32' as const });
    const of = (name: string, inputs: Parameters<Op['infer']>[0], attributes: object) =>
      opTable.get(name)!.flops!(inputs, opTable.get(name)!.infer(inputs, attributes), attributes);
    const transposed = { transposeA: false, transposeB: true };
    expect(of('matmul', [f32(2, 3, 5), f32(2, 7, 5)], transposed)).toBe(2 * 2 * 3 * 7 * 5);
    expect(of('sum', [f32(4, 6)], { axes: [1], keepDimensions: false })).toBe(24);
    expect(of('rmsNorm', [f32(1024, 2048), f32(2048)], { epsilon: 1e-6 })).toBe(4 * 1024 * 2048);
    expect(of('swiglu', [f32(4, 8), f32(4, 8)], {})).toBe(6 * 32);
  });
});
