/** Models of a hub through a cache on disk, against a hub on this machine. */
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ModelFolderError } from '../../src/errors.js';
import type { HubProgress } from '../../src/files/hub/hub-files.js';
import { readBytes } from '../../src/files/read-file.js';
import { openModelFiles, openModelFolder, type OpenModelOptions } from '../../src/node/model-folder.js';
import { goldenPath } from '../support/golden.js';
import { blobName, COMMIT, FakeHub, sha256 } from './fake-hub.js';

const NAME = 'maker/tiny';
const OTHER = 'beef'.padEnd(40, '1');

let hub: FakeHub;
let base = '';
let count = 0;
let cacheFolder = '';
const tiny: Record<string, Uint8Array> = {};

beforeAll(async () => {
  hub = await FakeHub.start();
  base = await mkdtemp(join(tmpdir(), 'hub-'));
  const folder = goldenPath('models/tiny-tied');
  for (const name of await readdir(folder)) tiny[name] = new Uint8Array(await readFile(join(folder, name)));
});
afterAll(async () => {
  await hub.close();
  await rm(base, { recursive: true, force: true });
});
beforeEach(() => {
  cacheFolder = join(base, String(count++));
  hub.requests.length = 0;
  hub.storageRequests.length = 0;
  hub.pageSize = 1000;
});
afterEach(() => {
  expect(hub.faults).toEqual([]);
  hub.faults.length = 0;
});

const quick = { attempts: 3, pause: 1, stall: 5_000 };
const options = (more: OpenModelOptions = {}): OpenModelOptions => ({
  endpoint: hub.endpoint,
  cacheFolder,
  environment: { HF_HOME: base },
  retry: quick,
  ...more,
});
const root = (): string => join(cacheFolder, 'models--maker--tiny');
const bytesOf = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 2654435761 * seed) >>> 13);

