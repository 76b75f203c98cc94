/** Adapter files with anything in them: an adapter that fits, or a typed error of one line. */
import { InvalidInputError, parameterShapes } from '@mindseye/qwen-vl';
import {
  type SafetensorsEntry,
  SafetensorsError,
  SafetensorsReader,
  bytesSource,
  safetensorsBytes,
} from '@mindseye/tensor-core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkAdapterFits, livrLora, peftConfig, readAdapter, withAdapter } from '../src/index.js';
import { microConfig, microWeights } from './support/micro.js';

const shapes = parameterShapes(microConfig);
const settings = peftConfig({ config: { ...livrLora, rank: 2 }, lora: {} }, 'tiny');

async function sourceOf(entries: readonly SafetensorsEntry[]): Promise<SafetensorsReader> {
  return SafetensorsReader.open(bytesSource(await safetensorsBytes(entries)), 'adapter_model.safetensors');
}

describe('hostile files', () => {
  const base = { config: microConfig, weights: microWeights() };
  const field = fc.constantFrom(
    ...Object.keys(settings),
    'trainable_token_indices',
    'lora_parameters',
    'fine_tune_type',
    '__proto__',
    'constructor',
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom('all-linear', '.*', '(', ['q_proj'], [], {}, { q_proj: 2 }, { '(': 1 }, -1, 1e9, [1, 2], {
      embed_tokens: [1],
    }),
  );
  const part = fc.constantFrom(
    'base_model',
    'model',
    'language_model',
    'visual',
    'layers',
    '0',
    'self_attn',
    'q_proj',
    'embed_tokens',
    'lora_A',
    'lora_B',
    'lora_embedding_A',
    'token_adapter',
    'trainable_tokens_delta',
    'modules_to_save',
    'default',
    'weight',
    'bias',
    'lora_a',
    'A',
    '__proto__',
    'constructor',
    '',
  );
  const entry = fc.record({
    name: fc.oneof(
      fc.array(part, { minLength: 1, maxLength: 9 }).map((parts) => parts.join('.')),
      fc
        .constantFrom('lora_A', 'lora_B')
        .map((half) => `base_model.model.model.layers.0.self_attn.q_proj.${half}.weight`),
    ),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    dtype: fc.constantFrom('F32', 'F16', 'BF16', 'I8', 'U32'),
  });

  test('give an adapter that fits nothing but what it says, or a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(field, value), { maxLength: 3 }),
        fc.uniqueArray(entry, { maxLength: 5, selector: ({ name }) => name }),
        async (changes, drawn) => {
          const json: unknown = JSON.parse(
            `{${[...Object.entries(settings), ...changes].map(([key, each]) => `${JSON.stringify(key)}:${JSON.stringify(each)}`).join()}}`,
          );
          const entries = drawn
            .filter(({ name }) => name !== '__proto__')
            .map(({ dtype, ...rest }): SafetensorsEntry => {
              const size = rest.shape.reduce((product, count) => product * count, 1);
              const bytes = { F32: 4, F16: 2, BF16: 2, I8: 1, U32: 4 }[dtype]!;
              return { ...rest, dtype: dtype as SafetensorsEntry['dtype'], data: new Uint8Array(size * bytes) };
            });
          try {
            const read = await readAdapter(json, await sourceOf(entries), 'run/adapter');
            checkAdapterFits(read, shapes, 'run/adapter');
            withAdapter(base, read);
          } catch (error) {
            if (!(error instanceof SafetensorsError)) expect(error).toBeInstanceOf(InvalidInputError);
            expect((error as Error).message).toMatch(/^[^\n]+$/);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
