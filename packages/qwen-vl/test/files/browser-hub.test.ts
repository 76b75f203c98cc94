/** Models of a hub in a page: the cache in the page's own file system, here one in memory. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type BrowserHubOptions, openHubModel } from '../../src/files/hub/browser-hub.js';
import type { HubProgress } from '../../src/files/hub/hub-files.js';
import { ModelFolder } from '../../src/files/model-folder.js';
import { readBytes } from '../../src/files/read-file.js';
import { goldenPath } from '../support/golden.js';
import { blobName, COMMIT, FakeHub, sha256 } from './fake-hub.js';
import { MemoryDirectory, type MemoryRules } from './memory-opfs.js';

const NAME = 'maker/tiny';
let hub: FakeHub;
const tiny: Record<string, Uint8Array> = {};

beforeAll(async () => {
  hub = await FakeHub.start();
  const folder = goldenPath('models/tiny-tied');
  for (const name of await readdir(folder)) tiny[name] = new Uint8Array(await readFile(join(folder, name)));
});
afterAll(() => hub.close());
beforeEach(() => {
  hub.faults.length = 0;
  hub.requests.length = 0;
});

const rules: readonly (readonly [string, MemoryRules])[] = [
  ['in a worker', { inPlace: true, move: true }],
  ['in a page', { inPlace: false, move: true }],
  ['in a browser that cannot rename', { inPlace: true, move: false }],
];

describe.each(rules)('%s', (_, allowed) => {
  const fresh = (): MemoryDirectory => new MemoryDirectory('hub', allowed);
  const open = (cache: MemoryDirectory, more: BrowserHubOptions = {}) =>
    openHubModel(NAME, { cache, endpoint: hub.endpoint, retry: { attempts: 3, pause: 1, stall: 2000 }, ...more });
  const folderOf = (cache: MemoryDirectory, name: string) =>
    cache.folders.get('models--maker--tiny')!.folders.get(name)!;

  test('a model is fetched once, in the layout of the cache on disk', async () => {
    hub.add(NAME, tiny);
    const cache = fresh();
    const folder = await ModelFolder.open(await open(cache));
    expect((await folder.loadWeights()).report.missing).toEqual([]);
    expect(folder.files.repository).toEqual({ name: NAME, revision: 'main', commit: COMMIT });
    expect(new TextDecoder().decode(folderOf(cache, 'refs').files.get('main')!.bytes)).toBe(COMMIT);
    const snapshot = folderOf(cache, 'snapshots').folders.get(COMMIT)!;
    for (const [name, bytes] of Object.entries(tiny)) {
      expect(new TextDecoder().decode(snapshot.files.get(name)!.bytes)).toBe(`../../blobs/${blobName(bytes)}`);
      const file = blobName(bytes) + (allowed.move ? '' : '.incomplete');
      expect(folderOf(cache, 'blobs').files.get(file)!.bytes).toEqual(bytes);
    }
    hub.requests.length = 0;
    expect(await readBytes(await open(cache, { offline: true }), 'config.json', 1e6)).toEqual(tiny['config.json']);
    await open(cache);
    expect(hub.requests).toEqual([]);
    await open(cache, { refresh: true });
    expect(hub.takeFileRequests()).toEqual([]);
  });

  test('stopped anywhere, it goes on where the file ends', async () => {
    const content = Uint8Array.from({ length: 70_000 }, (_unused, i) => (i * 7919) >>> 3);
    hub.add(NAME, { 'config.json': '{}', 'model.safetensors': content });
    const parts = ['config', 'weights'] as const;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: content.length - 1 }), async (cut) => {
        const cache = fresh();
        const abort = new AbortController();
        const onProgress = ({ done }: HubProgress): void => {
          if (done >= cut) abort.abort(new Error('enough'));
        };
        hub.faults.push({ file: 'model.safetensors', cut });
        await expect(open(cache, { parts, onProgress, signal: abort.signal })).rejects.toThrow('enough');
        hub.faults.length = 0;
        const left = folderOf(cache, 'blobs').files.get(`${sha256(content)}.incomplete`)?.bytes.length ?? 0;
        hub.takeFileRequests();
        expect(await readBytes(await open(cache, { parts }), 'model.safetensors', 1e6)).toEqual(content);
        expect(hub.takeFileRequests()).toEqual([left === 0 ? 'model.safetensors' : `model.safetensors bytes=${left}-`]);
      }),
      { numRuns: 10 },
    );
  });

  test('damaged bytes are refused and not kept', async () => {
    hub.add(NAME, tiny);
    const cache = fresh();
    for (const file of ['config.json', 'model.safetensors']) {
      hub.faults.push({ file, damage: true });
      await expect(open(cache)).rejects.toThrow(`${file} does not have the digest that the hub gives`);
    }
    await ModelFolder.open(await open(cache));
  });

  test('offline it says what lacks and where', async () => {
    await expect(open(fresh(), { offline: true })).rejects.toThrow(
      /maker\/tiny@main: offline, and the cache the page’s storage, hub\/models--maker--tiny lacks config\.json/,
    );
  });
});

test('a text that is no name is refused', async () => {
  const cache = new MemoryDirectory('hub', { inPlace: true, move: true });
  await expect(openHubModel('tiny', { cache })).rejects.toThrow(
    /"tiny" is no name of a model; give one like organisation/,
  );
});
