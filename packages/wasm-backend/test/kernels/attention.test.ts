import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUERY_BLOCK } from '../../src/kernels/attention-blocks.js';
import { arenaFor, SEED, size, TIERS, values, valueSeed, worstError } from './support.js';

interface Case {
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly padding: number;
  readonly masked: boolean;
  readonly seed: number;
}

interface Results {
  readonly y: number[];
  readonly lse: number[];
  readonly dq: number[];
  readonly dk: number[];
  readonly dv: number[];
}

const FORWARD = { absolute: 2e-6, relative: 3e-6 };
const BACKWARD = { absolute: 2e-5, relative: 1e-5 };

/** Simple loops in double precision, everything [rows, width] contiguous. */
function reference(
  inputs: Record<'q' | 'k' | 'v' | 'dy', number[][]>,
  width: number,
  scale: number,
  allow: (q: number, k: number) => boolean,
): Results {
  const { q, k, v, dy } = inputs;
  const zeros = (rows: number): number[][] =>
    Array.from({ length: rows }, () => Array.from({ length: width }, () => 0));
  const dot = (a: number[], b: number[]): number => a.reduce((total, x, i) => total + x * (b[i] as number), 0);
  const [y, dq, dk, dv] = [zeros(q.length), zeros(q.length), zeros(k.length), zeros(k.length)];
  const addTo = (target: number[], factor: number, source: number[]): void =>
    source.forEach((x, d) => (target[d] = (target[d] as number) + factor * x));
  const lse = q.map((query, i) => {
    const scores = k.map((key, j) => (allow(i, j) ? scale * dot(query, key) : -Infinity));
    const maximum = Math.max(...scores);
    if (maximum === -Infinity) return Infinity;
    const normalizer = maximum + Math.log(scores.reduce((total, s) => total + Math.exp(s - maximum), 0));
    const weights = scores.map((s) => Math.exp(s - normalizer));
    const flow = dy[i] as number[];
    weights.forEach((weight, j) => addTo(y[i] as number[], weight, v[j] as number[]));
    const delta = dot(y[i] as number[], flow);
    weights.forEach((weight, j) => {
      const ds = weight * (dot(flow, v[j] as number[]) - delta) * scale;
      addTo(dv[j] as number[], weight, flow);
      addTo(dq[i] as number[], ds, k[j] as number[]);
      addTo(dk[j] as number[], ds, query);
    });
    return normalizer;
  });
  return { y: y.flat(), lse, dq: dq.flat(), dk: dk.flat(), dv: dv.flat() };
}

const cases = fc.record({
  queries: size(20),
  keys: size(20),
  width: size(20),
  padding: fc.constantFrom(0, 0, 5),
  masked: fc.boolean(),
  seed: valueSeed,
});

