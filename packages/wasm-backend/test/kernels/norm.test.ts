import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, expectClose, matrixShape, rowsOf, SEED, sum, TIERS, values } from './support.js';

const SUM = { absolute: 1e-6, relative: 2e-6 };

describe.each(TIERS)('normalisation, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('rmsNorm and its gradients equal the formulas', () => {
    fc.assert(
      fc.property(matrixShape, fc.boolean(), ({ rows, columns, seed, scale }, inPlace) => {
        if (columns === 0) return;
        const [x, weight, dy] = [
          values(seed, rows * columns, scale),
          values(seed + 1, columns),
          values(seed + 2, rows * columns),
        ];
        const before = values(seed + 3, columns);
        const epsilon = 1e-6;
        arena.reset();
        const at = { x: arena.f32(x), weight: arena.f32(weight), dy: arena.f32(dy), dweight: arena.f32(before) };
        const [y, rstd] = [arena.output(rows * columns), arena.output(rows)];
        const dx = inPlace ? at.dy : arena.output(rows * columns);
        kernels.rmsNorm({ x: at.x, weight: at.weight, y, rstd, rows, columns, epsilon });
        kernels.rmsNormBackward({
          x: at.x,
          weight: at.weight,
          rstd,
          dy: at.dy,
          dx,
          dweight: at.dweight,
          rows,
          columns,
        });
        arena.checkGuards();
        const xs = rowsOf(x, rows, columns);
        const flows = rowsOf(dy, rows, columns);
        const r = xs.map((row) => 1 / Math.sqrt(sum(row.map((v) => v * v)) / columns + epsilon));
        const w = [...weight];
        const expectedY = xs.flatMap((row, i) => row.map((v, c) => v * (r[i] as number) * (w[c] as number)));
        const expectedDx = xs.flatMap((row, i) => {
          const flow = flows[i] as number[];
          const ri = r[i] as number;
          const projection = (sum(row.map((v, c) => v * (flow[c] as number) * (w[c] as number))) * ri * ri) / columns;
          return row.map((v, c) => ri * ((flow[c] as number) * (w[c] as number) - v * projection));
        });
        const expectedDw = w.map(
          (_, c) =>
            (before[c] as number) +
            sum(xs.map((row, i) => (row[c] as number) * (r[i] as number) * ((flows[i] as number[])[c] as number))),
        );
        expectClose(arena, rstd, r, { absolute: 0, relative: 1e-6 });
        expectClose(arena, y, expectedY, SUM);
        // The gradient is a difference of terms of size r.
        expectClose(arena, dx, expectedDx, { absolute: 3e-6 * Math.max(1, ...r), relative: 2e-6 });
        expectClose(arena, at.dweight, expectedDw, { absolute: 1e-5, relative: 2e-6 });
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('rmsNormBackward without a weight gradient gives the same dx', () => {
    const [rows, columns] = [5, 23];
    arena.reset();
    const base = { x: arena.f32(values(1, rows * columns)), weight: arena.f32(values(2, columns)), rows, columns };
    const shared = { ...base, rstd: arena.f32(values(3, rows)), dy: arena.f32(values(4, rows * columns)) };
    const [dx, other] = [arena.output(rows * columns), arena.output(rows * columns)];
    kernels.rmsNormBackward({ ...shared, dx });
    kernels.rmsNormBackward({ ...shared, dx: other, dweight: arena.output(columns) });
    arena.checkGuards();
    expect(arena.read(dx, rows * columns)).toEqual(arena.read(other, rows * columns));
  });

  test('layerNorm equals the formula, also far from zero', () => {
    fc.assert(
      fc.property(matrixShape, fc.constantFrom(0, 100), ({ rows, columns, seed, scale }, shift) => {
        if (columns === 0) return;
        const x = values(seed, rows * columns, scale).map((v) => v + shift);
        const [weight, bias] = [values(seed + 1, columns), values(seed + 2, columns)];
        arena.reset();
        const y = arena.output(rows * columns);
        const offsets = { x: arena.f32(x), weight: arena.f32(weight), bias: arena.f32(bias) };
        kernels.layerNorm({ ...offsets, y, rows, columns, epsilon: 1e-5 });
        arena.checkGuards();
        let largest = 0;
        const expected = rowsOf(x, rows, columns).flatMap((row) => {
          const mu = sum(row) / columns;
          const r = 1 / Math.sqrt(sum(row.map((v) => (v - mu) ** 2)) / columns + 1e-5);
          largest = Math.max(largest, r * (Math.abs(mu) + scale));
          return row.map((v, c) => (v - mu) * r * (weight[c] as number) + (bias[c] as number));
        });
        // Subtracting the mean loses the bits in which x and mu agree.
        expectClose(arena, y, expected, { absolute: 1e-6 + 3e-7 * largest, relative: 2e-6 });
      }),
      { seed: SEED, numRuns: 80 },
    );
  });
});
