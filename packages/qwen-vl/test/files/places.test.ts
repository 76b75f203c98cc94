/** Places that a checkpoint can be at, all with the same files: each has to give the same model and the same errors. */
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InvalidInputError, ModelFolderError } from '../../src/errors.js';
import { byteCount } from '../../src/files/byte-count.js';
import { directoryFiles, type DirectoryHandle } from '../../src/files/directory-handle.js';
import { droppedFiles } from '../../src/files/dropped-files.js';
import { fileListFiles } from '../../src/files/file-list.js';
import { openAddress } from '../../src/files/http-byte-source.js';
import { httpFolder } from '../../src/files/http-folder.js';
import { parseRepository } from '../../src/files/hub/repository.js';
import type { ModelFiles } from '../../src/files/model-files.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { readBytes } from '../../src/files/read-file.js';
import { folderFiles } from '../../src/node/folder-files.js';
import { goldenPath } from '../support/golden.js';

let base = '';
let server: Server;
let address = '';
/** How the server answers: with ranges, without, or with its page for what is not there. */
let mode: 'ranges' | 'whole' | 'page' = 'ranges';
const asked: string[] = [];

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = join(base, decodeURIComponent(request.url!));
  asked.push(`${request.method} ${request.url}`);
  const found = await stat(path).catch(() => undefined);
  const isPage = mode === 'page' && !found?.isFile();
  if (isPage) response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end('<html>');
  else if (!found?.isFile()) response.writeHead(404).end();
  else if (request.method === 'HEAD') response.writeHead(200).end();
  else sendFile(path, found.size, request, response);
}

function sendFile(path: string, size: number, request: IncomingMessage, response: ServerResponse): void {
  const range = mode === 'whole' ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [start, end] = [Number(range?.[1] ?? 0), Math.min(size - 1, Number(range?.[2] ?? Infinity))];
  if (!range) createReadStream(path).pipe(response.writeHead(200, { 'Content-Length': size }));
  else if (start >= size) response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  else {
    response.writeHead(206, { 'Content-Range': `bytes ${start}-${end}/${size}` });
    createReadStream(path, { start, end }).pipe(response);
  }
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'places-'));
  server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(base, { recursive: true, force: true });
});

/** A folder on disk as a browser's handle of it. */
const handleOf = (path: string): DirectoryHandle => ({
  name: basename(path),
  async *values() {
    for (const entry of await readdir(path, { withFileTypes: true }))
      yield { kind: entry.isDirectory() ? 'directory' : 'file', name: entry.name } as const;
  },
  async getFileHandle(name) {
    return { getFile: async () => new Blob([await readFile(join(path, name))]) };
  },
  async getDirectoryHandle(name) {
    return handleOf(join(path, name));
  },
});

async function pathsIn(folder: string, prefix = ''): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) paths.push(...(await pathsIn(join(folder, entry.name), `${prefix}${entry.name}/`)));
    else paths.push(`${prefix}${entry.name}`);
  }
  return paths;
}

/** What `<input webkitdirectory>` gives. */
async function fileList(folder: string): Promise<File[]> {
  return Promise.all(
    (await pathsIn(folder)).map(async (path) => {
      const file = new File([await readFile(join(folder, path))], basename(path));
      return Object.defineProperty(file, 'webkitRelativePath', { value: `${basename(folder)}/${path}` });
    }),
  );
}

/** What dropping a folder gives: entries that come a few at a time. */
function droppedEntry(path: string, isDirectory: boolean): FileSystemEntry {
  const name = basename(path);
  if (!isDirectory)
    return {
      name,
      isDirectory,
      file: (give: (file: File) => void) => void readFile(path).then((bytes) => give(new File([bytes], name))),
    } as never;
  const createReader = () => {
    let left: Promise<FileSystemEntry[]> | undefined;
    return {
      readEntries(give: (entries: FileSystemEntry[]) => void) {
        left ??= readdir(path, { withFileTypes: true }).then((entries) =>
          entries.map((entry) => droppedEntry(join(path, entry.name), entry.isDirectory())),
        );
        void left.then((entries) => give(entries.splice(0, 3)));
      },
    };
  };
  return { name, isDirectory, createReader } as never;
}

const drop = (path: string): Promise<ModelFiles> =>
  droppedFiles([{ webkitGetAsEntry: () => droppedEntry(path, true) } as unknown as DataTransferItem]);

