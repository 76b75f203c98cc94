/** Any dense checkpoint of a model loads to the same weights, and one that is not the model says how. */
import {
  type SafetensorsEntry,
  type Tensor,
  type WeightPrecision,
  createReferenceDevice,
  dequantize,
  isQuantized,
  narrowToBf16,
  precisionPolicy,
  quantize,
  setDefaultDevice,
  tensor,
} from '@mindseye/tensor-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';
import { CheckpointError } from '../../src/load/load-report.js';
import { loadWeights } from '../../src/load/load-weights.js';
import { inspectCheckpoint } from '../../src/load/plan-checkpoint.js';
import { parameterShapes } from '../../src/model/parameters.js';
import { type MicroFiles, entriesOf, exactValues, microConfig, openEntries } from './support/checkpoints.js';

beforeAll(() => setDefaultDevice(createReferenceDevice()));

const sizes = fc.record({
  heads: fc.integer({ min: 1, max: 3 }),
  keyValueHeads: fc.integer({ min: 1, max: 2 }),
  layers: fc.integer({ min: 1, max: 3 }),
  depth: fc.integer({ min: 1, max: 3 }),
  intermediate: fc.integer({ min: 1, max: 40 }),
  patch: fc.integer({ min: 1, max: 5 }),
  tied: fc.boolean(),
});

const files: fc.Arbitrary<MicroFiles> = fc.record({
  layout: fc.constantFrom('old', 'new', 'mlx'),
  dtype: fc.constantFrom('F32', 'F16', 'BF16', 'F64'),
  shards: fc.integer({ min: 1, max: 4 }),
});

const small = microConfig({
  heads: 2,
  keyValueHeads: 1,
  layers: 1,
  depth: 1,
  intermediate: 20,
  patch: 4,
  tied: false,
});
const tied = { ...small, tieWordEmbeddings: true };
const plain: MicroFiles = { layout: 'new', dtype: 'F32', shards: 1 };

const f32 = async (weight: unknown): Promise<Float32Array> => (await (weight as Tensor).data()) as Float32Array;

