/** Damaged and hostile checkpoints: an error that says so, or a model; never a crash, a hang or memory out of proportion. */
import { readFileSync } from 'node:fs';
import {
  SafetensorsError,
  bytesSource,
  createReferenceDevice,
  openCheckpoint,
  setDefaultDevice,
} from '@mindseye/tensor-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { presets } from '../../src/config/presets.js';
import { resolveQuantizationConfig } from '../../src/config/quantization-config.js';
import { resolveConfig } from '../../src/config/resolve-config.js';
import { toHuggingFaceConfig } from '../../src/config/serialize-config.js';
import { InvalidInputError } from '../../src/errors.js';
import { loadWeights } from '../../src/load/load-weights.js';
import { inspectCheckpoint } from '../../src/load/plan-checkpoint.js';
import { shapesOf } from '../../src/load/stored-modules.js';
import { goldenPath } from '../support/golden.js';
import { largestAllocation } from './support/allocation-limit.js';

type Json = Record<string, unknown>;
type Files = ReadonlyMap<string, Uint8Array>;

const formats = ['mlx', 'awq', 'gptq', 'gptq-v2', 'compressed-tensors'] as const;
const read = (format: string, file: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(readFileSync(goldenPath(`quantized/${format}/${file}`)));
const goods = formats.map((format) => ({
  config: new TextDecoder().decode(read(format, 'config.json')),
  file: read(format, 'model.safetensors'),
}));

/** In the names of tests, so that a failing run can be repeated. */
const seed = Math.floor(Math.random() * 2 ** 31);

beforeAll(() => setDefaultDevice(createReferenceDevice()));

/** All that is done with a folder before its model runs. */
async function openAll(files: Files, strict: boolean): Promise<void> {
  const json = JSON.parse(new TextDecoder().decode(files.get('config.json'))) as unknown;
  const quantization = resolveQuantizationConfig(json);
  const source = await openCheckpoint(async (name) => {
    const bytes = files.get(name);
    return bytes && bytesSource(bytes);
  });
  resolveConfig(json);
  const config = resolveConfig(json, 'config.json', shapesOf(source, quantization));
  inspectCheckpoint(source, config, { quantization });
  await loadWeights(source, config, { quantization, strict });
}

/** The same, and what it may do: give a model or one line about the files, in memory of their size. */
async function expectTamed(files: Files, strict: boolean): Promise<void> {
  const size = [...files.values()].reduce((total, bytes) => total + bytes.length, 0);
  const { bytes, error } = await largestAllocation(() => openAll(files, strict));
  // 4-bit codes become f16 numbers where their groups are shuffled, and f16 vectors f32: at most four times the file.
  expect(bytes).toBeLessThanOrEqual(4 * size + 1024);
  if (error === undefined) return;
  if (!(error instanceof InvalidInputError) && !(error instanceof SafetensorsError)) throw error;
  expect(error.message).toMatch(/^\P{Cc}{1,1200}$/u);
}

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** A safetensors file of this header text and data. */
function fileOf(header: string, data: Uint8Array): Uint8Array {
  const text = encode(header);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

function split(file: Uint8Array): { readonly header: string; readonly data: Uint8Array } {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return { header: new TextDecoder().decode(file.subarray(8, 8 + length)), data: file.subarray(8 + length) };
}

const wild: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    -1,
    0,
    1.5,
    1e9,
    2 ** 31,
    2 ** 53,
    1e308,
    -1e-300,
    'NaN',
    'Infinity',
    '',
    '\n\u202e',
    null,
    true,
    false,
    [],
    {},
    'F32',
    'I64',
    'BOOL',
    '__proto__',
    'constructor',
  ),
  fc.jsonValue({ maxDepth: 3 }),
  fc.integer(),
  fc.array(fc.integer({ min: -2, max: 300 }), { maxLength: 6 }),
  fc.integer({ min: 2, max: 200 }).map((depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown),
  fc
    .integer({ min: 2, max: 200 })
    .map((depth) => JSON.parse('{"a":'.repeat(depth) + '1' + '}'.repeat(depth)) as unknown),
);

interface Entry {
  dtype: unknown;
  shape: number[];
  data_offsets: unknown;
}
type Header = Record<string, Entry>;

/** Types of equal width: a header stays consistent when one takes another's place. */
const twins: readonly (readonly string[])[] = [
  ['F32', 'I32', 'U32'],
  ['F16', 'BF16', 'I16', 'U16'],
  ['F64', 'I64', 'U64'],
];
const parts = ['weight', 'scales', 'biases', 'qweight', 'qzeros', 'g_idx', 'weight_packed', 'weight_scale', 'bias', ''];

type HeaderChange = (header: Header, pick: (count: number) => number, value: unknown) => void;
const nameAt = (header: Header, index: number): string => Object.keys(header)[index]!;
const countOf = (header: Header): number => Object.keys(header).length;

function rename(header: Header, from: string, to: string): void {
  header[to] = header[from]!;
  if (to !== from) delete header[from];
}

const headerChanges: readonly HeaderChange[] = [
  (header, pick, value) => {
    const entry = header[nameAt(header, pick(countOf(header)))]! as unknown as Json;
    entry[['dtype', 'shape', 'data_offsets'][pick(3)]!] = value;
  },
  (header, pick) => void delete header[nameAt(header, pick(countOf(header)))],
  (header, pick, value) => void (header[nameAt(header, pick(countOf(header)))] = value as Entry),
  (header, pick, value) =>
    rename(header, nameAt(header, pick(countOf(header))), String(JSON.stringify(value)).slice(0, 300)),
  // The rest leaves a file that is whole, so that what is wrong is found behind the header.
  (header, pick) => {
    const name = nameAt(header, pick(countOf(header)));
    rename(header, name, `${name.slice(0, name.lastIndexOf('.'))}.${parts[pick(parts.length)]!}`);
  },
  (header, pick) => {
    const [a, b] = [nameAt(header, pick(countOf(header))), nameAt(header, pick(countOf(header)))];
    [header[a], header[b]] = [header[b]!, header[a]!];
  },
  (header, pick) => {
    const { shape } = header[nameAt(header, pick(countOf(header)))]!;
    if (shape.length > 0) shape.push(...shape.splice(0, 1 + pick(shape.length)));
  },
  (header, pick) => {
    const { shape } = header[nameAt(header, pick(countOf(header)))]!;
    const axis = pick(shape.length + 1);
    const factor = [1, 2, 4, 8][pick(4)]!;
    if (shape[axis] === undefined || shape[axis]! % factor !== 0) return;
    shape[axis]! /= factor;
    shape[(axis + 1) % shape.length]! *= factor;
  },
  (header, pick) => {
    const entry = header[nameAt(header, pick(countOf(header)))]!;
    const others = twins.find((types) => types.includes(String(entry.dtype)));
    if (others) entry.dtype = others[pick(others.length)]!;
  },
  (header, pick) => {
    const name = nameAt(header, pick(countOf(header)));
    rename(
      header,
      name,
      name.replace(/^(model|visual|vision_tower|language_model)\./, ['model.', 'visual.', ''][pick(3)]!),
    );
  },
];

const picks = fc.array(fc.nat(1 << 20), { minLength: 40, maxLength: 40 });

/** Numbers below a bound, one after another from a list. */
function picker(numbers: readonly number[]): (count: number) => number {
  let next = 0;
  return (count) => (count <= 0 ? 0 : numbers[next++ % numbers.length]! % count);
}

const runs = (numRuns: number): { numRuns: number; seed: number } => ({ numRuns, seed });

describe(`hostile checkpoints (seed ${seed})`, () => {
  test('headers whose entries say something else', async () => {
    const changes = fc.array(fc.tuple(fc.nat(headerChanges.length - 1), wild), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(goods.length - 1),
        changes,
        picks,
        fc.boolean(),
        async (which, chosen, numbers, strict) => {
          const { config, file } = goods[which]!;
          const { header, data } = split(file);
          const parsed = JSON.parse(header) as Header;
          delete parsed['__metadata__'];
          const pick = picker(numbers);
          for (const [change, value] of chosen) {
            try {
              headerChanges[change]!(parsed, pick, value);
            } catch {
              // A change to what an earlier one has already broken.
            }
          }
          const files = new Map([
            ['config.json', encode(config)],
            ['model.safetensors', fileOf(JSON.stringify(parsed), data)],
          ]);
          await expectTamed(files, strict);
        },
      ),
      runs(1500),
    );
  });

  test('bytes that are flipped or missing, in headers and in data', async () => {
    const flips = fc.array(fc.tuple(fc.nat(1 << 20), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(goods.length - 1),
        flips,
        fc.boolean(),
        fc.option(fc.nat(1 << 16)),
        async (which, at, near, cut) => {
          const { config, file } = goods[which]!;
          const bytes = file.slice();
          const { header } = split(file);
          for (const [place, value] of at) bytes[place % (near ? header.length + 8 : bytes.length)] = value;
          const files = new Map([
            ['config.json', encode(config)],
            ['model.safetensors', cut === null ? bytes : bytes.subarray(0, cut % bytes.length)],
          ]);
          await expectTamed(files, true);
        },
      ),
      runs(700),
    );
  });

  test('indexes that lie', async () => {
    const shard = 'model-00001-of-00001.safetensors';
    const changed = fc.oneof(
      fc.tuple(fc.constant('value'), wild),
      fc.tuple(
        fc.constant('shard'),
        fc.constantFrom<unknown>('../x.safetensors', '/etc/passwd', 'x', shard, 'CON.safetensors', 5),
      ),
      fc.tuple(fc.constant('text'), fc.string()),
      fc.tuple(fc.constant('drop'), fc.nat(100)),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(goods.length - 1), changed, picks, async (which, [kind, value], numbers) => {
        const { config, file } = goods[which]!;
        const pick = picker(numbers);
        const names = Object.keys(JSON.parse(split(file).header) as Json).filter((name) => name !== '__metadata__');
        const weightMap: Json = Object.fromEntries(names.map((name) => [name, shard]));
        const name = names[pick(names.length)]!;
        if (kind === 'shard') weightMap[name] = value;
        if (kind === 'drop') delete weightMap[name];
        const index: Json = { metadata: {}, weight_map: weightMap };
        if (kind === 'value') (pick(2) === 0 ? index : weightMap)[pick(2) === 0 ? 'weight_map' : name] = value;
        let text = JSON.stringify(index);
        if (kind === 'text') text = text.slice(0, pick(text.length)) + String(value) + text.slice(pick(text.length));
        const files = new Map<string, Uint8Array>([
          ['config.json', encode(config)],
          ['model.safetensors.index.json', encode(text)],
          [shard, file],
        ]);
        await expectTamed(files, true);
      }),
      runs(400),
    );
  });
});

