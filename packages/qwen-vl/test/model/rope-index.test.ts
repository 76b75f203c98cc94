import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';
import { type GridThw, type RopeCompat, ropeCompats, ropeIndex } from '../../src/model/rope-index.js';
import { readGoldenJson } from '../support/golden.js';

const [imageTokenId, videoTokenId, visionStartTokenId, visionEndTokenId] = [90, 91, 92, 93];
const tokens = { imageTokenId, videoTokenId };
const merge = 2;

interface Visual {
  readonly kind: 'image' | 'video';
  readonly grid: GridThw;
  readonly seconds?: number;
}
/** A prompt: text of so many tokens, or a visual. */
type Part = number | Visual;

const countOf = ({ grid: [t, h, w] }: Visual): number => (t * h * w) / merge ** 2;

const idsOf = (parts: readonly Part[]): number[] =>
  parts.flatMap((part) =>
    typeof part === 'number'
      ? Array.from({ length: part }, (_, i) => i)
      : [
          visionStartTokenId,
          ...Array.from({ length: countOf(part) }, () => (part.kind === 'image' ? imageTokenId : videoTokenId)),
          visionEndTokenId,
        ],
  );

const visualsOf = (parts: readonly Part[]): Visual[] => parts.filter((part) => typeof part !== 'number');

function indexOf(parts: readonly Part[], tokensPerSecond: number, compat?: RopeCompat): ReturnType<typeof ropeIndex> {
  const visuals = visualsOf(parts);
  return ropeIndex(
    idsOf(parts),
    visuals.map(({ grid }) => grid),
    tokens,
    merge,
    { tokensPerSecond, secondsPerGrid: visuals.map(({ seconds }) => seconds), compat },
  );
}

/** Axes as three lists. */
const axes = ({ positions }: { readonly positions: Int32Array }): number[][] => {
  const length = positions.length / 3;
  return [0, 1, 2].map((axis) => [...positions.subarray(axis * length, (axis + 1) * length)]);
};

/** The specification word by word: a list of triples, the next position from the list itself. */
function literal(parts: readonly Part[], tokensPerSecond: number, compat: RopeCompat): [number, number, number][] {
  const truncated = compat === 'transformers-4' || compat === 'transformers-5-truncated';
  const triples: [number, number, number][] = [];
  let next = 0;
  const text = (): void => {
    triples.push([next, next, next]);
    next++;
  };
  for (const part of parts) {
    if (typeof part === 'number') {
      for (let i = 0; i < part; i++) text();
      continue;
    }
    text();
    const start = next;
    const [frames, rows, columns] = [part.grid[0], part.grid[1] / merge, part.grid[2] / merge];
    const block: [number, number, number][] = [];
    for (let k = 0; k < frames; k++)
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) {
          const given = part.seconds ?? 1;
          const seconds = truncated ? Math.trunc(given) : given;
          const time = part.kind === 'image' ? 0 : Math.trunc(k * seconds * tokensPerSecond);
          block.push([start + time, start + r, start + c]);
        }
    triples.push(...block);
    next =
      compat === 'qwen' || compat === 'transformers-4'
        ? Math.max(...block.flat()) + 1
        : start + Math.max(rows, columns);
    text();
  }
  return triples;
}

const side = fc.integer({ min: 1, max: 5 }).map((half) => 2 * half);
const image: fc.Arbitrary<Part> = fc
  .tuple(side, side)
  .map(([h, w]) => ({ kind: 'image' as const, grid: [1, h, w] as const }));
// Multiples of 1/8 are exact in f32 and f64 alike, so the literal implementation may compute in f64.
const video: fc.Arbitrary<Part> = fc
  .record({ t: fc.integer({ min: 1, max: 6 }), h: side, w: side, eighths: fc.integer({ min: 0, max: 40 }) })
  .map(({ t, h, w, eighths }) => ({ kind: 'video' as const, grid: [t, h, w] as const, seconds: eighths / 8 }));
const prompt = fc.array(fc.oneof(fc.integer({ min: 1, max: 6 }), image, video), { maxLength: 7 });

