import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type AtomicFileSystem,
  FileByteSource,
  FileError,
  nodeFileSystem,
  openCheckpointFolder,
  openSafetensorsFile,
  writeFileAtomic,
  writeJsonAtomic,
  writeSafetensors,
} from '../src/node.js';
import type { SafetensorsEntry } from '../src/safetensors/index.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'mindseye-'))));
afterEach(() => rm(folder, { recursive: true }));

const weights: SafetensorsEntry[] = [
  { name: 'w', dtype: 'F32', shape: [4], data: Float32Array.of(1, 2, 3, 4) },
  { name: 'b', dtype: 'BF16', shape: [2], data: Float32Array.of(-1, 0.5) },
];

const systemError = (code: string): Error => Object.assign(new Error(`${code}: refused`), { code });

/** The machine's file system with a disk of `capacity` bytes, or one operation that fails. */
function failing({
  capacity = Infinity,
  at,
  code = 'EIO',
}: {
  capacity?: number;
  at?: string;
  code?: string;
}): AtomicFileSystem {
  let free = capacity;
  const fail = (operation: string): void => {
    if (operation === at) throw systemError(code);
  };
  return {
    ...nodeFileSystem,
    async create(path) {
      fail('create');
      const file = await nodeFileSystem.create(path);
      return {
        async write(bytes) {
          fail('write');
          if (free <= 0) throw systemError('ENOSPC');
          const count = await file.write(bytes.subarray(0, Math.min(free, bytes.length))); // a short write, as a real disk does
          free -= count;
          return count;
        },
        async sync() {
          fail('sync');
          await file.sync();
        },
        async close() {
          await file.close();
          fail('close');
        },
      };
    },
    async rename(from, to) {
      fail('rename');
      await nodeFileSystem.rename(from, to);
    },
    async syncFolder(path) {
      fail('syncFolder');
      await nodeFileSystem.syncFolder(path);
    },
  };
}

describe('writeSafetensors', () => {
  it('writes what openSafetensorsFile reads, and leaves no other file', async () => {
    const path = join(folder, 'model.safetensors');
    await writeFile(path, 'old');
    await writeSafetensors(path, weights, { format: 'pt' });
    const reader = await openSafetensorsFile(path);
    expect([...(await reader.readFloat32('w'))]).toEqual([1, 2, 3, 4]);
    expect([...(await reader.readFloat32('b'))]).toEqual([-1, 0.5]);
    expect(reader.metadata.get('format')).toBe('pt');
    await reader.close();
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    await expect(reader.read('w')).rejects.toThrow(/tensor "w": bytes .* cannot be read/);
  });

  it.each([0, 1, 100, 139])(
    'with room for %i bytes: one clear line, the old file untouched, no leftovers',
    async (capacity) => {
      const path = join(folder, 'model.safetensors');
      await writeFile(path, 'old');
      const writing = writeSafetensors(path, weights, {}, { fileSystem: failing({ capacity }) });
      await expect(writing).rejects.toThrow(
        `cannot write ${path}: the disk is full (ENOSPC), the file needs 140 bytes, ${capacity} were written; free space or choose another folder; nothing was changed`,
      );
      await expect(writing).rejects.toMatchObject({ name: 'FileError', code: 'ENOSPC', path });
      expect(await readdir(folder)).toEqual(['model.safetensors']);
      expect(await readFile(path, 'utf8')).toBe('old');
    },
  );

  it('writes nothing for entries that cannot be written, also when it shows late', async () => {
    const path = join(folder, 'model.safetensors');
    const late: SafetensorsEntry = { name: 'x', dtype: 'F32', shape: [2], data: () => new Float32Array(3) };
    await expect(writeSafetensors(path, [...weights, late])).rejects.toThrow(`${path}: tensor "x": F32 [2] was given`);
    expect(await readdir(folder)).toEqual([]);
  });

  it('writes into exactly the room there is', async () => {
    await writeSafetensors(join(folder, 'm'), weights, {}, { fileSystem: failing({ capacity: 140 }) });
    expect((await readFile(join(folder, 'm'))).length).toBe(140);
  });
});

