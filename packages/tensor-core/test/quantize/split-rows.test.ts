/** Reading a weight in pieces of rows gives what reading it whole gives, on every case of the ops that can. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Op, type Tensor, compile, createReferenceDevice, opTable } from '../../src/index.js';
import {
  type OpInvocation,
  type Tolerance,
  assertClose,
  opCases,
  readBack,
  runReference,
  toTensor,
  widen,
} from '../../src/testing/index.js';

/** Places of the operands that have one row for each row of a weight. */
const weightPlaces: Readonly<Record<string, (given: OpInvocation) => readonly number[]>> = {
  gather: () => [0, 1],
  linear: () => [0, 1],
  linearTransposed: () => [0, 1],
  dequantize: ({ inputs }) => inputs.map((_, place) => place),
  quantizedLinear: () => [0, 1, 2],
  linearCrossEntropy: () => [2],
  linearCrossEntropyBackward: () => [2],
};

const close: Tolerance = { absolute: 1e-9, relative: 1e-7, norm: 1e-9 };

async function check(name: string, given: OpInvocation, place: number, cuts: readonly number[]): Promise<void> {
  const op: Op = opTable.get(name)!;
  const inputs = given.inputs.map(widen);
  const rows = inputs[place]!.shape[0];
  if (rows === undefined || (name.startsWith('linear') && inputs[0]!.shape.length < 2)) return;
  if (name === 'quantizedLinear' && inputs[0]!.shape.length < 2) return;
  const boundaries = [...new Set([0, ...cuts.map((cut) => Math.floor(cut * rows)), rows])].sort((a, b) => a - b);
  if (boundaries.length < 2) return;
  const run = compile((operands: readonly Tensor[]) => op.splitRows!(operands, given.attributes, place, boundaries), {
    device: createReferenceDevice({ precision: 'f64' }),
  });
  const outputs = await run(inputs.map(toTensor));
  const expected = runReference(op, inputs, given.attributes, 'f64');
  expect(outputs).toHaveLength(expected.length);
  for (const [i, output] of outputs.entries())
    assertClose(await readBack(output), expected[i]!, `output ${i} cut at ${boundaries.join(', ')}`, close);
}

describe('in pieces', () => {
  it.each(Object.keys(weightPlaces))('%s', async (name) => {
    for (const values of ['ordinary', 'extreme'] as const) {
      const property = fc.asyncProperty(
        opCases[name]!.invocations({ values, maxLength: 7 }),
        fc.nat(2),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
        async (given, choice, cuts) => {
          const places = weightPlaces[name]!(given);
          await check(name, given, places[choice % places.length]!, cuts);
        },
      );
      await fc.assert(property, { numRuns: 100 });
    }
  });

  it('touch only rows of their piece', () => {
    const op = opTable.get('linear')!;
    const [x, weight] = [{ shape: [2, 3] }, { shape: [10, 3] }].map(({ shape }) =>
      toTensor({ shape, dtype: 'f32', data: new Float32Array(shape[0]! * shape[1]!) }),
    );
    const [y] = op.splitRows!([x!, weight!], {}, 1, [0, 4, 10]);
    const pieces = y!.producer!.inputs.map((piece) => piece.producer!.inputs[1]!);
    expect(pieces.map(({ shape, producer }) => [shape[0], producer?.op.name])).toEqual([
      [4, 'slice'],
      [6, 'slice'],
    ]);
  });
});
