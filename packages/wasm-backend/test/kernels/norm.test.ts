import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, expectClose, matrixShape, rowsOf, SEED, sum, TIERS, values } from './support.js';

/** Also rows enough for several blocks of sums. */
const shapes = fc.oneof(
  { weight: 9, arbitrary: matrixShape },
  {
    weight: 1,
    arbitrary: fc.record({
      rows: fc.integer({ min: 500, max: 3000 }),
      columns: fc.constantFrom(63, 64, 100),
      seed: fc.nat(1e6),
      scale: fc.constant(1),
    }),
  },
);

const SUM = { absolute: 1e-6, relative: 2e-6 };

describe.each(TIERS)('normalisation, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test('rmsNorm and its gradients equal the formulas', () => {
    fc.assert(
      fc.property(shapes, fc.boolean(), ({ rows, columns, seed, scale }, inPlace) => {
        if (columns === 0) return;
        const [x, weight, dy] = [
          values(seed, rows * columns, scale),
          values(seed + 1, columns),
          values(seed + 2, rows * columns),
        ];
        const epsilon = 1e-6;
        arena.reset();
        const at = { x: arena.f32(x), weight: arena.f32(weight), dy: arena.f32(dy), dweight: arena.output(columns) };
        const [y, rstd] = [arena.output(rows * columns), arena.output(rows)];
        const dx = inPlace ? at.dy : arena.output(rows * columns);
        const scratch = arena.bytes(kernels.rmsNormBackwardScratchBytes(rows, columns));
        kernels.rmsNorm({ x: at.x, weight: at.weight, y, rstd, rows, columns, epsilon });
        kernels.rmsNormBackward({
          x: at.x,
          weight: at.weight,
          rstd,
          dy: at.dy,
          dx,
          dweight: { pointer: at.dweight, scratch },
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
        const expectedDw = w.map((_, c) =>
          sum(xs.map((row, i) => (row[c] as number) * (r[i] as number) * ((flows[i] as number[])[c] as number))),
        );
        expectClose(arena, rstd, r, { absolute: 0, relative: 1e-6 });
        expectClose(arena, y, expectedY, SUM);
        // The gradient is a difference of terms of size r.
        expectClose(arena, dx, expectedDx, { absolute: 3e-6 * Math.max(1, ...r), relative: 2e-6 });
        expectClose(arena, at.dweight, expectedDw, { absolute: 2e-6 * (5 + rows), relative: 2e-6 });
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
    const scratch = arena.bytes(kernels.rmsNormBackwardScratchBytes(rows, columns));
    kernels.rmsNormBackward({ ...shared, dx: other, dweight: { pointer: arena.output(columns), scratch } });
    arena.checkGuards();
    expect(arena.read(dx, rows * columns)).toEqual(arena.read(other, rows * columns));
  });

  test('layerNorm and its gradients equal the formulas, also far from zero', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.constantFrom(0, 100),
        fc.constantFrom('apart', 'x', 'dy'),
        ({ rows, columns, seed, scale }, shift, where) => {
          if (columns === 0) return;
          const x = values(seed, rows * columns, scale).map((v) => v + shift);
          const dy = values(seed + 3, rows * columns);
          const [weight, bias] = [values(seed + 1, columns), values(seed + 2, columns)];
          const epsilon = 1e-5;
          arena.reset();
          const y = arena.output(rows * columns);
          const at = { x: arena.f32(x), weight: arena.f32(weight), dy: arena.f32(dy) };
          const [dweight, dbias] = [arena.output(columns), arena.output(columns)];
          const dx = where === 'apart' ? arena.output(rows * columns) : at[where];
          const scratch = arena.bytes(kernels.layerNormBackwardScratchBytes(rows, columns));
          kernels.layerNorm({ x: at.x, weight: at.weight, bias: arena.f32(bias), y, rows, columns, epsilon });
          kernels.layerNormBackward({ ...at, dx, dweight, dbias, rows, columns, epsilon, scratch });
          arena.checkGuards();
          const flows = rowsOf(dy, rows, columns);
          let largest = 1;
          const normal = rowsOf(x, rows, columns).map((row) => {
            const mu = sum(row) / columns;
            const r = 1 / Math.sqrt(sum(row.map((v) => (v - mu) ** 2)) / columns + epsilon);
            largest = Math.max(largest, r * (Math.abs(mu) + scale));
            return { r, n: row.map((v) => (v - mu) * r) };
          });
          const expectedY = normal.flatMap(({ n }) => n.map((v, c) => v * weight[c]! + bias[c]!));
          const expectedDx = normal.flatMap(({ r, n }, i) => {
            const g = flows[i]!.map((flow, c) => flow * weight[c]!);
            const [mean, projection] = [sum(g) / columns, sum(g.map((v, c) => v * n[c]!)) / columns];
            return g.map((v, c) => r * (v - mean - n[c]! * projection));
          });
          const perColumn = (of: (row: number, c: number) => number): number[] =>
            Array.from({ length: columns }, (_, c) => sum(normal.map((_row, i) => of(i, c))));
          // Subtracting the mean loses the bits in which x and mu agree.
          const lost = 1e-6 + 3e-7 * largest;
          const steepest = Math.max(1, ...normal.map(({ r }) => r));
          expectClose(arena, y, expectedY, { absolute: lost, relative: 2e-6 });
          expectClose(arena, dx, expectedDx, { absolute: 4 * steepest * lost, relative: 4e-6 });
          const dw = perColumn((i, c) => flows[i]![c]! * normal[i]!.n[c]!);
          expectClose(arena, dweight, dw, { absolute: (5 + rows) * lost, relative: 2e-6 });
          const db = perColumn((i, c) => flows[i]![c]!);
          expectClose(arena, dbias, db, { absolute: 1e-6 * (5 + rows), relative: 2e-6 });
        },
      ),
      { seed: SEED, numRuns: 80 },
    );
  });
});