describe('writeFileAtomic', () => {
  it.each(['create', 'write', 'sync', 'close', 'rename'])(
    'a failure in %s leaves the old file and nothing else',
    async (at) => {
      const path = join(folder, 'log.txt');
      await writeFile(path, 'old');
      const writing = writeFileAtomic(path, 'new', { fileSystem: failing({ at }) });
      await expect(writing).rejects.toThrow(
        `cannot write ${path}: the device reports an input/output error (EIO); check the disk; nothing was changed`,
      );
      await expect(writing).rejects.toBeInstanceOf(FileError);
      expect(await readdir(folder)).toEqual(['log.txt']);
      expect(await readFile(path, 'utf8')).toBe('old');
    },
  );

  it('succeeds where the system cannot sync folders', async () => {
    await writeFileAtomic(join(folder, 'a'), 'text', { fileSystem: failing({ at: 'syncFolder' }) });
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('text');
  });

  it('takes text, bytes and streams, also empty ones', async () => {
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(104);
      yield new Uint8Array(0);
      yield Uint8Array.of(105);
    }
    await writeFileAtomic(join(folder, 'text'), 'é');
    await writeFileAtomic(join(folder, 'bytes'), Uint8Array.of(1, 2));
    await writeFileAtomic(join(folder, 'stream'), stream());
    await writeFileAtomic(join(folder, 'empty'), '');
    expect(await readFile(join(folder, 'text'), 'utf8')).toBe('é');
    expect([...(await readFile(join(folder, 'bytes')))]).toEqual([1, 2]);
    expect(await readFile(join(folder, 'stream'), 'utf8')).toBe('hi');
    expect((await readFile(join(folder, 'empty'))).length).toBe(0);
  });

  it('passes on what the stream itself throws, unchanged', async () => {
    const fault = new TypeError('no tensor');
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1);
      throw fault;
    }
    await expect(writeFileAtomic(join(folder, 'a'), stream())).rejects.toBe(fault);
    expect(await readdir(folder)).toEqual([]);
  });

  it('stands many writers of one file: one of them wins whole', async () => {
    const path = join(folder, 'state.json');
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => writeJsonAtomic(path, { writer: i, text: 'x'.repeat(1000) })),
    );
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ text: 'x'.repeat(1000) });
    expect(await readdir(folder)).toEqual(['state.json']);
  });

  it('writes names of the longest length, and replaces a link without following it', async () => {
    const long = 'n'.repeat(255);
    await writeFileAtomic(join(folder, long), 'x');
    await symlink(join(folder, long), join(folder, 'link'));
    await writeFileAtomic(join(folder, 'link'), 'y');
    expect(await readFile(join(folder, long), 'utf8')).toBe('x');
    expect(await readFile(join(folder, 'link'), 'utf8')).toBe('y');
  });

  it.each([
    [
      'a missing folder',
      'no/such/file',
      /no such file or folder \(ENOENT\); check the path, or create the folder first; nothing was changed$/,
    ],
    ['a folder', 'sub', /it is a folder \(EISDIR\)/],
    ['a file for a folder', 'file/inside', /a part of the path is not a folder \(ENOTDIR\)/],
  ])('names the cure for %s', async (_, name, message) => {
    await mkdir(join(folder, 'sub'));
    await writeFile(join(folder, 'file'), '');
    await expect(writeFileAtomic(join(folder, name), 'x')).rejects.toThrow(message);
    expect((await readdir(folder)).toSorted()).toEqual(['file', 'sub']);
  });

  it('is not caught in a loop by a file system that takes nothing', async () => {
    const stuck: AtomicFileSystem = {
      ...nodeFileSystem,
      create: async (path) => ({ ...(await nodeFileSystem.create(path)), write: async () => 0 }),
    };
    await expect(writeFileAtomic(join(folder, 'a'), 'x', { fileSystem: stuck })).rejects.toThrow(
      /the system took no bytes/,
    );
  });
});