describe('dense checkpoints', () => {
  test('of any layout, dtype and number of shards hold the same weights', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, files, fc.integer({ min: 1, max: 5000 }), async (size, file, windowBytes) => {
        const config = microConfig(size);
        const source = await openEntries(entriesOf(config, file), file.shards);
        const progress: number[][] = [];
        const { weights, report } = await loadWeights(source, config, {
          dtype: 'f32',
          windowBytes,
          onProgress: (done, total, bytes) => progress.push([done, total, bytes.done, bytes.total]),
        });
        const shapes = parameterShapes(config);
        expect(Object.keys(weights)).toEqual([...shapes.keys()]);
        for (const [name, shape] of shapes) {
          const weight = weights[name] as Tensor;
          expect([weight.dtype, weight.shape]).toEqual(['f32', shape]);
          expect(await f32(weight)).toEqual(exactValues(name, shape));
        }
        expect(report).toMatchObject({
          loaded: shapes.size,
          missing: [],
          unexpected: [],
          mismatched: [],
          layout: file.layout,
          dtypes: { [file.dtype]: shapes.size },
          formats: { dense: shapes.size },
        });
        expect(progress).toHaveLength(shapes.size);
        expect(progress.at(-1)).toEqual([shapes.size, shapes.size, report.bytes, report.bytes]);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    ['F32', 'f32'],
    ['F16', 'f16'],
    ['BF16', 'bf16'],
    ['F64', 'f32'],
  ] as const)('%s matrices stay %s by themselves, vectors and the kernel become f32', async (dtype, kept) => {
    const { weights } = await loadWeights(await openEntries(entriesOf(small, { ...plain, dtype })), small);
    for (const weight of Object.values(weights) as Tensor[])
      expect(weight.dtype).toBe(weight.rank === 2 ? kept : 'f32');
  });

  test.each<[WeightPrecision]>([['f32'], ['f16'], ['bf16']])('cast to %s while they are read', async (precision) => {
    for (const dtype of ['F32', 'F16', 'BF16', 'F64'] as const) {
      const source = await openEntries(entriesOf(small, { ...plain, dtype }));
      const { weights } = await loadWeights(source, small, { dtype: precision, windowBytes: 333 });
      const weight = weights['lm_head.weight'] as Tensor;
      expect(weight.dtype).toBe(precision);
      const expected = exactValues('lm_head.weight', weight.shape);
      const codes = await weight.data();
      if (precision === 'f32') expect(codes).toEqual(expected);
      if (precision === 'bf16') expect(codes).toEqual(narrowToBf16(expected));
    }
  });

  test('quantised while they are read, window by window, as a policy says', async () => {
    const policy = precisionPolicy({
      weights: (name) => (name === 'lm_head.weight' ? { bits: 8, groupSize: 32 } : { bits: 4, symmetric: false }),
      keep: (name) => name.startsWith('model.visual.'),
    });
    const source = await openEntries(entriesOf(small, plain));
    const { weights } = await loadWeights(source, small, { dtype: policy, windowBytes: 700 });
    expect((weights['model.visual.merger.mlp.0.weight'] as Tensor).dtype).toBe('f32');
    for (const [name, options] of [
      ['lm_head.weight', { bits: 8, groupSize: 32 }],
      ['model.language_model.layers.0.mlp.up_proj.weight', { bits: 4, symmetric: false }],
    ] as const) {
      const loaded = weights[name]!;
      if (!isQuantized(loaded)) throw new Error(`${name} is dense`);
      const shape = parameterShapes(small).get(name)!;
      const whole = quantize(tensor(exactValues(name, shape), shape), options);
      expect(await f32(dequantize(loaded))).toEqual(await f32(dequantize(whole)));
      expect(await loaded.codes.data()).toEqual(await whole.codes.data());
    }
  });

  test('go to the device they are given', async () => {
    const device = createReferenceDevice();
    const { weights } = await loadWeights(await openEntries(entriesOf(small, plain)), small, { device });
    for (const weight of Object.values(weights)) expect((weight as Tensor).toString()).toContain('device');
    const elements = [...parameterShapes(small).values()].reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0);
    expect(device.memory().rootBytes).toBe(4 * elements);
  });

  test('stop when asked', async () => {
    const controller = new AbortController();
    const source = await openEntries(entriesOf(small, plain));
    const reason = new Error('enough');
    const loading = loadWeights(source, small, {
      signal: controller.signal,
      onProgress: (done) => done === 3 && controller.abort(reason),
    });
    await expect(loading).rejects.toBe(reason);
  });
});

