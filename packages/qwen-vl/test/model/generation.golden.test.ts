/** Padded batches, turns on a kept cache, prompts in pieces, the repetition penalty: decoding against transformers. */
import { type Device, type Tensor, createReferenceDevice, evaluate, slice } from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { describe, expect, test } from 'vitest';
import { type SequenceOperands, rowPositions, sequenceOperands } from '../../src/model/sequence.js';
import { float32, tensorOf } from '../support/golden.js';
import { argmax, createCachedDecoder, decodeGreedily, encodeItems, lastLogits } from './cached-decoder.js';
import {
  type GoldenItem,
  type GoldenManifest,
  type SingleManifest,
  differenceFrom,
  goldenPositions,
  readGolden,
  sequenceRow,
  visionItems,
} from './golden-case.js';
import { largestDifference, readModel } from './golden-model.js';

const tolerance = 1e-4;
const engines = { reference: createReferenceDevice, wasm: createWasmDevice } as const;

interface BatchManifest extends GoldenManifest {
  readonly attention_mask: readonly (readonly number[])[];
  readonly rope_deltas: readonly number[];
  readonly generated_ids: readonly (readonly number[])[];
}

interface TurnsManifest extends GoldenManifest {
  readonly turns: readonly {
    readonly new_ids: readonly number[];
    readonly items: readonly GoldenItem[];
    readonly generated_ids: readonly number[];
  }[];
}

interface ChunkedManifest extends SingleManifest {
  readonly chunks: readonly number[];
}

/** The operands of tokens `start` to `end` of every row. */
const piece = (
  { inputIds, isVisual, visualIndex, cos, sin }: SequenceOperands,
  start: number,
  end: number,
  device: Device,
): Promise<SequenceOperands> => {
  const cut = (whole: Tensor): Tensor => slice(whole, 1, start, end);
  return evaluate(
    { inputIds: cut(inputIds), isVisual: cut(isVisual), visualIndex: cut(visualIndex), cos: cut(cos), sin: cut(sin) },
    { device },
  );
};

const joined = (parts: readonly Float32Array[]): number[] => parts.flatMap((part) => [...part]);

