/** The fusion pass: programs compute the same bits in fewer steps and no more memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Device,
  type Tensor,
  abs,
  add,
  adamwStep,
  broadcastTo,
  cast,
  checkpoint,
  div,
  exp,
  full,
  grad,
  gelu,
  matmul,
  max,
  mean,
  mul,
  neg,
  reshape,
  rmsNorm,
  silu,
  softmax,
  sqrt,
  sub,
  sum,
  tanh,
  transpose,
  vectorJacobianProduct,
} from '../../src/index.js';
import type { FusedExpression } from '../../src/fuse/expression.js';
import { explainExpression } from '../../src/fuse/explain.js';
import { fuseProgram } from '../../src/fuse/fuse.js';
import { lowerGraph } from '../../src/plan/lower.js';
import type { Program } from '../../src/plan/program.js';
import { byteLengthOf, peakOf, storageOf } from '../../src/plan/storage.js';
import { placeholder } from '../../src/tensor.js';
import { arbitraryGraph, buildGraph, graphLoss, seededValue } from '../../src/testing/index.js';
import type { DType, HostTensor } from '../../src/index.js';
import { differences, runProgram } from './support.js';

type Supports = Device['supports'];

const everything: Supports = ({ reference }) => reference !== undefined;
/** No kernels for fused ops: everything is primitives. */
const onlyPrimitives: Supports = ({ name, decompose }) => name === 'fusedExpression' || decompose === undefined;

interface Lowered {
  readonly program: Program;
  readonly fused: Program;
}

function lower(
  build: (...inputs: Tensor[]) => readonly Tensor[],
  specs: readonly (readonly number[] | { readonly shape: readonly number[]; readonly dtype: DType })[],
  supports: Supports = onlyPrimitives,
  simplifies = true,
): Lowered {
  const inputs = specs.map((spec) => placeholder('dtype' in spec ? spec : { shape: spec, dtype: 'f32' }));
  const device = { name: 'test', supports };
  const program = lowerGraph({ outputs: build(...inputs), inputs, device, simplifies });
  return { program, fused: fuseProgram(program, device) };
}

/** One text per step: the expression of a fused one, the name of others. */
const texts = ({ steps }: Program): string[] =>
  steps.map(({ op, attributes }) =>
    op.name === 'fusedExpression' ? explainExpression(attributes as FusedExpression) : op.name,
  );

/** Inputs of ordinary numbers. */
const valuesFor = ({ values, inputs }: Program): HostTensor[] =>
  inputs.map((value, i) => seededValue(values[value]!.shape, values[value]!.dtype, 'ordinary', i + 1));

function expectSameBits({ program, fused }: Lowered, inputs = valuesFor(program)): void {
  expect(differences(runProgram(fused, inputs), runProgram(program, inputs))).toEqual([]);
}

const peakBytesOf = (program: Program): number => peakOf(program, storageOf(program));

