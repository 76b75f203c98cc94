import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Mask,
  ShapeError,
  attention,
  createReferenceDevice,
  full,
  mask,
  maskPredicate,
  maskTensor,
  splitMask,
  tensor,
} from '../../src/index.js';
import { type HostMask, arbitraryMask, readBack, toTensor } from '../../src/testing/index.js';

const device = createReferenceDevice();

const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  queries: fc.integer({ min: 0, max: 5 }),
  keys: fc.integer({ min: 0, max: 5 }),
});

/** Allowed pairs of one batch entry as rows of 0 and 1. */
async function picture(chosen: Mask, queries: number, keys: number): Promise<string[]> {
  const { expression, operands } = splitMask(chosen);
  const { data } = await readBack(maskTensor(expression, operands, queries, keys), device);
  return Array.from({ length: queries }, (_, query) => data.slice(query * keys, (query + 1) * keys).join(''));
}

const ids = (...values: number[]) => tensor(Int32Array.from(values), [1, values.length]);

describe('mask expressions', () => {
  it('mean the same as a predicate and as a tensor', async () => {
    await fc.assert(
      fc.asyncProperty(
        sizes.chain((chosen) => fc.tuple(fc.constant(chosen), arbitraryMask(chosen))),
        async ([{ batch, queries, keys }, { expression, operands }]: [
          { batch: number; queries: number; keys: number },
          HostMask,
        ]) => {
          const allow = maskPredicate(expression, operands);
          const { shape, data, dtype } = await readBack(
            maskTensor(expression, operands.map(toTensor), queries, keys),
            device,
          );
          expect([dtype, shape[1], shape[2]]).toEqual(['bool', queries, keys]);
          expect([1, batch]).toContain(shape[0]);
          for (let b = 0; b < batch; b++) {
            for (let query = 0; query < queries; query++) {
              for (let key = 0; key < keys; key++) {
                const at = ((shape[0] === 1 ? 0 : b) * queries + query) * keys + key;
                expect(data[at], `batch ${b}, query ${query}, key ${key}`).toBe(Number(allow(b, query, key)));
              }
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  it.each<[string, () => Mask, string[]]>([
    ['causal', () => mask.causal(), ['1000', '1100', '1110']],
    ['causal after one cached key', () => mask.causal(tensor(Int32Array.of(1))), ['1100', '1110', '1111']],
    ['window', () => mask.window(2), ['1100', '1110', '0111']],
    ['window after two cached keys', () => mask.window(2, tensor(Int32Array.of(2))), ['0111', '0011', '0001']],
    ['window of size 0', () => mask.window(0), ['0000', '0000', '0000']],
    ['window without an end', () => mask.window(2 ** 30), ['1111', '1111', '1111']],
    ['prefix', () => mask.prefix(tensor(Int32Array.of(2))), ['1100', '1100', '1100']],
    ['segments', () => mask.segments(ids(0, 0, 7), ids(0, 0, 7, 7)), ['1100', '1100', '0011']],
    [
      'roles',
      () =>
        mask.roles(
          ids(0, 1, 1),
          [
            [true, false],
            [false, true],
          ],
          ids(0, 1, 0, 1),
        ),
      ['1010', '0101', '0101'],
    ],
    [
      'roles outside the table, which see nothing and are seen by nothing',
      () => mask.roles(ids(0, 2, -1), [[true], [true]], ids(0, 1, -1, 2 ** 31 - 1)),
      ['1000', '0000', '0000'],
    ],
    ['not', () => mask.not(mask.causal()), ['0111', '0011', '0001']],
    ['and of nothing', () => mask.and(), ['1111', '1111', '1111']],
    ['or of nothing', () => mask.or(), ['0000', '0000', '0000']],
  ])('%s', async (_name, build, rows) => {
    expect(await picture(build(), 3, 4)).toEqual(rows);
  });

  it('is the LIVR bottleneck when causal meets a role table: answers see latents, not the image', async () => {
    const [image, latent, text] = [0, 1, 2];
    const roles = ids(image, image, latent, text);
    const table = [
      [true, true, true],
      [true, true, true],
      [false, true, true],
    ];
    expect(await picture(mask.and(mask.causal(), mask.roles(roles, table)), 4, 4)).toEqual([
      '1000',
      '1100',
      '1110',
      '0011',
    ]);
  });

  it('adds positions as i32 does, in the predicate and in the tensor: a sum beyond the end wraps around', async () => {
    const offset = Int32Array.of(2 ** 31 - 1);
    expect(await picture(mask.causal(tensor(offset)), 2, 3)).toEqual(['111', '000']);
    const { expression } = splitMask(mask.causal(tensor(offset)));
    const allow = maskPredicate(expression, [{ shape: [1], dtype: 'i32', data: offset }]);
    expect([allow(0, 0, 2), allow(0, 1, 0)]).toEqual([true, false]);
  });

  it('keeps one operand where one tensor stands in several leaves', () => {
    const shared = ids(0, 1);
    const { expression, operands } = splitMask(mask.and(mask.segments(shared), mask.not(mask.segments(shared))));
    expect(operands).toEqual([shared]);
    expect(expression).toEqual({
      kind: 'and',
      parts: [
        { kind: 'segments', query: 0, key: 0 },
        { kind: 'not', part: { kind: 'segments', query: 0, key: 0 } },
      ],
    });
  });
});

describe('masks that do not fit', () => {
  const q = full([2, 1, 3, 2], 0);
  const masked = (chosen: Mask) => () => attention(q, q, q, { mask: chosen });
  it.each<[string, () => unknown, RegExp]>([
    [
      'ids of another length',
      masked(mask.segments(ids(0, 1))),
      /mask segments: query is i32\[1, 2\], it must be i32\[2 or 1, 3\]/,
    ],
    [
      'ids that are no integers',
      masked(mask.segments(full([1, 3], 0))),
      /mask segments: query is f32\[1, 3\], it must be i32\[2 or 1, 3\]/,
    ],
    [
      'another batch',
      masked(mask.prefix(tensor(Int32Array.of(1, 2, 3)))),
      /mask prefix: length is i32\[3\], it must be i32\[2 or 1\]/,
    ],
    [
      'a dense mask of numbers',
      masked(mask.dense(full([1, 3, 3], 1))),
      /mask dense: allow is f32\[1, 3, 3\], it must be bool\[2 or 1, 3, 3\]/,
    ],
    [
      'an offset that is no integer',
      masked(mask.causal(full([1], 0))),
      /mask causal: offset is f32\[1\], it must be i32\[2 or 1\]/,
    ],
    [
      'a table that is no rectangle',
      masked(mask.roles(ids(0, 0, 0), [[true], [true, false]])),
      /mask roles: the table has rows of 1, 2 cells/,
    ],
    ['an empty table', masked(mask.roles(ids(0, 0, 0), [])), /mask roles: the table has rows of no cells/],
    [
      'an offset of another batch',
      masked(mask.window(2, tensor(Int32Array.of(1, 2, 3)))),
      /mask window: offset is i32\[3\], it must be i32\[2 or 1\]/,
    ],
    ['an endless window', masked(mask.window(Infinity)), /mask window: size Infinity is not a whole number/],
    ['a window beyond i32', masked(mask.window(2 ** 31)), /size 2147483648 is not a whole number from 0 to 1073741824/],
    ['a fractional window', masked(mask.window(1.5)), /mask window: size 1\.5 is not a whole number/],
    ['a leaf inside not', masked(mask.not(mask.and(mask.segments(ids(0))))), /mask segments: query is i32\[1, 1\]/],
  ])('%s', (_what, build, message) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });
});
