/** Sequences as operands: where visual tokens go, and that padding changes nothing. */
import { type Device, type Tensor, createReferenceDevice, evaluate, mask, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ModelContext } from '../../src/model/context.js';
import { embedTokens, languageForward } from '../../src/model/language.js';
import { type SequenceRow, sequenceOperands } from '../../src/model/sequence.js';
import { largestDifference, readModel } from './golden-model.js';

const engines = { reference: createReferenceDevice, wasm: createWasmDevice } as const;
const [image, video] = [468, 469];

/** A row of text, images and videos, by the number of its tokens and the grids of its visuals. */
const row: fc.Arbitrary<SequenceRow> = fc
  .array(
    fc.oneof(
      fc.array(fc.integer({ min: 0, max: 455 }), { minLength: 1, maxLength: 5 }),
      fc.record({
        frames: fc.integer({ min: 1, max: 2 }),
        rows: fc.constantFrom(2, 4),
        columns: fc.constantFrom(2, 4),
        film: fc.boolean(),
      }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => {
    const visuals = parts.flatMap((part) => (Array.isArray(part) ? [] : [part]));
    return {
      inputIds: parts.flatMap((part) => {
        if (Array.isArray(part)) return part;
        const frames = part.film ? part.frames : 1;
        const tokens = (frames * part.rows * part.columns) / 4;
        return Array.from({ length: tokens }, () => (part.film ? video : image));
      }),
      grids: visuals.map(({ frames, rows, columns, film }) => [film ? frames : 1, rows, columns] as const),
      secondsPerGrid: visuals.map(({ film }) => (film ? 0.75 : undefined)),
    };
  });

const visualCount = ({ inputIds }: SequenceRow): number =>
  Array.from(inputIds).filter((id) => id === image || id === video).length;

/** Hidden states of a batch after the final norm, row-major [B, S, hidden]. */
async function hiddenStates(
  context: ModelContext,
  device: Device,
  rows: readonly SequenceRow[],
  features: Tensor,
  side: 'left' | 'right',
): Promise<Float32Array> {
  const { inputIds, isVisual, visualIndex, cos, sin } = sequenceOperands(context.config, rows, undefined, side);
  const length = inputIds.shape[1]!;
  const padding = tensor(Int32Array.from(rows, (own) => length - own.inputIds.length));
  const { hidden } = languageForward(context, {
    inputsEmbeds: embedTokens(context, inputIds, { rows: features, where: isVisual, index: visualIndex }),
    cos,
    sin,
    mask: side === 'left' ? mask.and(mask.causal(), mask.not(mask.prefix(padding))) : mask.causal(),
  });
  return (await (await evaluate(hidden, { device })).data(device)) as Float32Array;
}

describe.each(Object.keys(engines) as (keyof typeof engines)[])('on the %s engine', (engine) => {
  const device = engines[engine]();

  test.each(['left', 'right'] as const)('a row padded on the %s has the hidden states it has alone', async (side) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('tiny-tied', 'tiny-wide-heads', 'tiny-deep'),
        fc.array(row, { minLength: 1, maxLength: 3 }),
        async (name, rows) => {
          const context = await readModel(name);
          const { hiddenSize } = context.config.textConfig;
          const visual = rows.reduce((sum, own) => sum + visualCount(own), 0);
          const features = tensor(
            Float32Array.from({ length: Math.max(1, visual) * hiddenSize }, (_, i) => Math.sin(1.7 * i)),
            [Math.max(1, visual), hiddenSize],
          );
          const together = await hiddenStates(context, device, rows, features, side);
          const perRow = together.length / rows.length;
          let first = 0;
          for (const [b, own] of rows.entries()) {
            let next = first;
            const featureStarts = own.grids.map(([t, h, w]) => (next += (t * h * w) / 4) - (t * h * w) / 4);
            first = next;
            const single = await hiddenStates(context, device, [{ ...own, featureStarts }], features, side);
            const at = b * perRow + (side === 'left' ? perRow - single.length : 0);
            expect(largestDifference(together.slice(at, at + single.length), single), `row ${b}`).toBeLessThan(2e-5);
          }
        },
      ),
      { numRuns: 12 },
    );
  });
});

describe('sequenceOperands', () => {
  test('padding has id 0, the rotation of position 0, and is not visual', async () => {
    const { config } = await readModel('tiny-tied');
    const operands = sequenceOperands(
      config,
      [
        { inputIds: [5, 6, 7], grids: [] },
        { inputIds: [image], grids: [[1, 2, 2]] },
      ],
      4,
      'left',
    );
    expect([...(await operands.inputIds.data())]).toEqual([0, 5, 6, 7, 0, 0, 0, image]);
    expect([...(await operands.isVisual.data())]).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
    const half = config.textConfig.headDim / 2;
    const [cos, sin] = [await operands.cos.data(), await operands.sin.data()];
    expect(Array.from(cos.slice(0, 2 * half))).toEqual(Array(2 * half).fill(1));
    expect(Array.from(sin.slice(0, 2 * half))).toEqual(Array(2 * half).fill(0));
  });

  test('images and videos take rows of the table in the order of the prompt, or where they are told to', async () => {
    const { config } = await readModel('tiny-tied');
    const inputIds = [1, image, image, 2, video, video, 3];
    const grids = [
      [1, 2, 4],
      [2, 2, 2],
    ] as const;
    const indices = async (featureStarts?: readonly number[]): Promise<number[]> => [
      ...(await sequenceOperands(config, [
        { inputIds, grids, ...(featureStarts && { featureStarts }) },
      ]).visualIndex.data()),
    ];
    expect(await indices()).toEqual([0, 0, 1, 0, 2, 3, 0]);
    expect(await indices([7, 1])).toEqual([0, 7, 8, 0, 1, 2, 0]);
  });

  test('a placeholder that was decoded is a token like any other', async () => {
    const { config } = await readModel('tiny-tied');
    const operands = sequenceOperands(config, [{ inputIds: [image], grids: [], positions: Int32Array.of(9, 9, 9) }]);
    expect([...(await operands.isVisual.data())]).toEqual([0]);
  });

  test.each([
    ['a row longer than the length', { inputIds: [1, 2, 3], grids: [] }, 2, /3 tokens does not fit the length of 2/],
    ['an id outside the vocabulary', { inputIds: [1, 512], grids: [] }, 4, /token id 512 at position 1/],
    ['an id that is no number', { inputIds: [NaN], grids: [] }, 4, /token id NaN at position 0/],
    [
      'positions of another length',
      { inputIds: [1, 2], grids: [], positions: Int32Array.of(1) },
      4,
      /2 tokens need 6 positions/,
    ],
    [
      'given positions and places that do not fit the grids',
      { inputIds: [image, 1], grids: [[1, 2, 4]], positions: new Int32Array(6) },
      4,
      /have 2 visual tokens, its ids have places for 1/,
    ],
    [
      'a grid of no end beside given positions',
      { inputIds: [image, 1], grids: [[2 ** 40, 2, 4]], positions: new Int32Array(6) },
      4,
      /places for 1/,
    ],
  ] as const)('%s is refused in one line', async (_name, bad, length, message) => {
    const { config } = await readModel('tiny-tied');
    expect(() => sequenceOperands(config, [bad as unknown as SequenceRow], length)).toThrow(message);
  });
});
