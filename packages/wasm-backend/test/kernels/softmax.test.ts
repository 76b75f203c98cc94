import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, expectClose, matrixShape, rowsOf, SEED, sum, TIERS, values } from './support.js';

const softmaxOf = (row: readonly number[]): number[] => {
  const maximum = Math.max(...row);
  if (maximum === -Infinity) return row.map(() => 0);
  const weights = row.map((x) => Math.exp(x - maximum));
  return weights.map((w) => w / sum(weights));
};

const logSumExpOf = (row: readonly number[]): number => {
  const maximum = Math.max(...row);
  return Number.isFinite(maximum) ? maximum + Math.log(sum(row.map((x) => Math.exp(x - maximum)))) : maximum;
};

describe.each(TIERS)('softmax and cross entropy, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('softmax, its gradient and logSumExp equal the formulas, in place too', () => {
    fc.assert(
      fc.property(matrixShape, ({ rows, columns, seed, scale }) => {
        const [x, dy] = [values(seed, rows * columns, scale), values(seed + 1, rows * columns)];
        arena.reset();
        const input = arena.f32(x);
        const flow = arena.f32(dy);
        const [y, dx, lse] = [arena.output(rows * columns), arena.output(rows * columns), arena.output(rows)];
        kernels.softmax(y, input, rows, columns);
        kernels.softmaxBackward(dx, y, flow, rows, columns);
        kernels.logSumExp(lse, input, rows, columns);
        kernels.softmax(input, input, rows, columns);
        kernels.softmaxBackward(flow, y, flow, rows, columns);
        arena.checkGuards();
        const expected = rowsOf(x, rows, columns).map(softmaxOf);
        const flows = rowsOf(dy, rows, columns);
        expectClose(arena, y, expected.flat(), { absolute: 1e-38, relative: 5e-6 });
        expectClose(arena, lse, rowsOf(x, rows, columns).map(logSumExpOf), { absolute: 1e-6, relative: 5e-7 });
        const gradient = expected.flatMap((row, i) => {
          const mean = sum(row.map((p, c) => p * ((flows[i] as number[])[c] as number)));
          return row.map((p, c) => p * (((flows[i] as number[])[c] as number) - mean));
        });
        expectClose(arena, dx, gradient, { absolute: 1e-6, relative: 5e-6 });
        expect(arena.read(input, x.length)).toEqual(arena.read(y, x.length));
        expect(arena.read(flow, x.length)).toEqual(arena.read(dx, x.length));
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('softmax of rows with infinities, NaN and huge values', () => {
    const rows = [
      [-Infinity, -Infinity, -Infinity, -Infinity, -Infinity],
      [-Infinity, 2, -Infinity, 2, -Infinity],
      [1e30, -1e30, 0, 1e30, 3],
      [Number.NaN, 1, 2, 3, 4],
      [1, 2, 3, 4, Number.NaN],
      [1, Infinity, 3, 4, 5],
    ];
    arena.reset();
    const x = arena.f32(rows.flat());
    const [y, lse] = [arena.output(30), arena.output(6)];
    kernels.softmax(y, x, 6, 5);
    kernels.logSumExp(lse, x, 6, 5);
    const results = rowsOf(arena.read(y, 30), 6, 5);
    expect(results[0]).toEqual([0, 0, 0, 0, 0]);
    expect(results[1]).toEqual([0, 0.5, 0, 0.5, 0]);
    expect(results[2]).toEqual([0.5, 0, 0, 0.5, 0]);
    for (const row of results.slice(3, 5)) expect(row.every(Number.isNaN)).toBe(true);
    expect(results[5]?.some(Number.isNaN)).toBe(true);
    const log = [...arena.read(lse, 6)];
    expect(log[0]).toBe(-Infinity);
    expect(log[1]).toBeCloseTo(2 + Math.LN2, 6);
    expect(log[2]).toBe(Math.fround(1e30));
    expect([log[3], log[4]]).toEqual([Number.NaN, Number.NaN]);
    expect(log[5]).toBe(Infinity);
  });

  test('softmaxCrossEntropy and its gradient equal the formulas; -100 is ignored', () => {
    fc.assert(
      fc.property(matrixShape, fc.boolean(), ({ rows, columns: classes, seed, scale }, inPlace) => {
        if (classes === 0) return;
        const [logits, dloss] = [values(seed, rows * classes, scale), values(seed + 1, rows)];
        const labels = Int32Array.from(values(seed + 2, rows), (v, i) =>
          i % 4 === 3 ? -100 : Math.floor(((v + 1) / 2) * classes),
        );
        arena.reset();
        const at = { logits: arena.f32(logits), labels: arena.u8(new Uint8Array(labels.buffer)), rows, classes };
        const loss = arena.output(rows);
        kernels.softmaxCrossEntropy({ ...at, loss });
        const dlogits = inPlace ? at.logits : arena.output(rows * classes);
        kernels.softmaxCrossEntropyBackward({ ...at, dloss: arena.f32(dloss), dlogits });
        arena.checkGuards();
        const xs = rowsOf(logits, rows, classes);
        const expectedLoss = xs.map((row, i) => {
          const label = labels[i] as number;
          return label < 0 ? 0 : logSumExpOf(row) - (row[label] as number);
        });
        const expectedGradient = xs.flatMap((row, i) => {
          const label = labels[i] as number;
          const p = softmaxOf(row);
          return row.map((_, c) => (label < 0 ? 0 : ((p[c] as number) - (c === label ? 1 : 0)) * (dloss[i] as number)));
        });
        expectClose(arena, loss, expectedLoss, { absolute: 5e-7 * (1 + scale), relative: 1e-6 });
        expectClose(arena, dlogits, expectedGradient, { absolute: 1e-6, relative: 5e-6 });
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('a label that is no class is an error, not a wild write', () => {
    arena.reset();
    const logits = arena.f32(values(1, 8));
    const labels = arena.u8(new Uint8Array(Int32Array.from([3, 4]).buffer));
    const operands = { logits, labels, rows: 2, classes: 4 };
    expect(() => kernels.softmaxCrossEntropy({ ...operands, loss: arena.output(2) })).toThrow(/label 4 of row 1/);
    expect(() =>
      kernels.softmaxCrossEntropyBackward({ ...operands, dloss: arena.output(2), dlogits: arena.output(8) }),
    ).toThrow(/label 4 of row 1/);
  });

  test('a negative size is an error that names it', () => {
    expect(() => kernels.softmax(0, 0, -1, 4)).toThrow(/softmax rows is -1/);
  });
});