describe('ropeIndex', () => {
  test('the worked examples', () => {
    const image = indexOf([2, { kind: 'image', grid: [1, 4, 6] }, 2], 2);
    expect(axes(image)).toEqual([
      [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8],
      [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8],
      [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8],
    ]);
    expect(image.delta).toBe(-3);
    const second = indexOf([1, { kind: 'video', grid: [3, 4, 4], seconds: 1 }, 1], 2);
    expect(axes(second)).toEqual([
      [0, 1, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8],
      [0, 1, 2, 2, 3, 3, 2, 2, 3, 3, 2, 2, 3, 3, 7, 8],
      [0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 7, 8],
    ]);
    expect(second.delta).toBe(-7);
    const half = indexOf([1, { kind: 'video', grid: [3, 4, 4], seconds: 0.5 }, 1], 2);
    expect(axes(half)[0]).toEqual([0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 6]);
    expect(half.delta).toBe(-9);
  });

  test.each(ropeCompats)('equals the literal specification, %s', (compat) => {
    fc.assert(
      fc.property(prompt, fc.constantFrom(1, 2, 4, 25), (parts, tokensPerSecond) => {
        const index = indexOf(parts, tokensPerSecond, compat);
        const expected = literal(parts, tokensPerSecond, compat);
        expect(axes(index)).toEqual([0, 1, 2].map((axis) => expected.map((triple) => triple[axis])));
        expect(index.delta).toBe(Math.max(-1, ...expected.flat()) + 1 - expected.length);
        // Every visual is followed by text, so the last token is text and decoding counts on from it.
        expect(index.next).toBe((expected.at(-1)?.[0] ?? -1) + 1);
      }),
    );
  });

  test('by default text never shares a position with what came before it', () => {
    fc.assert(
      fc.property(prompt, (parts) => {
        const index = indexOf(parts, 2);
        const ids = idsOf(parts);
        const [time, height, width] = axes(index);
        let largest = -1;
        ids.forEach((id, at) => {
          if (id !== imageTokenId && id !== videoTokenId) expect(time![at]).toBe(largest + 1);
          largest = Math.max(largest, time![at]!, height![at]!, width![at]!);
        });
        expect(index.next).toBe(ids.length + index.delta);
      }),
    );
  });

  test('a video differs from an image of the same grid by its time alone', () => {
    fc.assert(
      fc.property(fc.tuple(side, side), ([h, w]) => {
        const still = indexOf([2, { kind: 'image', grid: [1, h, w] }, 3], 2);
        const film = indexOf([2, { kind: 'video', grid: [1, h, w], seconds: 3.7 }, 3], 2);
        expect(film).toEqual(still);
      }),
    );
  });

  interface RopeEntry {
    readonly name: string;
    readonly token_types: number[][];
    readonly attention_mask: number[][];
    readonly image_grid_thw: GridThw[];
    readonly video_grid_thw: GridThw[];
    readonly second_per_grid_ts: number[];
    readonly tokens_per_second: number;
    readonly position_ids: number[][][];
    readonly rope_deltas: number[];
  }
  const { entries } = readGoldenJson<{ entries: RopeEntry[] }>('cases/rope-index.json');

  test.each(entries)('$name, $tokens_per_second positions per second, against transformers', (entry) => {
    const images = [...entry.image_grid_thw];
    const videos = entry.video_grid_thw.map((grid, i) => ({ grid, seconds: entry.second_per_grid_ts[i]! }));
    entry.token_types.forEach((types, row) => {
      const real = types.filter((_, at) => entry.attention_mask[row]![at] === 1);
      const ids = real.map((type) => [1, imageTokenId, videoTokenId][type]!);
      // Runs of visual tokens take the grids of their kind in order.
      const taken: { grid: GridThw; seconds?: number }[] = real.flatMap((type, at) =>
        type === 0 || real[at - 1] === type ? [] : [type === 1 ? { grid: images.shift()! } : videos.shift()!],
      );
      const { positions, delta } = ropeIndex(
        ids,
        taken.map(({ grid }) => grid),
        tokens,
        merge,
        {
          tokensPerSecond: entry.tokens_per_second,
          secondsPerGrid: taken.map(({ seconds }) => seconds),
          compat: 'transformers-5',
        },
      );
      const expected = entry.position_ids.flatMap((axis) =>
        axis[row]!.filter((_, at) => entry.attention_mask[row]![at] === 1),
      );
      expect([...positions]).toEqual(expected);
      expect(delta).toBe(entry.rope_deltas[row]);
    });
  });

  const timing = { tokensPerSecond: 2 };
  test.each([
    ['too few tokens', [1, 90, 90, 1], [[1, 4, 4]], timing, /image 1 needs 4 visual tokens, the prompt has 2 in a row/],
    ['too many tokens', [90, 90, 1], [[1, 2, 2]], timing, /more than the 1 image\(s\)/],
    [
      'a grid too many',
      [90, 1],
      [
        [1, 2, 2],
        [1, 2, 2],
      ],
      timing,
      /2 image\(s\) and video\(s\) were given/,
    ],
    ['a video cut by an image', [91, 90, 91], [[3, 2, 2]], timing, /video 1 needs 3 visual tokens/],
    ['a grid that cannot be merged', [90], [[1, 3, 2]], timing, /cannot be merged/],
    ['an empty grid', [90], [[0, 2, 2]], timing, /cannot be merged/],
    ['a grid of no end', [90], [[Infinity, 2, 2]], timing, /cannot be merged/],
    ['a video without timing', [91], [[1, 2, 2]], undefined, /video 1 has no timing/],
    ['negative seconds', [91], [[1, 2, 2]], { ...timing, secondsPerGrid: [-1] }, /video 1 has -1 seconds/],
    ['seconds that are no number', [91], [[1, 2, 2]], { ...timing, secondsPerGrid: [NaN] }, /video 1 has NaN seconds/],
    ['an interval of ages', [91], [[1, 2, 2]], { ...timing, secondsPerGrid: [1e30] }, /keep positions below/],
    ['an unknown rule', [1], [], { ...timing, compat: 'vllm' as RopeCompat }, /ropeCompat "vllm" is unknown/],
  ] as const)('%s is refused in one line', (_name, ids, grids, video, message) => {
    const run = (): unknown => ropeIndex(ids, grids as unknown as readonly GridThw[], tokens, merge, video);
    expect(run).toThrow(InvalidInputError);
    expect(run).toThrow(message);
  });
});