describe('writeJsonAtomic', () => {
  it('writes readable JSON', async () => {
    await writeJsonAtomic(join(folder, 'a.json'), { loss: 0.5, steps: [1] });
    expect(await readFile(join(folder, 'a.json'), 'utf8')).toBe('{\n  "loss": 0.5,\n  "steps": [\n    1\n  ]\n}\n');
  });

  it.each([
    ['NaN', { loss: NaN }, /JSON has no NaN \(field "loss"\)/],
    ['infinity', [Infinity], /JSON has no Infinity/],
    ['undefined', undefined, /JSON has no undefined/],
  ])('refuses %s rather than losing it', async (_, value, message) => {
    await expect(writeJsonAtomic(join(folder, 'a.json'), value)).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('reading files', () => {
  it('reads ranges only', async () => {
    const path = join(folder, 'sparse');
    await writeFile(path, 'head');
    await truncate(path, 2 ** 36); // more than most memories; takes no space on disk
    const source = await FileByteSource.open(path);
    expect(source.size).toBe(2 ** 36);
    expect([...(await source.read(2, 4))]).toEqual([97, 100, 0, 0]);
    expect([...(await source.read(2 ** 36 - 1, 1))]).toEqual([0]);
    await expect(source.read(2 ** 36 - 1, 2)).rejects.toThrow(
      /bytes 68719476735 \+ 2 are outside its 68719476736 bytes/,
    );
    await expect(source.read(0, 2 ** 37)).rejects.toThrow(FileError);
    await source.close();
  });

  it('says so when a file shrinks while it is read', async () => {
    const path = join(folder, 'shrinking');
    await writeFile(path, 'content');
    const source = await FileByteSource.open(path);
    await truncate(path, 3);
    await expect(source.read(0, 7)).rejects.toThrow(`cannot read ${path}: it ended at byte 3 of 7`);
    await source.close();
  });

  it('refuses what is no file, at once', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await expect(FileByteSource.open(join(folder, 'pipe'))).rejects.toThrow(/it is not a regular file; name a file/);
    await expect(FileByteSource.open(folder)).rejects.toThrow(/not a regular file/);
    await expect(FileByteSource.open(join(folder, 'none'))).rejects.toMatchObject({
      code: 'ENOENT',
      name: 'FileError',
    });
    await expect(FileByteSource.open('a\0b')).rejects.toThrow(/^cannot read a\\u0000b: /);
  });

  it('refuses a truncated checkpoint by name', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensors(path, weights);
    await truncate(path, 130);
    await expect(openSafetensorsFile(path)).rejects.toThrow(`${path}: tensor`);
    await expect(openCheckpointFolder(folder)).rejects.toThrow(
      /the file is damaged or unfinished: download or write it again$/,
    );
  });

  it('opens sharded folders, and says what is missing', async () => {
    await expect(openCheckpointFolder(join(folder, 'none'))).rejects.toThrow(
      /cannot read .*none: no such file or folder/,
    );
    await expect(openCheckpointFolder(folder)).rejects.toThrow(`${folder}: found neither model.safetensors nor`);
    await writeSafetensors(join(folder, 'one.safetensors'), weights.slice(0, 1));
    await writeSafetensors(join(folder, 'two.safetensors'), weights.slice(1));
    await writeJsonAtomic(join(folder, 'model.safetensors.index.json'), {
      weight_map: { w: 'one.safetensors', b: 'two.safetensors' },
    });
    const checkpoint = await openCheckpointFolder(folder);
    expect([...(await checkpoint.readFloat32('b'))]).toEqual([-1, 0.5]);
    await checkpoint.close();
    await expect(openCheckpointFolder(join(folder, 'one.safetensors'))).rejects.toThrow(
      /it is not a folder; name the folder/,
    );
  });
});
