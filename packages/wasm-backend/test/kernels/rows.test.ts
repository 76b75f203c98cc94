import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaFor, SEED, size, TIERS, values, valueSeed, worstError } from './support.js';

const shape = fc.record({ rows: size(9), columns: size(70), seed: valueSeed, scale: fc.constantFrom(1e-3, 1, 30) });

/** Rows of a flat matrix. */
function rowsOf(matrix: ArrayLike<number>, rows: number, columns: number): number[][] {
  return Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_unused, c) => matrix[r * columns + c] as number));
}

const sum = (terms: readonly number[]): number => terms.reduce((a, b) => a + b, 0);

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

const SUM = { absolute: 1e-6, relative: 2e-6 };

describe.each(TIERS)('row kernels, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;
  const close = (offset: number, expected: readonly number[], tolerance: { absolute: number; relative: number }): void => {
    expect(worstError(arena.read(offset, expected.length), expected, tolerance)).toBeLessThanOrEqual(1);
  };

  test('rmsNorm and its gradients equal the formulas', () => {
    fc.assert(
      fc.property(shape, fc.boolean(), ({ rows, columns, seed, scale }, inPlace) => {
        if (columns === 0) return;
        const [x, weight, dy] = [values(seed, rows * columns, scale), values(seed + 1, columns), values(seed + 2, rows * columns)];
        const before = values(seed + 3, columns);
        const epsilon = 1e-6;
        arena.reset();
        const at = { x: arena.f32(x), weight: arena.f32(weight), dy: arena.f32(dy), dweight: arena.f32(before) };
        const [y, rstd] = [arena.output(rows * columns), arena.output(rows)];
        const dx = inPlace ? at.dy : arena.output(rows * columns);
        kernels.rmsNorm({ x: at.x, weight: at.weight, y, rstd, rows, columns, epsilon });
        kernels.rmsNormBackward({ x: at.x, weight: at.weight, rstd, dy: at.dy, dx, dweight: at.dweight, rows, columns });
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
          (_, c) => (before[c] as number) + sum(xs.map((row, i) => (row[c] as number) * (r[i] as number) * ((flows[i] as number[])[c] as number))),
        );
        close(rstd, r, { absolute: 0, relative: 1e-6 });
        close(y, expectedY, SUM);
        // The gradient is a difference of terms of size r.
        close(dx, expectedDx, { absolute: 3e-6 * Math.max(1, ...r), relative: 2e-6 });
        close(at.dweight, expectedDw, { absolute: 1e-5, relative: 2e-6 });
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
      fc.property(shape, fc.constantFrom(0, 100), ({ rows, columns, seed, scale }, shift) => {
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
        close(y, expected, { absolute: 1e-6 + 3e-7 * largest, relative: 2e-6 });
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('softmax, its gradient and logSumExp equal the formulas, in place too', () => {
    fc.assert(
      fc.property(shape, ({ rows, columns, seed, scale }) => {
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
        close(y, expected.flat(), { absolute: 1e-38, relative: 5e-6 });
        close(lse, rowsOf(x, rows, columns).map(logSumExpOf), { absolute: 1e-6, relative: 5e-7 });
        const gradient = expected.flatMap((row, i) => {
          const mean = sum(row.map((p, c) => p * ((flows[i] as number[])[c] as number)));
          return row.map((p, c) => p * (((flows[i] as number[])[c] as number) - mean));
        });
        close(dx, gradient, { absolute: 1e-6, relative: 5e-6 });
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
      fc.property(shape, fc.boolean(), ({ rows, columns: classes, seed, scale }, inPlace) => {
        if (classes === 0) return;
        const [logits, dloss] = [values(seed, rows * classes, scale), values(seed + 1, rows)];
        const labels = Int32Array.from(values(seed + 2, rows), (v, i) => (i % 4 === 3 ? -100 : Math.floor(((v + 1) / 2) * classes)));
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
        close(loss, expectedLoss, { absolute: 5e-7 * (1 + scale), relative: 1e-6 });
        close(dlogits, expectedGradient, { absolute: 1e-6, relative: 5e-6 });
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

  test('rope rotates pairs, its gradient rotates back, tables may be full width', () => {
    const sizes = fc.record({ heads: fc.integer({ min: 0, max: 3 }), rows: size(6), half: size(21), seed: valueSeed });
    fc.assert(
      fc.property(sizes, fc.boolean(), ({ heads, rows, half, seed }, fullTables) => {
        const width = 2 * half;
        const x = values(seed, heads * rows * width);
        const angles = values(seed + 1, rows * half, 10);
        const stride = fullTables ? width : half;
        const table = (of: (angle: number) => number): Float32Array =>
          Float32Array.from({ length: rows * stride }, (_, i) => of(angles[Math.floor(i / stride) * half + ((i % stride) % Math.max(half, 1))] as number));
        const [cosTable, sinTable] = [table(Math.cos), table(Math.sin)];
        arena.reset();
        const [input, y, back] = [arena.f32(x), arena.output(x.length), arena.output(x.length)];
        const tables = { cos: arena.f32(cosTable), sin: arena.f32(sinTable), ...(fullTables && { tableStride: width }) };
        kernels.rope({ x: input, y, ...tables, heads, rows, width });
        kernels.ropeBackward({ x: y, y: back, ...tables, heads, rows, width });
        kernels.rope({ x: input, y: input, ...tables, heads, rows, width });
        arena.checkGuards();
        const expected = Array.from(x, (v, i) => {
          const column = i % width;
          const row = Math.floor(i / width) % rows;
          const entry = row * stride + (column % half);
          const partner = (column < half ? -1 : 1) * (x[column < half ? i + half : i - half] as number);
          return v * (cosTable[entry] as number) + partner * (sinTable[entry] as number);
        });
        close(y, expected, { absolute: 3e-7, relative: 0 });
        close(back, [...x], { absolute: 6e-7, relative: 0 });
        expect(arena.read(input, x.length)).toEqual(arena.read(y, x.length));
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('reductions and the row broadcast', () => {
    fc.assert(
      fc.property(shape, ({ rows, columns, seed, scale }) => {
        const [x, vector, before] = [values(seed, rows * columns, scale), values(seed + 1, columns), values(seed + 2, columns)];
        arena.reset();
        const [input, v] = [arena.f32(x), arena.f32(vector)];
        const [sums, columnSums, added] = [arena.output(rows), arena.f32(before), arena.output(x.length)];
        const squares = kernels.sumOfSquares(input, x.length);
        kernels.sumRows(sums, input, rows, columns);
        kernels.addColumnSums(columnSums, input, rows, columns);
        kernels.addRowVector(added, input, v, rows, columns);
        arena.checkGuards();
        const xs = rowsOf(x, rows, columns);
        expect(squares).toBeCloseTo(sum(Array.from(x, (e) => e * e)), 9 - Math.ceil(2 * Math.log10(scale)));
        const tolerance = { absolute: 2e-6 * scale + 1e-6, relative: 1e-6 };
        close(sums, xs.map(sum), tolerance);
        close(columnSums, [...before].map((b, c) => b + sum(xs.map((row) => row[c] as number))), tolerance);
        expect(arena.read(added, x.length)).toEqual(x.map((e, i) => e + (vector[i % columns] as number)));
      }),
      { seed: SEED, numRuns: 80 },
    );
  });

  test('sumOfSquares of a million large and small values keeps double precision', () => {
    const count = 1_000_000;
    arena.reset();
    const x = values(7, count, 1e15);
    expect(kernels.sumOfSquares(arena.f32(x), count) / sum(Array.from(x, (v) => v * v))).toBeCloseTo(1, 12);
  });

  test('empty and negative sizes: nothing, and an error that names the size', () => {
    expect(() => kernels.softmax(0, 0, -1, 4)).toThrow(/softmax rows is -1/);
    expect(() => kernels.rope({ x: 0, y: 0, cos: 0, sin: 0, heads: 1, rows: 1, width: 3 })).toThrow(/rope width \/ 2 is 1.5/);
    expect(kernels.sumOfSquares(0, 0)).toBe(0);
  });
});