describe.each(Object.keys(engines) as (keyof typeof engines)[])('on the %s engine', (engine) => {
  test.each([
    ['tiny-tied', 'batch-of-two'],
    ['tiny-untied', 'batch-of-two'],
    ['tiny-wide-heads', 'batch-of-three'],
    ['tiny-deep', 'batch-of-three'],
  ])('%s, %s: rows padded on the left', async (model, name) => {
    const golden = readGolden<BatchManifest>(`${model}.${name}`);
    const { manifest, tensors } = golden;
    const device = engines[engine]();
    const context = await readModel(model);
    const encoded = await encodeItems(context, device, await visionItems(golden));
    let item = 0;
    const rows = manifest.rows.map((items, index) => ({
      ...sequenceRow(manifest, index),
      featureStarts: items.map(() => encoded.featureStarts[item++]!),
    }));
    rows.forEach((row, index) => {
      const { positions, delta } = rowPositions(context.config, row);
      expect([...positions]).toEqual(goldenPositions(manifest, index));
      expect(delta).toBe(manifest.rope_deltas[index]);
    });
    const width = manifest.input_ids[0]!.length;
    const operands = sequenceOperands(context.config, rows, width, 'left');
    expect([...(await operands.inputIds.data(device))]).toEqual(manifest.input_ids.flat());
    const padding = rows.map((row) => width - row.inputIds.length);
    const decoder = await createCachedDecoder(context, device, padding, width);
    expect(differenceFrom(golden, 'logits', await decoder.feed(operands, encoded.tokens))).toBeLessThan(tolerance);

    const steps = manifest.generated_ids[0]!.length;
    const decoded = await decodeGreedily(context, device, rows, encoded.tokens, steps);
    expect(decoded.ids).toEqual(manifest.generated_ids);
    if (tensors.has('generated_logits')) {
      const expected = float32(tensorOf(tensors, 'generated_logits'));
      expect(largestDifference(joined(decoded.logits.flat()), expected)).toBeLessThan(tolerance);
    }
  });

  test.each(['tiny-tied', 'tiny-wide-heads'])(
    '%s: a second turn with a new picture on the kept cache',
    async (model) => {
      const golden = readGolden<TurnsManifest>(`${model}.two-turns`);
      const { manifest, tensors } = golden;
      const device = engines[engine]();
      const context = await readModel(model);
      const { vocabSize } = context.config.textConfig;
      const whole = sequenceRow(manifest);
      expect([...rowPositions(context.config, whole).positions]).toEqual(goldenPositions(manifest));
      const decoder = await createCachedDecoder(context, device, [0], whole.inputIds.length + 16);
      const ids: number[] = [];
      const grids: GoldenItem['grid'][] = [];
      for (const [index, { new_ids, items, generated_ids }] of manifest.turns.entries()) {
        const known = grids.length;
        ids.push(...new_ids);
        grids.push(...items.map(({ grid }) => grid));
        // Only what the cache does not hold is fed, at its positions in the whole conversation.
        const { positions, next } = rowPositions(context.config, { inputIds: ids, grids });
        const start = decoder.length;
        const axes = [0, 1, 2].flatMap((axis) => [
          ...positions.subarray(axis * ids.length + start, (axis + 1) * ids.length),
        ]);
        const { tokens } = await encodeItems(context, device, await visionItems(golden, items));
        let operands = sequenceOperands(context.config, [
          { inputIds: ids.slice(start), grids: grids.slice(known), positions: Int32Array.from(axes) },
        ]);
        const logits: Float32Array[] = [];
        for (let step = 0; step < generated_ids.length; step++) {
          const [last] = lastLogits(await decoder.feed(operands, step === 0 ? tokens : undefined), 1, vocabSize);
          logits.push(last!);
          ids.push(argmax(last!));
          const position = next + step;
          operands = sequenceOperands(context.config, [
            { inputIds: ids.slice(-1), grids: [], positions: Int32Array.of(position, position, position) },
          ]);
        }
        expect(ids.slice(-generated_ids.length)).toEqual(generated_ids);
        const expected = float32(tensorOf(tensors, `turn.${index}.logits`));
        expect(largestDifference(joined(logits), expected), `turn ${index}`).toBeLessThan(tolerance);
      }
    },
  );

  test.each(['tiny-untied', 'tiny-wide-heads'])('%s: a prompt read in pieces', async (model) => {
    const golden = readGolden<ChunkedManifest>(`${model}.chunked-prefill`);
    const { manifest } = golden;
    const device = engines[engine]();
    const context = await readModel(model);
    const { tokens, featureStarts } = await encodeItems(context, device, await visionItems(golden));
    const row = { ...sequenceRow(manifest), featureStarts };
    const operands = sequenceOperands(context.config, [row]);
    const decoder = await createCachedDecoder(context, device, [0], row.inputIds.length);
    const logits: Float32Array[] = [];
    for (const count of manifest.chunks) {
      const start = decoder.length;
      logits.push(await decoder.feed(await piece(operands, start, start + count, device), tokens));
    }
    expect(differenceFrom(golden, 'logits', joined(logits))).toBeLessThan(tolerance);
  });

  test.each(['tiny-tied', 'tiny-deep'])('%s: greedy under a repetition penalty', async (model) => {
    const golden = readGolden<SingleManifest>(`${model}.repetition-penalty`);
    const { manifest, tensors } = golden;
    const device = engines[engine]();
    const context = await readModel(model);
    const { tokens } = await encodeItems(context, device, await visionItems(golden));
    const scores: Float32Array[] = [];
    // Every id of the prompt and the answer so far, visual placeholders included, is made less likely once.
    const penalised = (logits: Float32Array, sequence: readonly number[]): number => {
      const own = logits.slice();
      for (const id of new Set(sequence))
        own[id]! *= own[id]! > 0 ? 1 / manifest.repetition_penalty : manifest.repetition_penalty;
      scores.push(own);
      return argmax(own);
    };
    const steps = manifest.penalised_ids.length;
    const decoded = await decodeGreedily(context, device, [sequenceRow(manifest)], tokens, steps, penalised);
    expect(decoded.ids).toEqual([manifest.penalised_ids]);
    expect(manifest.penalised_ids).not.toEqual(manifest.generated_ids);
    for (const [name, values] of [
      ['penalised_logits', decoded.logits.flat()],
      ['penalised_scores', scores],
    ] as const)
      expect(largestDifference(joined(values), float32(tensorOf(tensors, name))), name).toBeLessThan(tolerance);
  });
});
