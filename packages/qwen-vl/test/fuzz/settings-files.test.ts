/** Fuzz of generation and preprocessor settings; `tokenizer-files.test.ts` says what the whole set is. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';
import type { ModelFileName } from '../../src/files/known-files.js';
import { fuzz, HOSTILE_STRINGS, mutatedJson, mutatedText, valueOrTypedError } from '../support/fuzz.js';
import { goodFile, openWith } from './support/memory-folder.js';

/** Values of a file, or its text, wrong. */
const mutants = (name: ModelFileName): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: mutatedJson(goodFile(name)).map((value) => JSON.stringify(value) ?? '') },
    mutatedText(goodFile(name), [...HOSTILE_STRINGS, '{', '"', '1e999', '-'], 2),
  );

test('generation_config.json', async () => {
  await fuzz('generation_config.json', 300, mutants('generation_config.json'), async (text) => {
    const folder = await openWith({ 'generation_config.json': text });
    const config = await valueOrTypedError(() => folder.generationConfig());
    if (config instanceof InvalidInputError) return;
    for (const value of [config.temperature, config.topP, config.repetitionPenalty, config.topK]) {
      expect(Number.isFinite(value) && value >= 0).toBe(true);
    }
    expect(config.repetitionPenalty).toBeGreaterThan(0);
    for (const id of config.eosTokenIds) expect(Number.isInteger(id) && id >= 0).toBe(true);
    expect(config.maxNewTokens === null || config.maxNewTokens >= 1).toBe(true);
  });
});

const PICTURE = { width: 40, height: 30, channels: 3 as const, data: new Uint8Array(40 * 30 * 3).fill(128) };

test.each(['preprocessor_config.json', 'processor_config.json'] as const)('%s', async (name) => {
  const good = 'preprocessor_config.json';
  const nested = mutants(good).map((text) => `{"image_processor": ${text}}`);
  await fuzz(name, 300, name === good ? mutants(good) : nested, async (text) => {
    // A file of the other name would be read in its place.
    const folder = await openWith(name === good ? { [good]: text } : { [good]: undefined, [name]: text });
    const processor = await valueOrTypedError(() => folder.processor());
    if (processor instanceof InvalidInputError) return;
    const { config } = processor.imageProcessor;
    expect(config.minPixels).toBeLessThanOrEqual(config.maxPixels);
    // The caller's budget takes the place of the file's limits, which are accepted up to 2^28 pixels: without a budget a small
    // picture would be enlarged to that. So this says nothing of how much memory the limits of a file can ask for.
    const budget = { minPixels: 1, maxPixels: 28 * 28 * 16 };
    const asked = await valueOrTypedError(() => processor.ask('How many?', [PICTURE], { budget }));
    if (asked instanceof InvalidInputError) return;
    expect(asked.inputIds.length).toBeLessThan(200);
    expect(asked.vision?.pixelValues.every(Number.isFinite)).toBe(true);
  });
});
