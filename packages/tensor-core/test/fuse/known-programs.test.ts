/** The fusion pass on programs where the result is known. */
import { describe, expect, it } from 'vitest';
import type { FusedExpression } from '../../src/fuse/expression.js';
import { fuseProgram } from '../../src/fuse/fuse.js';
import {
  type Op,
  type Tensor,
  abs,
  adamwStep,
  add,
  broadcastTo,
  cast,
  checkpoint,
  exp,
  gelu,
  grad,
  matmul,
  max,
  mean,
  mul,
  neg,
  opTable,
  rmsNorm,
  silu,
  softmax,
  sqrt,
  sum,
  tanh,
  transpose,
} from '../../src/index.js';
import type { PlanStep, Program } from '../../src/plan/program.js';
import { expectSameBits, expectWellFormed, lower, onlyPrimitives, texts, valuesFor } from './support.js';

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
    example(
      (gate, up) => [mul(silu(gate!), up!)],
      [
        [4, 6],
        [4, 6],
      ],
      ['a * sigmoid(a) * b'],
    );
  });

  it('gelu is one step', () => {
    example((x) => [gelu(x!)], [[4, 6]], ['a * 0.5 * (erf(a * 0.7071068) + 1)']);
  });

  it('rms normalisation is two steps and the view that the gradient reads', () => {
    example(
      (x, w) => [rmsNorm(x!, w!, 0.5)],
      [[4, 8], [8]],
      ['a * a -> sum over axis 1 -> rsqrt(r / 8 + 0.5)', 'a * b * c'],
    );
  });

  it('softmax is three steps: the sum is taken where the exponentials are made', () => {
    const { fused } = lower((x) => [softmax(x!)], [[4, 8]]);
    expect(fused.steps).toHaveLength(3);
    expect(texts(fused)[1]).toMatch(/^t1 = exp\(a - b\); t1; t1 -> sum over axis 1 -> select\(.*\)$/);
  });

  it('AdamW is at most one step per result', () => {
    const attributes = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 };
    const build = (...[p, g, m, v, rates]: Tensor[]): readonly Tensor[] =>
      adamwStep(p!, g!, m!, v!, rates!, attributes);
    const lowered = lower(build, [[50, 4], [50, 4], [50, 4], [50, 4], [3]]);
    const names = lowered.fused.steps.map(({ op }) => op.name).filter((name) => name !== 'slice' && name !== 'reshape');
    expect(new Set(names)).toEqual(new Set(['fusedExpression']));
    expect(names.length).toBeLessThanOrEqual(3);
    expectWellFormed(lowered);
    expectSameBits(
      lowered,
      valuesFor(lowered.program).map((value) => ({ ...value, data: value.data.map(Math.abs) })),
    );
  });

  it('a mean square is one step, over any axes', () => {
    example((x) => [mean(mul(x!, x!), [0, 2])], [[3, 4, 5]], ['a * a -> sum over axes 0, 2 -> r / 15']);
  });

  it('a mask that is stretched is read where it is', () => {
    example(
      (x, mask) => [add(tanh(x!), broadcastTo(mul(mask!, 2), [3, 4]))],
      [
        [3, 4],
        [1, 4],
      ],
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
    const lowered = lower(
      (x) => {
        const y = exp(x!);
        return [add(y, matmul(y, y))];
      },
      [[4, 4]],
    );
    expect(texts(lowered.fused)).toEqual(['exp', 'matmul', 'add']);
    expectSameBits(lowered);
  });

  it('a diamond through a step that is not fusible, when its other side is fusible', () => {
    const lowered = lower(
      (x) => {
        const y = exp(x!);
        return [add(tanh(y), neg(transpose(neg(y))))];
      },
      [[4, 4]],
    );
    expect(lowered.fused.steps.map(({ op }) => op.name)).toContain('permute');
    expectWellFormed(lowered);
    expectSameBits(lowered);
  });

  it('but not the two sides of a diamond inside', () => {
    const lowered = lower(
      (x) => {
        const y = exp(x!);
        return [add(tanh(y), neg(y))];
      },
      [[4, 4]],
    );
    expect(texts(lowered.fused)).toEqual(['t1 = exp(a); tanh(t1) + -t1']);
  });

  it('forward work and recomputed work', () => {
    const step = (op: Op, input: number, output: number, recomputed: boolean): PlanStep => ({
      op,
      inputs: [input],
      outputs: [output],
      attributes: {},
      recomputed,
    });
    const [exp_, neg_, tanh_] = ['exp', 'neg', 'tanh'].map((name) => opTable.get(name)!) as [Op, Op, Op];
    const program: Program = {
      values: Array.from({ length: 5 }, () => ({ shape: [4], dtype: 'f32' })),
      inputs: [0],
      steps: [step(exp_, 0, 1, false), step(neg_, 1, 2, true), step(tanh_, 2, 3, true), step(exp_, 3, 4, false)],
      outputs: [4],
    };
    const fused = fuseProgram(program, { supports: onlyPrimitives });
    expect(texts(fused)).toEqual(['exp', 'tanh(-a)', 'exp']);
    expect(fused.steps.map(({ recomputed }) => recomputed)).toEqual([false, true, false]);
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
    const lowered = lower(
      (...inputs) => [inputs.reduce((total, x) => add(total, mul(x, x)))],
      Array.from({ length: 12 }, () => [6]),
    );
    expectWellFormed(lowered);
    expectSameBits(lowered);
    expect(lowered.fused.steps.length).toBeLessThan(5);
  });

  it('two reductions', () => {
    const lowered = lower((x) => [max(sum(mul(x!, x!), 1))], [[3, 4]]);
    expect(texts(lowered.fused)).toEqual(['a * a -> sum over axis 1', 'max']);
  });

  it('what the device refuses', () => {
    const { fused } = lower(
      (x) => [sum(exp(mul(x!, 2)))],
      [[4]],
      (op, inputs, attributes) =>
        onlyPrimitives(op, inputs, attributes) && (attributes as Partial<FusedExpression>).reduction === undefined,
    );
    expect(texts(fused)).toEqual(['exp(a * 2)', 'sum']);
  });
});