describe('a model on a hub', () => {
  test('is fetched once, then read from the cache without a request', async () => {
    hub.add(NAME, { ...tiny, 'pytorch_model.bin': bytesOf(500), 'README.md': 'read me', 'model.bin.pth': bytesOf(9) });
    const folder = await openModelFolder(NAME, options());
    expect((await folder.config()).textConfig.hiddenSize).toBe(64);
    expect((await folder.processor()).imageProcessor.config.patchSize).toBe(4);
    const checkpoint = await folder.checkpoint();
    expect(checkpoint.names().length).toBeGreaterThan(10);
    await checkpoint.close();
    expect(folder.location).toBe('maker/tiny@main');
    // Weights last, so that who has them has all; never pickled weights.
    const fetched = hub.takeFileRequests();
    expect(fetched.at(-1)).toBe('model.safetensors');
    expect(fetched.toSorted()).toEqual(Object.keys(tiny).toSorted());

    await openModelFolder(NAME, options());
    await openModelFolder(`${NAME}@main`, options({ offline: true }));
    expect(hub.requests).toEqual([]);
  });

  test('lies in the cache as the Python library keeps it', async () => {
    hub.add(NAME, tiny);
    await openModelFolder(NAME, options());
    expect(await readFile(join(root(), 'refs/main'), 'utf8')).toBe(COMMIT);
    for (const [name, bytes] of Object.entries(tiny)) {
      expect(await readlink(join(root(), 'snapshots', COMMIT, name))).toBe(`../../blobs/${blobName(bytes)}`);
      expect(new Uint8Array(await readFile(join(root(), 'blobs', blobName(bytes))))).toEqual(bytes);
    }
    expect(await readdir(join(root(), 'blobs'))).toHaveLength(new Set(Object.values(tiny).map(blobName)).size);
  });

  test('that the Python library has fetched is used as it is', async () => {
    await mkdir(join(root(), 'refs'), { recursive: true });
    await writeFile(join(root(), 'refs/main'), COMMIT);
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await mkdir(join(root(), 'snapshots', COMMIT), { recursive: true });
    for (const [name, bytes] of Object.entries(tiny)) {
      await writeFile(join(root(), 'blobs', blobName(bytes)), bytes);
      await symlink(`../../blobs/${blobName(bytes)}`, join(root(), 'snapshots', COMMIT, name));
    }
    const folder = await openModelFolder(NAME, options({ offline: true }));
    expect((await folder.config()).textConfig.hiddenSize).toBe(64);
    expect(hub.requests).toEqual([]);
  });

  test('in shards: those of the index are fetched, no others', async () => {
    const folder = goldenPath('models/tiny-untied');
    const files: Record<string, Uint8Array> = {
      'other.safetensors': bytesOf(300),
      'tokenizer.json': tiny['tokenizer.json']!,
    };
    for (const name of await readdir(folder)) files[name] = new Uint8Array(await readFile(join(folder, name)));
    hub.add(NAME, files);
    hub.pageSize = 2; // the list comes in pages
    const opened = await openModelFolder(NAME, options());
    await (await opened.checkpoint()).close();
    expect(opened.files.names.has('other.safetensors')).toBe(false);
    expect(hub.requests.filter(({ path }) => path.includes('/tree/')).length).toBeGreaterThan(2);
  });

  test('stays at the commit it was first opened at, until it is refreshed', async () => {
    hub.add(NAME, tiny);
    await openModelFolder(NAME, options());
    hub.add(NAME, { ...tiny, 'chat_template.jinja': 'new' }, { revisions: { main: OTHER, 'pr/1': OTHER } });
    expect((await openModelFolder(NAME, options())).has('chat_template.jinja')).toBe(false);
    expect((await openModelFolder(`${NAME}@pr/1`, options())).has('chat_template.jinja')).toBe(true);
    hub.requests.length = 0;
    expect((await openModelFolder(NAME, options({ refresh: true }))).has('chat_template.jinja')).toBe(true);
    // Nothing is fetched twice: contents have their digests for names.
    expect(hub.takeFileRequests()).toEqual([]);
    expect(await readFile(join(root(), 'refs/pr/1'), 'utf8')).toBe(OTHER);
  });

  test('only the parts asked for are fetched, and the others can be read where they are', async () => {
    hub.add(NAME, tiny);
    const folder = await openModelFolder(NAME, options({ remoteParts: ['weights'] }));
    expect(hub.takeFileRequests()).not.toContain('model.safetensors');
    const checkpoint = await folder.checkpoint();
    const local = await openModelFolder(goldenPath('models/tiny-tied'));
    const expected = await local.checkpoint();
    for (const name of checkpoint.names()) expect(await checkpoint.read(name)).toEqual(await expected.read(name));
    await expected.close();
    expect(await readdir(join(root(), 'blobs'))).not.toContain(sha256(tiny['model.safetensors']!));
    expect(hub.takeFileRequests().every((line) => line.startsWith('model.safetensors bytes='))).toBe(true);
  });

  test('a model that the hub does not have all of is refused before its weights are fetched', async () => {
    const { 'tokenizer.json': _, ...rest } = tiny;
    hub.add(NAME, { ...rest });
    await expect(openModelFolder(NAME, options())).rejects.toThrow(
      /^maker\/tiny@main: missing tokenizer\.json; the model on the hub does not have it; choose another/,
    );
    hub.add(NAME, { 'config.json': '{}', 'pytorch_model.bin': bytesOf(200) });
    await expect(openModelFolder(NAME, options({ parts: ['config', 'weights'] }))).rejects.toThrow(
      /missing model\.safetensors or .*; only safetensors weights are read/,
    );
    const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } });
    hub.add(NAME, { 'config.json': '{}', 'model.safetensors.index.json': index, 'model-1.safetensors': bytesOf(200) });
    await expect(openModelFolder(NAME, options({ parts: ['config', 'weights'] }))).rejects.toThrow(
      /missing model-2\.safetensors; the model on the hub does not have it/,
    );
    expect(hub.takeFileRequests()).toEqual(['model.safetensors.index.json']);
  });

  test('progress counts all bytes, those in the cache included', async () => {
    hub.add(NAME, tiny);
    await openModelFiles(NAME, options({ parts: ['tokenizer'] }));
    const seen: HubProgress[] = [];
    await openModelFolder(NAME, options({ onProgress: (progress) => seen.push(progress) }));
    const total = Object.values(tiny).reduce((sum, { length }) => sum + length, 0);
    expect(seen.at(-1)).toEqual({ file: 'model.safetensors', done: total, total });
    expect(seen.every(({ done }, i) => done >= (seen[i - 1]?.done ?? 0))).toBe(true);
  });

  test('a folder of that name wins, and other texts are never names', async () => {
    hub.add(NAME, tiny);
    const here = process.cwd();
    await mkdir(join(base, 'here', NAME), { recursive: true });
    try {
      process.chdir(join(base, 'here'));
      await expect(openModelFolder(NAME, options())).rejects.toThrow(/^maker\/tiny: missing config\.json/);
      await expect(openModelFolder(NAME, options({ revision: 'main' }))).rejects.toThrow(/is a folder on disk/);
      for (const text of ['./maker/none', 'none', 'a/b/c', '/maker/none', '../none', 'none/..', 'a--b/c', 'none/'])
        await expect(openModelFolder(text, options())).rejects.toThrow(/: no such folder/);
    } finally {
      process.chdir(here);
    }
    expect(hub.requests).toEqual([]);
  });

  test.each([
    ['a@b@c', /no revision/],
    ['a/b@../../x', /"\.\.\/\.\.\/x" is no revision/],
    ['a/b@', /"" is no revision/],
    ['a/b@-x', /is no revision/],
  ])('%s is refused before anything is asked', async (name, message) => {
    await expect(openModelFolder(name.startsWith('a@') ? 'a/b@c@d' : name, options())).rejects.toThrow(message);
    await expect(openModelFolder('a/b@c', options({ revision: 'd' }))).rejects.toThrow(/are two; give one/);
    expect(hub.requests).toEqual([]);
  });
});