describe('what does not fit', () => {
  const load = async (entries: readonly SafetensorsEntry[], config = small): ReturnType<typeof loadWeights> =>
    loadWeights(await openEntries(entries), config, { location: 'folder' });
  const failure = async (entries: readonly SafetensorsEntry[], config = small): Promise<CheckpointError> => {
    const error: unknown = await load(entries, config).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    return error as CheckpointError;
  };
  const good = (): SafetensorsEntry[] => entriesOf(small, plain);

  test('missing tensors', async () => {
    const { message, report } = await failure(good().filter(({ name }) => !name.includes('down_proj')));
    expect(message).toMatch(
      /^folder: 3 of \d+ tensors are missing \(model\.visual\.blocks\.0\.mlp\.down_proj\.weight, .*\); take weights/,
    );
    expect(report.missing).toHaveLength(3);
    expect(report.loaded).toBe(parameterShapes(small).size - 3);
  });

  test('tensors of other shapes and dtypes, all of them in the report', async () => {
    const entries = good().map((entry): SafetensorsEntry => {
      if (entry.name === 'lm_head.weight') return { ...entry, shape: [24, 512] };
      if (entry.name.endsWith('norm1.weight')) return { ...entry, dtype: 'F8_E4M3', data: new Uint8Array(16) };
      return entry;
    });
    const { message, report } = await failure(entries);
    expect(report.mismatched).toMatchObject([
      { name: 'model.visual.blocks.0.norm1.weight', dtype: 'F8_E4M3', fileShape: [16], configShape: [16] },
      { name: 'lm_head.weight', fileShape: [24, 512], configShape: [512, 24] },
    ]);
    expect(message).toMatch(/2 of \d+ tensors do not fit config\.json/);
    expect(message).toMatch(/lm_head\.weight: the file has \[24, 512\], config\.json makes it \[512, 24\]/);
    const lax = await loadWeights(await openEntries(entries), small, { strict: false });
    expect(lax.weights).not.toHaveProperty(['lm_head.weight']);
    expect(lax.report.mismatched).toEqual(report.mismatched);
  });

  test('a file with more than the model is loaded, and says so', async () => {
    const extra: SafetensorsEntry = { name: 'lvr_head.weight', dtype: 'F32', shape: [2], data: new Float32Array(2) };
    const { report } = await load([...good(), extra]);
    expect(report.unexpected).toEqual(['lvr_head.weight']);
  });

  test('one tensor under two names', async () => {
    const twice = [...good(), { ...good().at(-1)!, name: 'language_model.lm_head.weight' }];
    await expect(load(twice)).rejects.toThrow(InvalidInputError);
    await expect(load(twice)).rejects.toThrow(
      /: both "\S*lm_head\.weight" and "\S*lm_head\.weight" hold the tensor lm_head\.weight; remove/,
    );
  });

  test('a tied head saved beside its embedding: fine in its shape, refused in another', async () => {
    const { report, weights } = await load(good(), tied);
    expect(report.unexpected).toEqual([]);
    expect(weights).not.toHaveProperty(['lm_head.weight']);
    const cut = good().map((entry) =>
      entry.name === 'lm_head.weight' ? { ...entry, shape: [24], data: new Float32Array(24) } : entry,
    );
    expect((await failure(cut, tied)).report.mismatched).toMatchObject([{ name: 'lm_head.weight', fileShape: [24] }]);
  });

  test('a matrix both dense and packed', async () => {
    const packed: SafetensorsEntry = { name: 'lm_head.qweight', dtype: 'I32', shape: [1], data: new Int32Array(1) };
    const source = await openEntries([...good(), packed]);
    await expect(loadWeights(source, small, { quantization: { method: 'awq' } })).rejects.toThrow(/lies beside/);
  });

  test('inspection reads no data, and refuses nothing that loading would only report', async () => {
    const source = await openEntries(good().slice(0, 4));
    source.readRangeInto = () => Promise.reject(new Error('data was read'));
    const report = inspectCheckpoint(source, small);
    expect(report.loaded).toBe(4);
    expect(report.missing).toHaveLength(parameterShapes(small).size - 4);
    expect(report.tensors[0]).toEqual({
      name: 'model.visual.patch_embed.proj.weight',
      shape: [16, 3, 2, 4, 4],
      format: 'dense',
      stored: ['model.visual.patch_embed.proj.weight'],
    });
  });
});

test.each([
  ['int8', 8, 8],
  ['int4', 4, 4],
  ['mixed', 4, 8],
] as const)('%s by name: the language model in codes, vision as it is stored', async (dtype, decoder, table) => {
  const source = await openEntries(entriesOf(small, { layout: 'new', dtype: 'BF16', shards: 1 }), 1);
  const { weights } = await loadWeights(source, small, { dtype });
  const bitsOf = (name: string): number | undefined => {
    const weight = weights[name]!;
    return isQuantized(weight) ? weight.bits : undefined;
  };
  expect(bitsOf('model.language_model.layers.0.mlp.up_proj.weight')).toBe(decoder);
  expect(bitsOf('model.language_model.embed_tokens.weight')).toBe(table);
  expect(bitsOf('lm_head.weight')).toBe(table);
  expect(weights['model.visual.blocks.0.attn.qkv.weight']).toMatchObject({ dtype: 'bf16' });
  expect(weights['model.language_model.norm.weight']).toMatchObject({ dtype: 'f32' });
});
