import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type SafetensorsDtype, type SafetensorsEntry, sizeOfShape } from '@mindseye/tensor-core';
import { type AtomicFileSystem, nodeFileSystem, openCheckpointFolder } from '@mindseye/tensor-core/node';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { saveCheckpoint } from '../../src/node/save-checkpoint.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'save-checkpoint-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (name: string): string => path.join(folder, name);
const list = async (): Promise<string[]> => (await readdir(folder)).sort();

interface Described {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const described: fc.Arbitrary<Described> = fc
  .record({
    name: fc.stringMatching(/^[a-z]{1,8}(\.[a-z0-9]{1,5}){0,3}$/),
    dtype: fc.constantFrom<SafetensorsDtype>('F32', 'BF16', 'F16', 'U32', 'U8'),
    shape: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
  })
  .chain(({ name, dtype, shape }) => {
    const { byteLength } = sizeOfShape(shape, dtype)!;
    return fc
      .uint8Array({ minLength: byteLength, maxLength: byteLength })
      .map((bytes) => ({ name, dtype, shape, bytes }));
  });

const entriesOf = (tensors: readonly Described[]): SafetensorsEntry[] =>
  tensors.map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape, data: () => bytes }));

const sizeOf = (tensors: readonly Described[]): number => tensors.reduce((total, { bytes }) => total + bytes.length, 0);

async function readBack(): Promise<Map<string, Described>> {
  const checkpoint = await openCheckpointFolder(folder);
  try {
    const found = new Map<string, Described>();
    for (const name of checkpoint.names()) {
      const { dtype, shape, byteLength } = checkpoint.info(name);
      const bytes = new Uint8Array(byteLength);
      await checkpoint.readBytesInto(name, bytes);
      found.set(name, { name, dtype, shape, bytes });
    }
    expect(checkpoint.unindexed).toEqual([]);
    return found;
  } finally {
    await checkpoint.close();
  }
}

const small: readonly Described[] = ['a', 'b', 'c'].map((name, i) => ({
  name,
  dtype: 'U8',
  shape: [10],
  bytes: new Uint8Array(10).fill(i),
}));

describe('a saved checkpoint', () => {
  test('gives every tensor back, whatever the sizes and the limit; a second one replaces it whole', async () => {
    const sets = fc.uniqueArray(described, { selector: ({ name }) => name, minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(sets, fc.integer({ min: 1, max: 600 })), { minLength: 1, maxLength: 3 }),
        async (saves) => {
          for (const [tensors, shardBytes] of saves) {
            const { files, byteLength } = await saveCheckpoint(folder, entriesOf(tensors), { shardBytes });
            expect(byteLength).toBe(sizeOf(tensors));
            expect(await list()).toEqual([...files].sort());
            const found = await readBack();
            expect(found.size).toBe(tensors.length);
            for (const tensor of tensors) expect(found.get(tensor.name)).toEqual(tensor);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('is one file where it fits, else shards in order with the index of transformers', async () => {
    expect((await saveCheckpoint(folder, entriesOf(small), { shardBytes: 30 })).files).toEqual(['model.safetensors']);
    const { files } = await saveCheckpoint(folder, entriesOf(small), { shardBytes: 29 });
    expect(files).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ]);
    expect(JSON.parse(await readFile(at('model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_size: 30 },
      weight_map: { a: files[0], b: files[0], c: files[1] },
    });
  });

  test('asks for a tensor only when the one before is written', async () => {
    const asked: string[] = [];
    const written: number[] = [];
    let bytes = 0;
    const counting: AtomicFileSystem = {
      ...nodeFileSystem,
      async create(name) {
        const file = await nodeFileSystem.create(name);
        return { ...file, write: async (part) => ((bytes += part.length), file.write(part)) };
      },
    };
    const entries = small.map(({ bytes: data, ...rest }) => ({
      ...rest,
      data: () => {
        asked.push(rest.name);
        written.push(bytes);
        return data;
      },
    }));
    const progress: (readonly [number, number])[] = [];
    await saveCheckpoint(folder, entries, {
      fileSystem: counting,
      onProgress: (done, total) => progress.push([done, total]),
    });
    expect(asked).toEqual(['a', 'b', 'c']);
    expect([written[1]! - written[0]!, written[2]! - written[1]!]).toEqual([10, 10]);
    expect(progress).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
  });
});

describe('a save that does not get to its end', () => {
  const failures: Readonly<Record<string, (stopAt: number) => Parameters<typeof saveCheckpoint>[2] & object>> = {
    'is aborted': (stopAt) => {
      const abort = new AbortController();
      return {
        signal: abort.signal,
        onProgress: (done) => {
          if (done === stopAt) abort.abort(new Error('stopped'));
        },
      };
    },
    'meets a full disk': (stopAt) => {
      let writes = 0;
      return {
        fileSystem: {
          ...nodeFileSystem,
          async create(name) {
            const file = await nodeFileSystem.create(name);
            const write = (part: Uint8Array): Promise<number> =>
              writes++ >= stopAt
                ? Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }))
                : file.write(part);
            return { ...file, write };
          },
        },
      };
    },
    'cannot rename': () => ({
      fileSystem: {
        ...nodeFileSystem,
        rename: () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })),
      },
    }),
  };

  test.each(Object.entries(failures))('and %s leaves nothing that loads, and no litter', async (_name, failing) => {
    for (const stopAt of [1, 2, 3])
      for (const shardBytes of [10, 1000]) {
        await expect(saveCheckpoint(folder, entriesOf(small), { shardBytes, ...failing(stopAt) })).rejects.toThrow();
        expect(await list()).toEqual([]);
      }
  });

  test.each(['is aborted', 'meets a full disk'])('and %s leaves an older one as it was', async (name) => {
    const older = small.map((tensor) => ({ ...tensor, bytes: new Uint8Array(10).fill(99) }));
    for (const shardBytes of [10, 1000]) {
      await saveCheckpoint(folder, entriesOf(older), { shardBytes });
      const before = await list();
      await expect(
        saveCheckpoint(folder, entriesOf(small), { shardBytes: 10, ...failures[name]!(2) }),
      ).rejects.toThrow();
      expect(await list()).toEqual(before);
      expect([...(await readBack()).values()]).toEqual(older);
    }
  });

  test('says what is wrong with an entry before it touches the folder', async () => {
    await expect(saveCheckpoint(at('new'), [...entriesOf(small), ...entriesOf(small)])).rejects.toThrow(/same name/);
    await expect(saveCheckpoint(at('new'), entriesOf(small), { shardBytes: 0 })).rejects.toThrow(/shardBytes is 0/);
    expect(await list()).toEqual([]);
    const wrong = { name: 'a', dtype: 'F32', shape: [3], data: () => new Float32Array(2) } as const;
    await expect(saveCheckpoint(folder, [wrong])).rejects.toThrow(/was given a Float32Array of 2 elements/);
    expect(await list()).toEqual([]);
  });
});