/** Every path to a value in a JSON document. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, entry]) => pathsOf(entry, [...path, key]))];
}

const REMOVED = Symbol('removed');

function withChange(document: unknown, path: readonly string[], value: unknown): unknown {
  if (path.length === 0) return value === REMOVED ? {} : value;
  const root = structuredClone(document) as Json;
  let node = root;
  for (const key of path.slice(0, -1)) node = node[key] as Json;
  if (value === REMOVED) delete node[path.at(-1)!];
  else node[path.at(-1)!] = value;
  return root;
}

const documents: readonly { readonly json: Json; readonly file: Uint8Array | undefined }[] = [
  ...goods.map(({ config, file }) => ({ json: JSON.parse(config) as Json, file })),
  ...Object.values(presets).map((preset) => ({ json: { ...toHuggingFaceConfig(preset()) } as Json, file: undefined })),
];

const quantizationKeys = ['quantization', 'quantization_config'] as const;
const methods = ['awq', 'gptq', 'mlx', 'compressed-tensors', 'auto-round', 'bitsandbytes', 'fp8', 'gguf', '__proto__'];

describe(`hostile configurations (seed ${seed})`, () => {
  const expectConfigTamed = async (json: unknown, file: Uint8Array | undefined): Promise<void> => {
    const text = JSON.stringify(json);
    if (file) {
      await expectTamed(
        new Map([
          ['config.json', encode(text)],
          ['model.safetensors', file],
        ]),
        true,
      );
      return;
    }
    for (const resolve of [resolveConfig, resolveQuantizationConfig]) {
      try {
        resolve(JSON.parse(text));
      } catch (error) {
        if (!(error instanceof InvalidInputError)) throw error;
        expect(error.message).toMatch(/^config\.json: \P{Cc}{1,700}$/u);
      }
    }
  };

  test('any value in any place of a real config.json', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(documents.length - 1),
        fc.array(fc.tuple(fc.nat(1 << 16), fc.oneof(wild, fc.constant(REMOVED))), { minLength: 1, maxLength: 3 }),
        async (which, changes) => {
          const { json, file } = documents[which]!;
          let changed: unknown = json;
          for (const [place, value] of changes) {
            const paths = pathsOf(changed).filter((path) => path.length > 0 && path.length < 8);
            if (paths.length > 0) changed = withChange(changed, paths[place % paths.length]!, value);
          }
          await expectConfigTamed(changed, file);
        },
      ),
      runs(1500),
    );
  });

  test('any quantisation of any method', async () => {
    const fields = fc.record(
      {
        quant_method: fc.oneof(fc.constantFrom(...methods), wild),
        bits: fc.oneof(fc.constantFrom(4, 8), wild),
        group_size: fc.oneof(fc.constantFrom(32, 64, 128, -1), wild),
        version: fc.oneof(fc.constantFrom('gemm', 'GEMM', 'gemv'), wild),
        zero_point: fc.oneof(fc.boolean(), wild),
        checkpoint_format: fc.oneof(fc.constantFrom('gptq', 'gptq_v2'), wild),
        packing_format: fc.oneof(fc.constantFrom('auto_round:auto_gptq', 'auto_round:auto_awq'), wild),
        format: fc.oneof(fc.constantFrom('pack-quantized', 'float-quantized'), wild),
        config_groups: wild,
        mode: fc.oneof(fc.constant('affine'), wild),
        'language_model.model.layers.0.mlp.up_proj': wild,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.nat(goods.length - 1),
        fc.constantFrom(...quantizationKeys),
        fields,
        async (which, key, value) => {
          const { json, file } = documents[which]!;
          const rest = Object.fromEntries(
            Object.entries(json).filter(([name]) => !quantizationKeys.includes(name as 'quantization')),
          );
          await expectConfigTamed({ ...rest, [key]: value }, file);
        },
      ),
      runs(600),
    );
  });
});
