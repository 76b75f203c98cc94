/** A map of seen tokens that a loop keeps, against the whole history; and rows where little or nothing is left to choose. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  applyRepetitionPenalty,
  compile,
  createReferenceDevice,
  full,
  keepMinP,
  keepTopK,
  keepTopP,
  logSoftmax,
  markSeen,
  multiHot,
  sampleTokens,
  sum,
  tensor,
  tokenLogProbabilities,
  valueAndGrad,
} from '../../src/index.js';
import { arbitrarySeed, seededValue, toTensor } from '../../src/testing/index.js';

const none = -Infinity;
const i32 = (rows: readonly (readonly number[])[]): Tensor =>
  tensor(Int32Array.from(rows.flat()), [rows.length, rows[0]?.length ?? 0]);
const column = (rows: readonly (readonly number[])[], step: number): Tensor =>
  tensor(Int32Array.from(rows, (row) => row[step]!));

/** Rows of ids of one length, some of which are no class. */
const histories = fc
  .record({
    rows: fc.integer({ min: 1, max: 4 }),
    length: fc.integer({ min: 1, max: 8 }),
    classes: fc.integer({ min: 1, max: 9 }),
  })
  .chain(({ rows, length, classes }) => {
    const row = fc.array(fc.integer({ min: -1, max: classes }), { minLength: length, maxLength: length });
    return fc.record({ classes: fc.constant(classes), ids: fc.array(row, { minLength: rows, maxLength: rows }) });
  });

describe.each([false, true])('decomposed: %s', (decomposeFused) => {
  const device = createReferenceDevice({ decomposeFused });
  const read = async (value: Tensor): Promise<number[]> => [...(await value.data(device))];

  it('a map that is marked step by step is the map of the history, and its penalty that of the ids', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(8), arbitrarySeed(), async ({ classes, ids }, cut, seed) => {
        const prompt = Math.min(cut, ids[0]!.length);
        const mark = compile(markSeen, { device, donate: [0] });
        let seen = multiHot(i32(ids.map((row) => row.slice(0, prompt))), classes);
        for (let step = prompt; step < ids[0]!.length; step++) seen = await mark(seen, column(ids, step));
        expect(await read(seen)).toEqual(await read(multiHot(i32(ids), classes)));
        const logits = toTensor(seededValue([ids.length, classes], 'f32', 'ordinary', seed));
        expect(await read(applyRepetitionPenalty(logits, seen, 1.3))).toEqual(
          await read(applyRepetitionPenalty(logits, i32(ids), 1.3)),
        );
        for (const doSample of [false, true]) {
          const options = { doSample, repetitionPenalty: 1.3, temperature: 0.7 };
          const words = tensor(Uint32Array.of(seed, 1));
          expect(await read(sampleTokens(logits, { ...options, seen }, words))).toEqual(
            await read(sampleTokens(logits, { ...options, ids: i32(ids) }, words)),
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  it('a row with one class left keeps it, whatever the numbers', async () => {
    const row = fc.record({
      classes: fc.integer({ min: 1, max: 9 }),
      logit: fc.constantFrom(-1e30, -80, 0, 2.5, 1e30),
    });
    await fc.assert(
      fc.asyncProperty(
        row,
        fc.nat(8),
        fc.nat(10),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (given, place, k, p) => {
          const { classes, logit } = given;
          const kept = Array.from({ length: classes }, (_, i) => (i === place % classes ? Math.fround(logit) : none));
          const logits = tensor(Float32Array.from(kept), [1, classes]);
          for (const filtered of [keepTopK(logits, k), keepTopP(logits, p), keepMinP(logits, p)])
            expect(await read(filtered)).toEqual(kept);
          const id = tensor(Int32Array.of(place % classes));
          expect(await read(tokenLogProbabilities(logits, id))).toEqual([expect.closeTo(0, 10)]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('log-probabilities of logits with ruled-out classes are those of the classes left, and so are their gradients', async () => {
    const logits = tensor(Float32Array.of(1, none, 2, none, none, 1e4, none, 0), [2, 4]);
    const ids = tensor(Int32Array.of(2, 3));
    const [total, gradient] = valueAndGrad((x: Tensor) => sum(tokenLogProbabilities(x, ids)))(logits);
    expect(await read(total)).toEqual([expect.closeTo(-1e4 - Math.log1p(Math.exp(-1)), 2)]);
    const chance = 1 / (1 + Math.E);
    expect(await read(gradient)).toEqual([-chance, 0, chance, 0, 0, -1, 0, 1].map((x) => expect.closeTo(x, 6)));
    expect(await read(tokenLogProbabilities(logits, tensor(Int32Array.of(1, 1))))).toEqual([
      none,
      expect.closeTo(0, 6),
    ]);
    expect((await read(logSoftmax(logits)))[2]).toBeCloseTo(-Math.log1p(Math.exp(-1)), 6);
  });
});

describe('operands that do not fit', () => {
  const [logits, seen] = [full([2, 4], 0), full([2, 4], 0, 'bool')];
  const wrong: Readonly<Record<string, readonly [build: () => unknown, message: RegExp]>> = {
    'a map of other classes': [
      () => applyRepetitionPenalty(logits, full([2, 5], 0, 'bool'), 2),
      /logits f32\[2, 4\] and seen bool\[2, 5\] do not fit; .* a map of seen tokens is bool \[rows, classes\]/,
    ],
    'a map of numbers': [() => applyRepetitionPenalty(logits, full([2, 4], 0), 2), /ids f32\[2, 4\] do not fit/],
    'ids in a matrix': [
      () => markSeen(seen, full([2, 1], 0, 'i32')),
      /markSeen: seen bool\[2, 4\] and ids i32\[2, 1\] do not fit; seen is bool \[rows, classes\], ids are i32 \[rows\]/,
    ],
    'numbers marked': [
      () => markSeen(logits, full([2], 0, 'i32')),
      /markSeen: seen f32\[2, 4\] and ids i32\[2\] do not fit/,
    ],
    'a history twice': [
      () => sampleTokens(logits, { doSample: false, repetitionPenalty: 2, seen, ids: full([2, 1], 0, 'i32') }),
      /ids and seen both say which tokens came before; give one of them/,
    ],
    'no history': [
      () => sampleTokens(logits, { doSample: false, repetitionPenalty: 2 }),
      /a repetitionPenalty needs ids, the tokens so far, or seen, a map of them/,
    ],
  };

  it.each(Object.keys(wrong))('%s', (name) => {
    const [build, message] = wrong[name]!;
    expect(build).toThrow(message);
  });
});