describe('tokens', () => {
  const token = 'key-of-another-kind';
  test.each<readonly [string, OpenModelOptions]>([
    ['option', { token }],
    ['HF_TOKEN', { environment: { HF_TOKEN: `${token}\n` } }],
    ['HUGGING_FACE_HUB_TOKEN', { environment: { HUGGING_FACE_HUB_TOKEN: token } }],
    ['HF_ENDPOINT', { token, environment: {} }],
  ])('from %s', async (name, more) => {
    hub.add(NAME, tiny, { token });
    const asked = name === 'HF_ENDPOINT' ? { environment: { HF_ENDPOINT: `${hub.endpoint}/` }, token } : more;
    const { endpoint, ...rest } = options(asked);
    await openModelFolder(NAME, name === 'HF_ENDPOINT' ? rest : { endpoint: endpoint!, ...rest });
    // The storage is another origin, and gets none.
    expect(hub.storageRequests.length).toBeGreaterThan(0);
    expect(hub.storageRequests.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  test('from the file that a login leaves', async () => {
    hub.add(NAME, tiny, { token });
    await mkdir(join(base, 'home'));
    await writeFile(join(base, 'home', 'token'), `${token}\n`);
    await openModelFolder(NAME, options({ environment: { HF_HOME: join(base, 'home') } }));
  });

  test.each([
    [undefined, 401, /asks for a token.*no token was given.*HF_TOKEN/],
    ['wrong', 401, /asks for a token.*token given is not allowed/],
    ['wrong', 403, /refuses access.*accept the terms at http:.*\/maker\/tiny/],
  ])('token %s, status %i', async (given, status, message) => {
    hub.add(NAME, tiny, status === 401 ? { token } : { status });
    await expect(openModelFolder(NAME, options({ token: given ?? '' }))).rejects.toThrow(message);
    await expect(openModelFolder(NAME, options({ token: given ?? '' }))).rejects.toThrow(/^maker\/tiny@main: [^\n]*$/);
  });
});

describe('transfers that break', () => {
  const content = bytesOf(131);
  const files = { 'config.json': '{}', 'model.safetensors': content };
  const parts = ['config', 'weights'] as const;
  const blob = (): string => join(root(), 'blobs', sha256(content));
  const whole = async (): Promise<void> => {
    expect(new Uint8Array(await readFile(blob()))).toEqual(content);
    expect((await readdir(join(root(), 'blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  };
  const open = (more: OpenModelOptions = {}) => openModelFiles(NAME, options({ parts, ...more }));

  test('a connection that is cut at any byte is taken up there', async () => {
    hub.add(NAME, files);
    for (let cut = 0; cut < content.length; cut++) {
      await rm(cacheFolder, { recursive: true, force: true });
      hub.faults.push({ file: 'model.safetensors', cut });
      hub.takeFileRequests();
      await open();
      await whole();
      const again = cut === 0 ? 'model.safetensors' : `model.safetensors bytes=${cut}-`;
      expect(hub.takeFileRequests()).toEqual(['config.json', 'model.safetensors', again]);
    }
  });

  test('what an earlier run left is gone on with, at every byte', async () => {
    hub.add(NAME, files);
    for (let there = 0; there <= content.length + 3; there++) {
      await rm(cacheFolder, { recursive: true, force: true });
      await mkdir(join(root(), 'blobs'), { recursive: true });
      const left = new Uint8Array(there);
      left.set(content.subarray(0, there));
      await writeFile(`${blob()}.incomplete`, left);
      hub.takeFileRequests();
      const isWhole = there === content.length;
      if (there % 3 === 0 && !isWhole) hub.faults.push({ file: 'model.safetensors', ignoreRange: true });
      await open();
      await whole();
      const isPart = there > 0 && there < content.length;
      const asked = isWhole ? [] : [isPart ? `model.safetensors bytes=${there}-` : 'model.safetensors'];
      expect(hub.takeFileRequests()).toEqual(['config.json', ...asked]);
    }
  });

  test('stopped at any byte, the bytes so far stay, and the next run goes on there', async () => {
    const long = bytesOf(300_000, 3);
    hub.add(NAME, { ...files, 'model.safetensors': long });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: long.length - 1 }), async (stop) => {
        await rm(cacheFolder, { recursive: true, force: true });
        const abort = new AbortController();
        const onProgress = ({ done }: HubProgress): void => {
          if (done >= stop) abort.abort(new Error('enough'));
        };
        hub.faults.push({ file: 'model.safetensors', cut: stop });
        await expect(open({ signal: abort.signal, onProgress })).rejects.toThrow('enough');
        const left = await stat(join(root(), 'blobs', `${sha256(long)}.incomplete`)).then(
          ({ size }) => size,
          () => 0,
        );
        hub.faults.length = 0;
        hub.takeFileRequests();
        await open();
        expect(new Uint8Array(await readFile(join(root(), 'blobs', sha256(long))))).toEqual(long);
        // The transfer goes on after a cut, and may have come to its end before the signal was seen.
        const rest = left === 0 ? 'model.safetensors' : `model.safetensors bytes=${left}-`;
        expect(hub.takeFileRequests()).toEqual(left === long.length ? [] : [rest]);
      }),
      { numRuns: 15 },
    );
  });

  test.each<readonly [string, readonly Parameters<typeof Array.of>[0][]]>([
    ['a busy hub', [{ status: 503 }, { status: 429, headers: { 'Retry-After': '0' } }]],
    ['a body that ends early in good order', [{ short: 100 }, { short: 0 }]],
    ['a server that takes no ranges', [{ cut: 50 }, { ignoreRange: true }]],
    ['a range that is refused', [{ cut: 50 }, { status: 416 }]],
    ['a connection that goes silent', [{ hang: 0 }, { hang: 100 }]],
    ['an error of the server in the middle', [{ cut: 20 }, { status: 500 }, { status: 502 }, { cut: 20 }]],
  ])('%s', async (_, faults) => {
    hub.add(NAME, files);
    hub.faults.push(...(faults as readonly object[]).map((fault) => ({ file: 'model.safetensors', ...fault })));
    await open({ retry: { ...quick, stall: 200 } });
    await whole();
  });

  test('after some attempts that bring nothing it says how far it came', async () => {
    hub.add(NAME, files);
    hub.faults.push({ file: 'model.safetensors', cut: 60 });
    for (let i = 0; i < quick.attempts; i++) hub.faults.push({ file: 'model.safetensors', status: 503 });
    await expect(open()).rejects.toThrow(
      /^maker\/tiny@main: model\.safetensors: the hub answers with status 503, 60 bytes of 131 bytes are in the cache; run the command again to go on from there$/,
    );
    hub.takeFileRequests();
    await open();
    expect(hub.takeFileRequests()).toEqual(['model.safetensors bytes=60-']);
  });

  test.each<readonly [string, object, RegExp]>([
    [
      'more bytes than the list says',
      { body: bytesOf(300) },
      /model\.safetensors has more bytes on the hub, its list says 131/,
    ],
    ['damaged bytes', { damage: true }, /model\.safetensors does not have the digest/],
    ['a file that is gone', { status: 404 }, /model\.safetensors: the hub http.* has no such file/],
  ])('%s', async (_, fault, message) => {
    hub.add(NAME, files);
    hub.faults.push({ file: 'model.safetensors', ...fault });
    await expect(open()).rejects.toThrow(message);
    await expect(stat(blob())).rejects.toThrow();
    // Nothing of it is in the way of the next attempt.
    await open();
    await whole();
  });

  test('damaged bytes of an earlier run are fetched again', async () => {
    hub.add(NAME, files);
    await mkdir(join(root(), 'blobs'), { recursive: true });
    await writeFile(`${blob()}.incomplete`, new Uint8Array(100));
    await open();
    await whole();
  });

  test('a process at work keeps others away, a dead one does not', async () => {
    hub.add(NAME, files);
    await mkdir(join(root(), 'blobs'), { recursive: true });
    const lock = `${blob()}.incomplete.lock`;
    await writeFile(lock, String(process.pid));
    await expect(open()).rejects.toThrow(/process \d+ is fetching this file; wait for it, or delete .*\.lock/);
    await writeFile(lock, '2147483646');
    await open();
    await whole();
  });

  test('a cache that cannot be written', async () => {
    hub.add(NAME, files);
    await writeFile(cacheFolder, 'a file');
    await expect(open()).rejects.toThrow(/cannot write .*HF_HUB_CACHE/);
  });
});

describe('offline and unreachable', () => {
  test('what the cache lacks is named, with the cache and the command', async () => {
    hub.add(NAME, tiny);
    const offline = { offline: true };
    await expect(openModelFolder(NAME, options(offline))).rejects.toThrow(
      /^maker\/tiny@main: offline, and the cache .*models--maker--tiny lacks config\.json, model\.safetensors or .*; fetch it with: mindseye inspect maker\/tiny@main --download$/,
    );
    await openModelFiles(NAME, options({ parts: ['config', 'tokenizer', 'images'] }));
    await expect(openModelFolder(NAME, options(offline))).rejects.toThrow(/lacks model\.safetensors or model/);
    for (const value of ['1', 'true', 'YES', 'On']) {
      const environment = { HF_HUB_OFFLINE: value };
      hub.requests.length = 0;
      await expect(openModelFolder(NAME, options({ environment }))).rejects.toThrow(/offline/);
      expect(hub.requests).toEqual([]);
    }
  });

  test('a cached content that was removed is missing offline, and fetched again online', async () => {
    hub.add(NAME, tiny);
    await openModelFolder(NAME, options());
    await rm(join(root(), 'blobs', sha256(tiny['model.safetensors']!)));
    await expect(openModelFolder(NAME, options({ offline: true }))).rejects.toThrow(/lacks model\.safetensors/);
    hub.takeFileRequests();
    await openModelFolder(NAME, options());
    expect(hub.takeFileRequests()).toEqual(['model.safetensors']);
  });

  test.each<readonly [string, OpenModelOptions, RegExp]>([
    ['no such model', {}, /^none\/none@main: the hub http.* has no such model, or the model has no revision main/],
    [
      'no hub there',
      { endpoint: 'http://127.0.0.1:1' },
      /cannot be reached \(.+\); check the connection, or work offline/,
    ],
    ['no address', { endpoint: 'hub' }, /HF_ENDPOINT "hub" is not an address/],
  ])('%s', async (_, more, message) => {
    await expect(openModelFolder('none/none', options(more))).rejects.toThrow(message);
  });

  test('what is no hub is said to be none', async () => {
    hub.add(NAME, tiny, { revisions: { main: '../../../etc' } });
    await expect(openModelFolder(NAME, options())).rejects.toThrow(/gives "\.\.\/\.\.\/\.\.\/etc" for a commit/);
    const page = async () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } });
    await expect(openModelFolder(NAME, options({ fetch: page }))).rejects.toThrow(/does not answer as a hub does/);
    const endless = async () => new Response('['.repeat(1000) + ' '.repeat(65 * 2 ** 20));
    await expect(openModelFolder(NAME, options({ fetch: endless }))).rejects.toThrow(ModelFolderError);
  });

  test('file names of a hub cannot leave the cache', async () => {
    hub.add(NAME, { ...tiny, '../../evil.json': '{}', 'C:config.json': '{}', 'sub/config.json': '{}' });
    const files = await openModelFiles(NAME, options());
    expect([...files.names].toSorted()).toEqual(Object.keys(tiny).toSorted());
    expect(await readBytes(files, 'config.json', 1e6)).toEqual(tiny['config.json']);
  });
});