/** @param leafBytes by how much constants and stretches may go on living, where the device refuses to absorb them. */
function expectWellFormed({ program, fused }: Lowered, leafBytes = 0): void {
  const written = fused.steps.flatMap(({ outputs }) => outputs);
  expect(new Set(written).size).toBe(written.length);
  expect(fused.steps.length).toBeLessThanOrEqual(program.steps.length);
  expect(peakBytesOf(fused)).toBeLessThanOrEqual(peakBytesOf(program) + leafBytes);
  const barriers = ({ steps }: Program): number => steps.filter(({ op }) => op.name === 'barrier').length;
  expect(barriers(fused)).toBe(barriers(program));
  for (const { op, inputs, outputs, attributes } of fused.steps) {
    const specs = op.infer(inputs.map((value) => fused.values[value]!), attributes);
    expect(specs.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(outputs.map((value) => fused.values[value]));
    if (op.name === 'fusedExpression') expect(inputs.length + outputs.length).toBeLessThanOrEqual(8);
  }
}

const leafBytesOf = ({ steps, values }: Program): number =>
  steps
    .filter(({ op }) => op.name === 'full' || op.name === 'broadcastTo')
    .reduce((sum, { outputs: [value] }) => sum + byteLengthOf(values[value!]!), 0);

describe('random graphs', () => {
  const graphs = arbitraryGraph({ maxSteps: 14 });
  const withGradients = (recipe: Parameters<typeof buildGraph>[0], inputs: readonly Tensor[]): Tensor[] => {
    const values = buildGraph(recipe, inputs);
    const loss = graphLoss(values);
    return [values.at(-1)!, loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
  };

  it.each([
    ['in primitives', onlyPrimitives, true],
    ['in primitives, not simplified', onlyPrimitives, false],
    ['with fused ops', everything, true],
  ] as const)('%s give the same bits in no more steps and bytes, forward and gradient', (_name, supports, simplifies) => {
    let [before, after] = [0, 0];
    fc.assert(
      fc.property(graphs, (recipe) => {
        const lowered = lower(
          (...inputs) => withGradients(recipe, inputs),
          recipe.inputs.map(({ shape }) => shape),
          supports,
          simplifies,
        );
        expectWellFormed(lowered);
        expectSameBits(lowered, [...recipe.inputs]);
        before += lowered.program.steps.length;
        after += lowered.fused.steps.length;
      }),
      { numRuns: 300 },
    );
    expect(after).toBeLessThan(before * 0.75);
  });

  it('give the same bits on devices that refuse some expressions', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 2, max: 5 }), fc.nat(4), (recipe, modulus, rest) => {
        const picky: Supports = (op, inputs, attributes) =>
          onlyPrimitives(op, inputs, attributes) &&
          (op.name !== 'fusedExpression' || (attributes as FusedExpression).map.length % modulus !== rest % modulus);
        const lowered = lower(
          (...inputs) => withGradients(recipe, inputs),
          recipe.inputs.map(({ shape }) => shape),
          picky,
        );
        expectWellFormed(lowered, leafBytesOf(lowered.program));
        expectSameBits(lowered, [...recipe.inputs]);
        for (const { op, inputs, attributes } of lowered.fused.steps)
          expect(picky(op, inputs.map((value) => lowered.fused.values[value]!), attributes)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe('known programs', () => {
  const example = (
    build: (...inputs: Tensor[]) => readonly Tensor[],
    specs: Parameters<typeof lower>[1],
    expected: readonly string[],
  ): void => {
    const lowered = lower(build, specs);
    expect(texts(lowered.fused)).toEqual(expected);
    expectWellFormed(lowered);
    expectSameBits(lowered);
  };

  it('silu(gate) · up is one step', () => {
    example((gate, up) => [mul(silu(gate!), up!)], [[4, 6], [4, 6]], ['a * sigmoid(a) * b']);
  });

  it('gelu is one step', () => {
    example((x) => [gelu(x!)], [[4, 6]], ['a * 0.5 * (erf(a * 0.7071068) + 1)']);
  });

  it('rms normalisation is two steps and the view that the gradient reads', () => {
    example((x, w) => [rmsNorm(x!, w!, 0.5)], [[4, 8], [8]], [
      'a * a -> sum over axis 1 -> rsqrt(r / 8 + 0.5)',
      'a * b * c',
    ]);
  });

  it('softmax is three steps: the sum is taken where the exponentials are made', () => {
    const { fused } = lower((x) => [softmax(x!)], [[4, 8]]);
    expect(fused.steps).toHaveLength(3);
    expect(texts(fused)[1]).toMatch(/^t1 = exp\(a - b\); t1; t1 -> sum over axis 1 -> select\(.*\)$/);
  });

  it('AdamW is at most one step per result', () => {
    const attributes = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
    const build = (...[p, g, m, v, rates]: Tensor[]): readonly Tensor[] => adamwStep(p!, g!, m!, v!, rates!, attributes);
    const lowered = lower(build, [[50, 4], [50, 4], [50, 4], [50, 4], [3]]);
    const names = lowered.fused.steps.map(({ op }) => op.name).filter((name) => name !== 'slice' && name !== 'reshape');
    expect(new Set(names)).toEqual(new Set(['fusedExpression']));
    expect(names.length).toBeLessThanOrEqual(3);
    expectWellFormed(lowered);
    expectSameBits(lowered, valuesFor(lowered.program).map((value) => ({ ...value, data: value.data.map(Math.abs) })));
  });

  it('a mean square is one step, over any axes', () => {
    example((x) => [mean(mul(x!, x!), [0, 2])], [[3, 4, 5]], ['a * a -> sum over axes 0, 2 -> r / 15']);
  });

  it('a mask that is stretched is read where it is', () => {
    example(
      (x, mask) => [add(tanh(x!), broadcastTo(mul(mask!, 2), [3, 4]))],
      [[3, 4], [1, 4]],
      ['a * 2', 'tanh(a) + b'],
    );
  });

  it('low precision weights are cast on the way', () => {
    example(
      (w, x) => [cast(mul(cast(w!, 'f32'), x!), 'f16')],
      [{ shape: [4], dtype: 'bf16' }, [4]],
      ['f16(f32(a) * b)'],
    );
  });

  it('single elements are computed on the spot', () => {
    example((x, s) => [mul(x!, add(sqrt(abs(s!)), 1))], [[3, 4], []], ['b * (sqrt(abs(a)) + 1)']);
  });

  it('single steps stay what they are, also past a stretch', () => {
    example((x, y) => [mul(x!, y!), sum(y!)], [[3], [3]], ['mul', 'sum']);
    example((x, y) => [mul(x!, broadcastTo(y!, [3, 4]))], [[3, 4], [4]], ['mul']);
    example((x) => [sum(broadcastTo(x!, [3]))], [[]], ['a -> sum over axis 0']);
  });
});

describe('what is kept apart', () => {
  it('a producer that would be computed once per copy', () => {
    const { fused } = lower((x, y) => [mul(exp(x!), y!)], [[4], [3, 4]]);
    expect(texts(fused)).toEqual(['exp', 'mul']);
  });

  it('two sides of a step that is not fusible, when what lies between is needed', () => {
    const lowered = lower((x) => {
      const y = exp(x!);
      return [add(y, matmul(y, y))];
    }, [[4, 4]]);
    expect(texts(lowered.fused)).toEqual(['exp', 'matmul', 'add']);
    expectSameBits(lowered);
  });

  it('a diamond through a step that is not fusible, when its other side is fusible', () => {
    const lowered = lower((x) => {
      const y = exp(x!);
      return [add(tanh(y), neg(transpose(neg(y))))];
    }, [[4, 4]]);
    expect(lowered.fused.steps.map(({ op }) => op.name)).toContain('permute');
    expectWellFormed(lowered);
    expectSameBits(lowered);
  });

  it('but not the two sides of a diamond inside', () => {
    const lowered = lower((x) => {
      const y = exp(x!);
      return [add(tanh(y), neg(y))];
    }, [[4, 4]]);
    expect(texts(lowered.fused)).toEqual(['t1 = exp(a); tanh(t1) + -t1']);
  });

  it('what a checkpoint computes a second time', () => {
    const block = checkpoint((x: Tensor) => tanh(mul(exp(x), 2)));
    const build = (x: Tensor): readonly Tensor[] => [grad((y: Tensor) => sum(mul(block(y), block(y))))(x)];
    const lowered = lower(build as never, [[8]]);
    expect(lowered.program.steps.some(({ op }) => op.name === 'barrier')).toBe(true);
    expect(lowered.program.steps.some(({ recomputed }) => recomputed)).toBe(true);
    expectWellFormed(lowered);
    expectSameBits(lowered);
  });

  it('more than eight operands and results', () => {
    const lowered = lower((...inputs) => [inputs.reduce((total, x) => add(total, mul(x, x)))], Array.from({ length: 12 }, () => [6]));
    expectWellFormed(lowered);
    expectSameBits(lowered);
    expect(lowered.fused.steps.length).toBeLessThan(5);
  });

  it('two reductions', () => {
    const lowered = lower((x) => [max(sum(mul(x!, x!), 1))], [[3, 4]]);
    expect(texts(lowered.fused)).toEqual(['a * a -> sum over axis 1', 'max']);
  });

  it('what the device refuses', () => {
    const { fused } = lower((x) => [sum(exp(mul(x!, 2)))], [[4]], (op, inputs, attributes) =>
      onlyPrimitives(op, inputs, attributes) && (attributes as Partial<FusedExpression>).reduction === undefined);
    expect(texts(fused)).toEqual(['exp(a * 2)', 'sum']);
  });
});

describe('memory', () => {
  it('does not grow because large operands are kept for a small result', () => {
    // Each long row is read once, early; its short sum is needed at the end.
    const build = (...inputs: Tensor[]): readonly Tensor[] => {
      const sums = inputs.map((x) => sum(mul(matmul(x, x), 2)));
      return [sums.reduce((total, one) => add(total, one))];
    };
    const lowered = lower(build, Array.from({ length: 6 }, () => [32, 32]));
    expectWellFormed(lowered);
    expect(peakBytesOf(lowered.fused)).toBeLessThanOrEqual(2 * 32 * 32 * 4 + 64);
  });

  it('shrinks where intermediates are never stored', () => {
    const { program, fused } = lower((x) => [tanh(add(mul(exp(x!), 2), 1))], [[1000]]);
    expect(peakBytesOf(program)).toBe(8004);
    expect(peakBytesOf(fused)).toBe(4000);
  });

  it('holds nothing back for a reader that is far away', () => {
    const build = (x: Tensor): readonly Tensor[] => {
      const large = exp(x);
      const one = sub(large, 1);
      let y: Tensor = reshape(mean(large), [1, 1]);
      for (let i = 0; i < 200; i++) y = matmul(y, y);
      return [div(sum(one, 0), reshape(y, [1]))];
    };
    const lowered = lower(build as never, [[64, 64]]);
    expectWellFormed(lowered);
    expectSameBits(lowered);
  });
});
