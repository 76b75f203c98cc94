import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GridThw } from '../../src/model/rope-index.js';
import { visionLayout } from '../../src/model/window-index.js';
import { readGoldenJson } from '../support/golden.js';

const side = fc.integer({ min: 1, max: 9 }).map((half) => 2 * half);
const grid = fc.tuple(fc.integer({ min: 1, max: 3 }), side, side);
/** Window side in merged patches. */
const windowSide = fc.integer({ min: 1, max: 5 });

const configOf = (units: number): Parameters<typeof visionLayout>[0] => ({
  windowSize: units * 2 * 4,
  patchSize: 4,
  spatialMergeSize: 2,
});

describe('visionLayout', () => {
  test('unitPlace undoes windowIndex, both ways', () => {
    fc.assert(
      fc.property(grid, windowSide, (thw, units) => {
        const { windowIndex, unitPlace } = visionLayout(configOf(units), thw);
        const identity = Array.from(windowIndex, (_, at) => at);
        expect(Array.from(unitPlace, (place) => windowIndex[place])).toEqual(identity);
        expect(Array.from(windowIndex, (unit) => unitPlace[unit])).toEqual(identity);
      }),
    );
  });

  test('two patches share a window exactly if frame and window coordinates agree, a frame if the frame does', () => {
    fc.assert(
      fc.property(grid, windowSide, fc.nat(), fc.nat(), (thw, units, one, other) => {
        const { windowIndex, windowOf, frameOf, coordinates } = visionLayout(configOf(units), thw);
        const [, rows, columns] = thw;
        const describePlace = (place: number): { frame: number; window: string } => {
          const frame = Math.floor(windowIndex[Math.floor(place / 4)]! / ((rows * columns) / 4));
          const cell = [0, 1].map((axis) => Math.floor(coordinates[2 * place + axis]! / (2 * units)));
          return { frame, window: [frame, ...cell].join() };
        };
        const [a, b] = [one % windowOf.length, other % windowOf.length];
        expect(windowOf[a] === windowOf[b]).toBe(describePlace(a).window === describePlace(b).window);
        expect(frameOf[a] === frameOf[b]).toBe(describePlace(a).frame === describePlace(b).frame);
      }),
    );
  });

  test('windows follow one another, and every patch has its own coordinates in each frame', () => {
    fc.assert(
      fc.property(grid, windowSide, (thw, units) => {
        const { windowOf, frameOf, coordinates } = visionLayout(configOf(units), thw);
        for (let place = 1; place < windowOf.length; place++)
          expect([0, 1]).toContain(windowOf[place]! - windowOf[place - 1]!);
        const seen = new Set(
          Array.from(frameOf, (frame, place) => `${frame},${coordinates[2 * place]},${coordinates[2 * place + 1]}`),
        );
        expect(seen.size).toBe(thw[0] * thw[1] * thw[2]);
      }),
    );
  });

  test('a video is its frames one after another', () => {
    fc.assert(
      fc.property(grid, windowSide, ([frames, rows, columns], units) => {
        const film = visionLayout(configOf(units), [frames, rows, columns]);
        const still = visionLayout(configOf(units), [1, rows, columns]);
        const own = still.windowIndex.length;
        expect([...film.windowIndex]).toEqual(
          Array.from({ length: frames }, (_, frame) => [...still.windowIndex].map((unit) => unit + frame * own)).flat(),
        );
        expect([...film.coordinates]).toEqual(Array.from({ length: frames }, () => [...still.coordinates]).flat());
      }),
    );
  });

  interface WindowEntry {
    readonly window_size: number;
    readonly patch_size: number;
    readonly spatial_merge_size: number;
    readonly grid_thw: GridThw[];
    readonly window_index: number[];
    readonly cu_window_seqlens: number[];
  }
  const { entries } = readGoldenJson<{ entries: WindowEntry[] }>('cases/window-index.json');

  test.each(entries)('$grid_thw in windows of $window_size pixels, against transformers', (entry) => {
    const { window_size: windowSize, patch_size: patchSize, spatial_merge_size: spatialMergeSize } = entry;
    let unit = 0;
    const index: number[] = [];
    const ends = [0];
    for (const thw of entry.grid_thw) {
      const { windowIndex, windowOf } = visionLayout({ windowSize, patchSize, spatialMergeSize }, thw);
      index.push(...[...windowIndex].map((at) => at + unit));
      unit += windowIndex.length;
      windowOf.forEach((window, place) => {
        if (window !== windowOf[place - 1]) ends.push(ends.at(-1)!);
        ends[ends.length - 1]!++;
      });
    }
    expect(index).toEqual(entry.window_index);
    expect(ends).toEqual(entry.cu_window_seqlens);
  });
});