describe.each(TIERS)('attention, tier %s', (tier) => {
  const arena = arenaFor(tier);

  /** Runs both directions with rows `padding` elements apart and compares everything. */
  function check({ queries, keys, width, padding, masked, seed }: Case, magnitude = 2): void {
    const stride = width + padding;
    const scale = 1 / Math.sqrt(Math.max(width, 1));
    const matrix = (rows: number, key: number): Float32Array => values(seed + key, rows * stride, magnitude);
    const inputs = {
      q: matrix(queries, 0),
      k: matrix(keys, 1),
      v: matrix(keys, 2),
      dy: values(seed + 3, queries * stride),
    };
    // Every third query sees nothing at all.
    const mask = Uint8Array.from(values(seed + 4, queries * keys), (x, i) =>
      Math.floor(i / keys) % 3 === 2 || x < 0 ? 0 : 1 + (i % 200),
    );
    arena.reset();
    const offsets = Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, arena.f32(data)])) as Record<
      keyof typeof inputs,
      number
    >;
    const padded = (rows: number): number => arena.f32(new Float32Array(rows * stride));
    const [y, dq, dk, dv] = [padded(queries), padded(queries), padded(keys), padded(keys)];
    const lse = arena.output(queries);
    const scratch = arena.bytes(arena.kernels.attentionScratchBytes({ queries, keys, width }));
    const operands = {
      ...offsets,
      y,
      lse,
      queries,
      keys,
      width,
      scale,
      scratch,
      ...(masked && { mask: arena.u8(mask) }),
      rowStrideQ: stride,
      rowStrideK: stride,
      rowStrideY: stride,
    };
    arena.kernels.attention(operands);
    arena.kernels.attentionBackward({ ...operands, dq, dk, dv });
    arena.checkGuards();
    const rowsOf = (data: ArrayLike<number>, rows: number): number[][] =>
      Array.from({ length: rows }, (_, r) =>
        Array.from({ length: width }, (_unused, c) => data[r * stride + c] as number),
      );
    const unpadded = {
      q: rowsOf(inputs.q, queries),
      k: rowsOf(inputs.k, keys),
      v: rowsOf(inputs.v, keys),
      dy: rowsOf(inputs.dy, queries),
    };
    const expected = reference(unpadded, width, scale, (i, j) => !masked || mask[i * keys + j] !== 0);
    const actual = (offset: number, rows: number): number[] => rowsOf(arena.read(offset, rows * stride), rows).flat();
    expect(worstError(actual(y, queries), expected.y, FORWARD)).toBeLessThanOrEqual(1);
    expect(worstError(arena.read(lse, queries), expected.lse, FORWARD)).toBeLessThanOrEqual(1);
    expect(worstError(actual(dq, queries), expected.dq, BACKWARD)).toBeLessThanOrEqual(1);
    expect(worstError(actual(dk, keys), expected.dk, BACKWARD)).toBeLessThanOrEqual(1);
    expect(worstError(actual(dv, keys), expected.dv, BACKWARD)).toBeLessThanOrEqual(1);
    if (width > 0) {
      for (let i = 2; masked && i < queries; i += 3) {
        const ofRow = (offset: number): number[] => [...arena.read(offset + i * stride * 4, width)];
        expect([...ofRow(y), ...ofRow(dq)].every((x) => Math.abs(x) === 0)).toBe(true);
      }
    }
  }

  test('forward and backward equal the formulas', () => {
    fc.assert(
      fc.property(cases, (options) => check(options)),
      { seed: SEED, numRuns: 150 },
    );
  });

  test.each([true, false])('more queries than one block, masked %s', (masked) => {
    check({ queries: 259, keys: 70, width: 16, padding: 0, masked, seed: 5 });
  });

  test('runs of keys give the bits of the same mask over all keys, and never look outside the runs', () => {
    const [queries, keys, width] = [2 * QUERY_BLOCK + 10, 200, 8];
    // Runs of whole vectors keep every partial sum in its lane, so even the bits agree.
    const visible = [
      { runs: [{ first: 0, count: 64 }], masked: false },
      { runs: [], masked: false },
      {
        runs: [
          { first: 16, count: 48 },
          { first: 128, count: 72 },
        ],
        masked: true,
      },
    ];
    const rowsOf = (block: number): number => Math.min(QUERY_BLOCK, queries - block * QUERY_BLOCK);
    const isVisible = (block: number, key: number): boolean =>
      visible[block]!.runs.some(({ first, count }) => key >= first && key < first + count);
    const whole = new Uint8Array(queries * keys);
    const packed: number[] = [];
    const chance = values(9, queries * keys);
    for (const [block, { masked }] of visible.entries()) {
      for (let query = block * QUERY_BLOCK; query < block * QUERY_BLOCK + rowsOf(block); query++) {
        for (let key = 0; key < keys; key++) {
          if (!isVisible(block, key)) continue;
          const allowed = !masked || chance[query * keys + key]! > 0 ? 1 : 0;
          whole[query * keys + key] = allowed;
          if (masked) packed.push(allowed);
        }
      }
    }
    arena.reset();
    const [k, v] = [values(2, keys * width), values(3, keys * width)];
    const shared = {
      q: arena.f32(values(1, queries * width)),
      dy: arena.f32(values(4, queries * width)),
      queries,
      keys,
      width,
      scale: 0.5,
      scratch: arena.bytes(arena.kernels.attentionScratchBytes({ queries, keys, width })),
    };
    const run = (chosen: object, kAt: number, vAt: number): number[][] => {
      const y = arena.output(queries * width);
      const lse = arena.output(queries);
      const dq = arena.output(queries * width);
      const [dk, dv] = [arena.f32(new Float32Array(keys * width)), arena.f32(new Float32Array(keys * width))];
      const operands = { ...shared, ...chosen, k: kAt, v: vAt, y, lse };
      arena.kernels.attention(operands);
      arena.kernels.attentionBackward({ ...operands, dq, dk, dv });
      arena.checkGuards();
      const lengths = [
        [y, queries * width],
        [lse, queries],
        [dq, queries * width],
        [dk, keys * width],
        [dv, keys * width],
      ] as const;
      return lengths.map(([at, count]) => [...arena.read(at, count)].map((x) => x + 0));
    };
    const expected = run({ mask: arena.u8(whole) }, arena.f32(k), arena.f32(v));
    // Keys 64 to 127 are in no run: NaN there must not be met.
    for (const data of [k, v]) data.fill(Number.NaN, 64 * width, 128 * width);
    const actual = run({ mask: arena.u8(Uint8Array.from(packed)), visible }, arena.f32(k), arena.f32(v));
    expect(actual).toEqual(expected);
    expect(expected[1]!.slice(QUERY_BLOCK, 2 * QUERY_BLOCK).every((lse) => lse === Infinity)).toBe(true);
  });

  test.each([
    ['too few blocks', [], /0 blocks for 2 queries; give 1/],
    ['a run beyond the keys', [{ runs: [{ first: 1, count: 3 }], masked: false }], /runs must rise and end by 3/],
    [
      'runs that overlap',
      [
        {
          runs: [
            { first: 0, count: 2 },
            { first: 1, count: 1 },
          ],
          masked: false,
        },
      ],
      /runs must rise/,
    ],
    ['no bytes for a masked block', [{ runs: [{ first: 0, count: 3 }], masked: true }], /need its 6 bytes/],
  ])('visible keys that do not fit are an error: %s', (_what, visible, message) => {
    const operands = { q: 0, k: 0, v: 0, y: 0, lse: 0, queries: 2, keys: 3, width: 4, scale: 1, scratch: 4096 };
    expect(() => arena.kernels.attention({ ...operands, visible })).toThrow(message);
  });

  test('scores in the hundreds stay finite', () => {
    check({ queries: 7, keys: 9, width: 16, padding: 0, masked: true, seed: 6 }, 12);
  });

  test('masked-out keys cannot leak: their values may be NaN or infinite only if nobody sees them', () => {
    const [queries, keys, width] = [3, 5, 4];
    arena.reset();
    const k = values(1, keys * width);
    k.fill(Infinity, width, 2 * width);
    const mask = Uint8Array.from({ length: queries * keys }, (_, i) => (i % keys === 1 ? 0 : 1));
    const y = arena.output(queries * width);
    arena.kernels.attention({
      q: arena.f32(values(2, queries * width)),
      k: arena.f32(k),
      v: arena.f32(values(3, keys * width)),
      y,
      lse: arena.output(queries),
      queries,
      keys,
      width,
      scale: 1,
      mask: arena.u8(mask),
      scratch: arena.bytes(arena.kernels.attentionScratchBytes({ queries, keys, width })),
    });
    expect(arena.read(y, queries * width).every(Number.isFinite)).toBe(true);
  });

  test('the gradients of keys and values are added to what is there', () => {
    const [queries, keys, width] = [6, 7, 8];
    arena.reset();
    const shared = {
      q: arena.f32(values(1, queries * width)),
      k: arena.f32(values(2, keys * width)),
      v: arena.f32(values(3, keys * width)),
      y: arena.output(queries * width),
      lse: arena.output(queries),
      dy: arena.f32(values(4, queries * width)),
      queries,
      keys,
      width,
      scale: 0.5,
      scratch: arena.bytes(arena.kernels.attentionScratchBytes({ queries, keys, width })),
      dq: arena.output(queries * width),
    };
    const [once, twice] = [arena.f32(new Float32Array(keys * width)), arena.f32(new Float32Array(keys * width))];
    const dv = arena.f32(new Float32Array(keys * width));
    arena.kernels.attention(shared);
    arena.kernels.attentionBackward({ ...shared, dk: once, dv });
    arena.kernels.attentionBackward({ ...shared, dk: twice, dv });
    arena.kernels.attentionBackward({ ...shared, dk: twice, dv });
    const doubled = Array.from(arena.read(once, keys * width), (x) => 2 * x);
    expect(
      worstError(arena.read(twice, keys * width), doubled, { absolute: 1e-6, relative: 1e-6 }),
    ).toBeLessThanOrEqual(1);
  });

  test('an operand outside the memory is an error that names it', () => {
    const end = arena.kernels.memory.buffer.byteLength;
    const operands = { q: 0, k: 0, v: 0, y: 0, lse: 0, queries: 2, keys: 2, width: 4, scale: 1, scratch: 4096 };
    expect(() => arena.kernels.attention({ ...operands, mask: end - 3 })).toThrow(/attention mask/);
    expect(() => arena.kernels.attention({ ...operands, lse: end })).toThrow(/attention lse/);
    expect(() => arena.kernels.attention({ ...operands, k: end - 4 })).toThrow(/attention k/);
    expect(() => arena.kernels.attention({ ...operands, keys: -2 })).toThrow(/attention keys is -2/);
  });
});