const places: readonly (readonly [string, (folder: string) => Promise<ModelFiles>])[] = [
  ['a folder on disk', (folder) => folderFiles(folder)],
  ['a chosen folder', async (folder) => fileListFiles(await fileList(folder))],
  ['a dropped folder', drop],
  ['a handle of a folder', (folder) => directoryFiles(handleOf(folder))],
  [
    'an address with a list',
    async (folder) => (
      (mode = 'ranges'),
      httpFolder(`${address}/${basename(folder)}/`, { names: await pathsIn(folder) })
    ),
  ],
  ['an address without a list', (folder) => ((mode = 'page'), httpFolder(`${address}/${basename(folder)}`))],
  ['a server without ranges', (folder) => ((mode = 'whole'), httpFolder(`${address}/${basename(folder)}`))],
];

async function copyOf(name: 'tiny-tied' | 'tiny-untied', as: string): Promise<string> {
  const folder = join(base, as);
  await mkdir(join(folder, 'adapter'), { recursive: true });
  for (const file of await readdir(goldenPath(`models/${name}`)))
    await writeFile(join(folder, file), await readFile(goldenPath(`models/${name}/${file}`)));
  await writeFile(join(folder, 'adapter', 'adapter_config.json'), '{"r": 1}');
  return folder;
}

describe.each(places)('%s', (label, open) => {
  const as = label.replaceAll(' ', '-');

  test('gives the model that lies there', async () => {
    const path = await copyOf('tiny-tied', `whole-${as}`);
    const folder = await ModelFolder.open(await open(path));
    const { config, weights, report } = await folder.loadWeights();
    expect(config).toEqual(await (await ModelFolder.open(await folderFiles(path))).config());
    expect(Object.keys(weights)).toHaveLength(report.loaded);
    expect(report.missing).toEqual([]);
    expect((await folder.processor()).tokenizer.vocabularySize).toBeGreaterThan(256);
    expect(await folder.videoPreprocessorConfig()).toBeUndefined();
    if (label.includes('without')) return; // no list, no folders
    const adapter = await folder.files.folder?.('adapter');
    expect(new TextDecoder().decode(await readBytes(adapter!, 'adapter_config.json', 100))).toBe('{"r": 1}');
    expect(await folder.files.folder?.('none')).toBeUndefined();
  });

  test('names everything that is missing, the shards of the index too', async () => {
    const path = await copyOf('tiny-untied', `lacking-${as}`);
    const shards = (await readdir(path)).filter((name) => name.endsWith('.safetensors')).toSorted();
    await rm(join(path, 'config.json'));
    await rm(join(path, shards[1]!));
    await writeFile(
      join(path, shards[0]!),
      `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 3968658944\n`,
    );
    const files = await open(path);
    const opened = ModelFolder.open(files);
    await expect(opened).rejects.toThrow(ModelFolderError);
    await expect(opened).rejects.toThrow(
      `${files.location}: missing config.json, tokenizer.json, ${shards[0]} (only its Git LFS pointer is there, 3.97 GB), ${shards[1]}; download the whole checkpoint`,
    );
    await expect(files.open('config.json')).rejects.toThrow(/missing config\.json/);
  });
});

test('in a folder, a link counts as what it leads to', async () => {
  const folder = join(base, 'links');
  await mkdir(join(folder, 'inner'), { recursive: true });
  await writeFile(join(folder, 'file'), 'text');
  await symlink('file', join(folder, 'good'));
  await symlink('gone', join(folder, 'dangling'));
  await symlink('inner', join(folder, 'linked-folder'));
  expect([...(await folderFiles(folder)).names].toSorted()).toEqual(['file', 'good']);
});

test('choices of nothing', async () => {
  expect(() => fileListFiles([])).toThrow(/no files were chosen/);
  await expect(droppedFiles([])).rejects.toThrow(/no files were dropped/);
  await expect(httpFolder('models/tiny')).rejects.toThrow(/is not an absolute address/);
  const gone: DirectoryHandle = {
    ...handleOf(base),
    values(): never {
      throw new DOMException('it is gone', 'NotFoundError');
    },
  };
  await expect(directoryFiles(gone, 'picked')).rejects.toThrow(/^picked: cannot be read \(it is gone\)/);
});

test('files that are chosen one by one have no folder', async () => {
  const files = fileListFiles([new File(['{}'], 'config.json'), new File(['x'], 'a b')]);
  expect([...files.names]).toEqual(['config.json', 'a b']);
  expect(files.location).toBe('the chosen files');
});

