/** Attention with a mask expression against the same attention with that mask written out as a dense operand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  apply,
  compile,
  createReferenceDevice,
  maskPredicate,
  maskTensor,
  opTable,
  vectorJacobianProduct,
} from '../../src/index.js';
import {
  type HostMask,
  type HostTensor,
  arbitraryMask,
  arbitrarySeed,
  assertClose,
  readBack,
  seededValue,
  toTensor,
} from '../../src/testing/index.js';

const op = opTable.get('attention')!;
const names = ['y', 'lse', 'dq', 'dk', 'dv'];

interface Example {
  /** q, k, v and the cotangent of y. */
  readonly values: readonly HostTensor[];
  readonly masking: HostMask;
}

const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });

const examples: fc.Arbitrary<Example> = fc
  .record({ batch: size(3), keyHeads: size(2), group: size(2), queries: size(6), keys: size(6), seed: arbitrarySeed() })
  .chain(({ batch, keyHeads, group, queries, keys, seed }) => {
    const value = (heads: number, length: number, place: number): HostTensor =>
      seededValue([batch, heads, length, 3], 'f32', 'ordinary', seed + place);
    const heads = keyHeads * group;
    const values = [
      value(heads, queries, 0),
      value(keyHeads, keys, 1),
      value(keyHeads, keys, 2),
      value(heads, queries, 3),
    ];
    return arbitraryMask({ batch, queries, keys }).map((masking) => ({ values, masking }));
  });

/** The mask as one dense operand, made by core ops. */
async function written({ values: [q, k], masking: { expression, operands } }: Example): Promise<HostMask> {
  const allow = maskTensor(expression, operands.map(toTensor), q!.shape[2]!, k!.shape[2]!);
  return { expression: { kind: 'dense', allow: 0 }, operands: [await readBack(allow, createReferenceDevice())] };
}

/** y, lse, dq, dk, dv under `masking`. */
async function outputsOf(
  { values }: Example,
  { expression, operands }: HostMask,
  decomposeFused: boolean,
): Promise<HostTensor[]> {
  const run = compile(
    (given: readonly Tensor[]) => {
      const [q, k, v, dy, ...rest] = given as [Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
      const [y, lse] = apply(op, [q, k, v, ...rest], { scale: 0.7, mask: expression });
      return [y!, lse!, ...vectorJacobianProduct([y!], [q, k, v], [dy])];
    },
    { device: createReferenceDevice({ precision: 'f64', decomposeFused }) },
  );
  return Promise.all((await run([...values, ...operands].map(toTensor))).map((output) => readBack(output)));
}

describe.each([false, true])('attention, decomposed: %s', (decomposeFused) => {
  it('is the same under a mask and under that mask written out, forward and backward', async () => {
    await fc.assert(
      fc.asyncProperty(examples, async (example) => {
        const expected = await outputsOf(example, await written(example), decomposeFused);
        const actual = await outputsOf(example, example.masking, decomposeFused);
        expected.forEach((value, i) => assertClose(actual[i]!, value, names[i]!, { absolute: 1e-12, relative: 1e-9 }));
      }),
      { numRuns: 150 },
    );
  });

  it('gives 0 and a gradient of 0 to queries that see nothing and to keys that nothing sees', async () => {
    let blind = 0;
    let unseen = 0;
    await fc.assert(
      fc.asyncProperty(examples, async (example) => {
        const { values, masking } = example;
        const allow = maskPredicate(masking.expression, masking.operands);
        const [y, lse, dq, dk, dv] = await outputsOf(example, masking, decomposeFused);
        const [batch, queries, keys] = [values[0]!.shape[0]!, values[0]!.shape[2]!, values[1]!.shape[2]!];
        const some = (count: number, test: (at: number) => boolean): boolean =>
          Array.from({ length: count }, (_, at) => at).some(test);
        for (let b = 0; b < batch; b++) {
          for (let query = 0; query < queries; query++) {
            if (some(keys, (key) => allow(b, query, key))) continue;
            blind++;
            for (const at of rowsOf(values[0]!, b, query)) {
              expect(lse!.data[at]).toBe(Infinity);
              expectZero([y!, dq!], at);
            }
          }
          for (let key = 0; key < keys; key++) {
            if (some(queries, (query) => allow(b, query, key))) continue;
            unseen++;
            for (const at of rowsOf(values[1]!, b, key)) expectZero([dk!, dv!], at);
          }
        }
      }),
      { numRuns: 100 },
    );
    expect(Math.min(blind, unseen)).toBeGreaterThan(0);
  });
});

/** Rows of `position` in batch entry `entry`, one per head. */
const rowsOf = ({ shape: [, heads, length] }: HostTensor, entry: number, position: number): number[] =>
  Array.from({ length: heads! }, (_, head) => (entry * heads! + head) * length! + position);

function expectZero(tensors: readonly HostTensor[], row: number): void {
  for (const { data, shape } of tensors) {
    const width = shape[3]!;
    expect([...data.subarray(row * width, (row + 1) * width)].every((value) => value === 0)).toBe(true);
  }
}
