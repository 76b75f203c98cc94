/** Models by their names on a hub, which is one on this machine. Needs the built `dist` for what is killed. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { counting } from '@mindseye/eval';
import { writePng } from '@mindseye/qwen-vl/node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { COMMIT, FakeHub, sha256 } from '../../../packages/qwen-vl/test/files/fake-hub.js';
import { mindseye, refuse, succeed } from './support/command.js';

const EXAMPLE = path.resolve(import.meta.dirname, '../../../examples/tiny-livr');
const MAIN = path.resolve(import.meta.dirname, '../dist/main.js');
const QUESTION = 'How many red circles are there in the image?';

const filesOf = async (folder: string): Promise<Record<string, Uint8Array>> =>
  Object.fromEntries(
    await Promise.all(
      (await readdir(folder)).map(
        async (name) => [name, new Uint8Array(await readFile(path.join(folder, name)))] as const,
      ),
    ),
  );

describe('models on a hub', () => {
  let hub: FakeHub;
  let folder = '';
  let model: Record<string, Uint8Array> = {};
  let cache = 0;
  const environment = (): Record<string, string> => ({
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: path.join(folder, String(cache)),
    HF_HOME: path.join(folder, 'home'),
    HF_TOKEN: '',
    HUGGING_FACE_HUB_TOKEN: '',
    HF_HUB_OFFLINE: '',
  });
  const blobs = (): string => path.join(folder, String(cache), 'models--maker--livr', 'blobs');
  const ask = (...more: string[]): string[] => [
    'ask',
    '--model',
    'maker/livr',
    '--image',
    path.join(folder, 'scene.png'),
    ...more,
    QUESTION,
  ];

  beforeAll(async () => {
    hub = await FakeHub.start();
    folder = await mkdtemp(path.join(os.tmpdir(), 'mindseye-hub-'));
    await writePng(path.join(folder, 'scene.png'), { ...counting.generate('test', 2).image, channels: 3 });
    model = await filesOf(path.join(EXAMPLE, 'model'));
    hub.add('maker/livr', model);
    hub.add('maker/livr-lora', await filesOf(path.join(EXAMPLE, 'adapter')));
  });
  afterAll(async () => {
    await hub.close();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    cache++;
    hub.requests.length = 0;
    for (const [name, value] of Object.entries(environment())) vi.stubEnv(name, value);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    expect(hub.faults).toEqual([]);
  });

  test('answer as from folders, with the adapter from the hub too, and are fetched once', async () => {
    const local = ['ask', '--model', path.join(EXAMPLE, 'model'), '--adapter', path.join(EXAMPLE, 'adapter')];
    const expected = await succeed(...local, '--image', path.join(folder, 'scene.png'), QUESTION);
    const named = ask('--adapter', 'maker/livr-lora');
    const first = await mindseye(named);
    expect(first).toMatchObject({ code: 0, stdout: expected });
    expect(first.stderr).toMatch(/fetching maker\/livr, MB \d\/2/);
    hub.requests.length = 0;
    expect(await mindseye(named)).toEqual({ code: 0, stdout: expected, stderr: '' });
    expect(await succeed(...ask('--adapter', 'maker/livr-lora', '--offline'))).toBe(expected);
    expect(hub.requests).toEqual([]);
  });

  test('inspect reads headers only, and fetches all when told to', async () => {
    const report = JSON.parse((await mindseye(['inspect', 'maker/livr@main', '--json'])).stdout);
    expect(report).toMatchObject({
      repository: { name: 'maker/livr', revision: 'main', commit: COMMIT },
      weights: { loaded: 104, missing: [] },
      problems: [],
    });
    expect(await readdir(blobs())).not.toContain(sha256(model['model.safetensors']!));
    await refuse(
      ask('--offline'),
      1,
      /maker\/livr@main: offline, and the cache .* lacks model\.safetensors or .*; fetch it with: mindseye inspect maker\/livr@main --download/,
    );
    expect((await mindseye(['inspect', 'maker/livr@main', '--download'])).code).toBe(0);
    expect(await readdir(blobs())).toContain(sha256(model['model.safetensors']!));
    expect((await mindseye(ask('--offline'))).code).toBe(0);
    const adapter = JSON.parse((await mindseye(['inspect', 'maker/livr-lora', '--json'])).stdout);
    expect(adapter).toMatchObject({ kind: 'adapter', adapter: { rank: 16 }, problems: [], missing: [] });
  });

  test('what a model on the hub does not have', async () => {
    const { 'tokenizer.json': _, ...rest } = model;
    hub.add('maker/mute', rest);
    await refuse(
      ['ask', '--model', 'maker/mute', '--image', path.join(folder, 'scene.png'), QUESTION],
      1,
      /missing tokenizer\.json; the model on the hub does not have it/,
    );
    const outcome = await mindseye(['inspect', 'maker/mute']);
    expect(outcome.stderr).toMatch(/maker\/mute@main lacks tokenizer\.json; the model on the hub does not have it/);
    await refuse(['inspect', 'maker/none'], 1, /maker\/none@main: .* has no such model/);
    await refuse(['inspect', 'maker/livr@v2'], 1, /maker\/livr@v2: .*no revision v2/);
    await refuse(['inspect', 'maker/livr@v2', '--revision', 'main'], 1, /are two; give one/);
  });

  test('an interrupt keeps what has come, and the same command goes on there', async () => {
    hub.faults.push({ file: 'model.safetensors', hang: 200_000 });
    const stopped = await mindseye(['inspect', 'maker/livr', '--download'], { interruptAt: 'fetching' });
    expect(stopped.stderr).toMatch(
      /error: interrupted; what has come of maker\/livr is kept, and the same command goes on from there\n$/,
    );
    expect(stopped.code).toBe(130);
    hub.faults.length = 0;
    expect((await mindseye(['inspect', 'maker/livr', '--download'])).code).toBe(0);
  });

  test('a killed process too', async () => {
    const sent = 200_000;
    hub.faults.push({ file: 'model.safetensors', hang: sent });
    const incomplete = path.join(blobs(), `${sha256(model['model.safetensors']!)}.incomplete`);
    const child = spawn(process.execPath, [MAIN, 'inspect', 'maker/livr', '--download'], {
      env: { ...process.env, ...environment() },
      stdio: 'ignore',
    });
    const closed = new Promise((resolve) => child.on('close', resolve));
    await vi.waitFor(async () => expect((await stat(incomplete)).size).toBe(sent), { timeout: 30_000 });
    child.kill('SIGKILL');
    await closed;
    hub.takeFileRequests();
    expect((await mindseye(['inspect', 'maker/livr', '--download'])).code).toBe(0);
    expect(hub.takeFileRequests()).toEqual([`model.safetensors bytes=${sent}-`]);
    expect((await readdir(blobs())).filter((name) => name.includes('incomplete'))).toEqual([]);
  });
});