describe('an address by ranges', () => {
  test('any range is the bytes of the file', async () => {
    mode = 'ranges';
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7919) >>> 5);
    await writeFile(join(base, 'large'), bytes);
    const source = await openAddress(`${address}/large`, (url, init) => fetch(url, init));
    expect(source.size).toBe(bytes.length);
    const range = fc.tuple(fc.nat(bytes.length), fc.nat(bytes.length)).map((ends) => ends.toSorted((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(range, async ([start, end]) => {
        const read = await source.read(start!, end! - start!);
        expect(Buffer.compare(read, bytes.subarray(start, end))).toBe(0);
        read.fill(0); // belongs to the caller
      }),
      { numRuns: 60 },
    );
    await expect(source.read(1, bytes.length)).rejects.toThrow(RangeError);
    await expect(source.read(-1, 1)).rejects.toThrow(RangeError);
    const fresh = await openAddress(`${address}/large`, (url, init) => fetch(url, init));
    asked.length = 0;
    for (let i = 0; i < 50; i++) await fresh.read(100_000 + i * 8, 8);
    expect(asked).toHaveLength(1); // small steps share a block
  });

  test('an empty file', async () => {
    mode = 'ranges';
    await writeFile(join(base, 'empty'), '');
    const source = await openAddress(`${address}/empty`, (url, init) => fetch(url, init));
    expect(source.size).toBe(0);
    expect(await source.read(0, 0)).toEqual(new Uint8Array(0));
  });

  test.each<readonly [string, (range: string) => Response, RegExp]>([
    [
      'a server that stops giving ranges',
      () => new Response('whole'),
      /something else \(status 200\); the file changed/,
    ],
    [
      'a file that changed its size',
      (range) => new Response('12345678', { status: 206, headers: { 'Content-Range': `bytes ${range}/9` } }),
      /the file changed, open it again/,
    ],
    [
      'fewer bytes than promised',
      (range) => new Response('1', { status: 206, headers: { 'Content-Range': `bytes ${range}/100000` } }),
      /sent 1 than|sent 1 of|the server sent/,
    ],
    [
      'more bytes than promised',
      (range) =>
        new Response('1'.repeat(2 ** 17), { status: 206, headers: { 'Content-Range': `bytes ${range}/100000` } }),
      /sent more than/,
    ],
    ['an error', () => new Response(null, { status: 500 }), /answers with status 500/],
  ])('%s', async (_, answer, message) => {
    let count = 0;
    const fake = async (__: string, init: RequestInit): Promise<Response> => {
      const range = new Headers(init.headers).get('Range')!.replace('bytes=', '');
      if (count++ > 0) return answer(range);
      return new Response(new Uint8Array(2 ** 16), {
        status: 206,
        headers: { 'Content-Range': 'bytes 0-65535/100000' },
      });
    };
    const source = await openAddress('http://localhost/x', fake);
    await expect(source.read(70_000, 10)).rejects.toThrow(message);
    await expect(source.read(70_000, 10)).rejects.toThrow(InvalidInputError);
  });

  test('a first answer that lies about its range takes no memory for it', async () => {
    const huge = { status: 206, headers: { 'Content-Range': 'bytes 0-99999999999999/100000000000000' } };
    const source = await openAddress('http://localhost/x', async () => new Response('short', huge));
    expect(source.size).toBe(5);
    await expect(openAddress('http://127.0.0.1:1/x', (url, init) => fetch(url, init))).rejects.toThrow(
      /cannot be reached/,
    );
  });
});

describe('names on a hub', () => {
  const part = fc
    .stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.]{0,20}[A-Za-z0-9_]$/)
    .filter((text) => !text.includes('..'));
  test('are read back', () => {
    fc.assert(
      fc.property(part, part, fc.option(part, { nil: undefined }), (organisation, name, revision) => {
        const text = `${organisation}/${name}`;
        expect(parseRepository(revision === undefined ? text : `${text}@${revision}`)).toEqual({
          name: text,
          revision: revision ?? 'main',
        });
      }),
    );
  });

  test('any text is a safe name, none, or a typed error', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[a/.@\\-]{0,8}$/)),
        (text) => {
          try {
            const repository = parseRepository(text);
            if (!repository) return;
            expect(repository.name).toMatch(/^[\w.-]+\/[\w.-]+$/);
            for (const word of [...repository.name.split('/'), ...repository.revision.split('/')])
              expect(word).not.toMatch(/^\.|^$|\\|\.\./);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidInputError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

test('bytes for people', () => {
  expect([0, 999, 1000, 999_499, 999_500, 3_968_658_944, 2e15].map(byteCount)).toEqual([
    '0 bytes',
    '999 bytes',
    '1.00 kB',
    '999 kB',
    '1.00 MB',
    '3.97 GB',
    '2.00e+3 TB',
  ]);
});
