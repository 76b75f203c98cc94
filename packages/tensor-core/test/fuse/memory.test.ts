/** The fusion pass never raises the peak, and says how far it goes for that. */
import { describe, expect, it } from 'vitest';
import { fuseProgram } from '../../src/fuse/fuse.js';
import { scalarOps } from '../../src/fuse/scalar-ops.js';
import {
  type Op,
  type Tensor,
  add,
  concat,
  exp,
  matmul,
  mul,
  neg,
  sub,
  sum,
  tanh,
  transpose,
} from '../../src/index.js';
import type { PlanStep, Program } from '../../src/plan/program.js';
import { storageOf } from '../../src/plan/storage.js';
import { expectSameBits, expectWellFormed, lower, onlyPrimitives, peakBytesOf, texts } from './support.js';

describe('memory', () => {
  it('does not grow because large operands are kept for a small result', () => {
    // Each long row is read once, early; its short sum is needed at the end.
    const build = (...inputs: Tensor[]): readonly Tensor[] => {
      const sums = inputs.map((x) => sum(mul(matmul(x, x), 2)));
      return [sums.reduce((total, one) => add(total, one))];
    };
    const lowered = lower(
      build,
      Array.from({ length: 6 }, () => [32, 32]),
    );
    expectWellFormed(lowered);
    expect(peakBytesOf(lowered.fused)).toBeLessThanOrEqual(2 * 32 * 32 * 4 + 64);
  });

  it('is left to pieces that are written where a concatenation wants them', () => {
    const lowered = lower(
      (a, b) => {
        const y = exp(a!);
        return [concat([tanh(add(y, 1)), neg(tanh(b!))], 0), y];
      },
      [
        [8, 8],
        [8, 8],
      ],
    );
    expect(texts(lowered.fused)).toEqual(['t1 = exp(a); t1, t1 + 1', 'tanh', '-tanh(a)', 'concat']);
    expectWellFormed(lowered);
    expectSameBits(lowered);
    const joined = lowered.fused.steps.at(-1)!;
    const storage = storageOf(lowered.fused);
    for (const piece of joined.inputs) expect(storage[piece]!.owner).toBe(joined.outputs[0]);
  });

  it('shrinks where intermediates are never stored', () => {
    const { program, fused } = lower((x) => [tanh(add(mul(exp(x!), 2), 1))], [[1000]]);
    expect(peakBytesOf(program)).toBe(8004);
    expect(peakBytesOf(fused)).toBe(4000);
  });

  it('holds two operands back for a near reader, and not for a far one', () => {
    const distant = (steps: number): string[] => {
      const build = (x: Tensor, s: Tensor): readonly Tensor[] => {
        const [a, b] = [matmul(x, x), matmul(x, transpose(x))];
        const sums = add(mul(a, b), sub(a, b));
        let y = s;
        for (let i = 0; i < steps; i++) y = matmul(y, y);
        return [mul(sums, y)];
      };
      const lowered = lower(build as never, [
        [32, 32],
        [1, 1],
      ]);
      expectWellFormed(lowered);
      expectSameBits(lowered);
      return texts(lowered.fused).filter((text) => text !== 'matmul' && text !== 'permute');
    };
    expect(distant(2)).toEqual(['(a * b + (a - b)) * c']);
    expect(distant(200)).toEqual(['a * b + (a - b)', 'mul']);
  });

  it('counts results that nobody reads', () => {
    const [small, large] = [[], [1000]];
    const black = (name: string, ...shapes: readonly (readonly number[])[]): Op => ({
      name,
      infer: () => shapes.map((shape) => ({ shape, dtype: 'f32' })),
    });
    const step = (op: Op, inputs: number[], outputs: number[], attributes: object = {}): PlanStep => ({
      op,
      inputs,
      outputs,
      attributes,
    });
    const scalar = (name: string): Op => scalarOps().get(name)!;
    const shapes = [large, large, large, large, small, large, large];
    const program: Program = {
      values: [...shapes.map((shape) => ({ shape, dtype: 'f32' as const })), { shape: large, dtype: 'bool' }],
      inputs: [0],
      steps: [
        step(black('first', large), [0], [1]),
        step(black('second', large), [0], [2]),
        step(scalar('add'), [1, 2], [3]),
        // The large result is gone at once, but it is there while this step runs.
        step(black('both', small, large), [0], [4, 5]),
        step(scalar('mul'), [3, 4], [6]),
        step(scalar('cast'), [6], [7], { dtype: 'bool' }),
      ],
      outputs: [7],
    };
    const fused = fuseProgram(program, { supports: onlyPrimitives });
    expect(peakBytesOf(fused)).toBe(peakBytesOf(program));
    expect(texts(fused)).toEqual(['first', 'second', 'add', 'both', 'bool(a * b)']);
  });
});
