/** Models from elsewhere than beside the page: a hub, and a folder that is dropped; and what their weights are kept in. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { counting } from '@mindseye/eval';
import { samplingOf } from '@mindseye/qwen-vl';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { assembleModel } from '../src/worker/model-parts.js';
import { randomModel } from '../src/worker/random-model.js';
import { FakeHub, serveHub } from './support/hub.js';
import { checkpointFiles, modelFiles } from './support/model-files.js';
import { type Page, type Site, startSite } from './support/opened-page.js';
import { NO_MODEL, answer, ask, shown } from './support/page-parts.js';

const NAME = 'maker/tiny';
const EXAMPLE = fileURLToPath(new URL('../../../examples/tiny-livr', import.meta.url));
/** A scene, so that a question can be asked. */
const { image, question } = counting.generate('test', 0);

let site: Site;
let hub: FakeHub;

beforeAll(async () => {
  [site, hub] = await Promise.all([startSite(), FakeHub.start()]);
});
afterEach(() => void hub.takeFileRequests());
afterAll(async () => {
  await site?.close();
  await hub?.close();
});

const alert = (page: Page) => page.getByRole('alert');
const fact = (page: Page, term: string) => page.locator('.fact-list > div', { hasText: term }).locator('dd');

async function openFromHub(page: Page, name: string): Promise<void> {
  await page.getByLabel('From Hugging Face').fill(name);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
}

test('a model of the hub: what there is to fetch is said, then fetched once, and it answers with its own settings as in Node', async () => {
  const random = await randomModel(7);
  const generation = { ...random.generation, doSample: true, temperature: 2, topK: 50, maxNewTokens: 6 };
  const parts = { ...random, generation };
  const files = await checkpointFiles(parts);
  hub.add(NAME, Object.fromEntries(files));
  const { page, errors } = await site.open(NO_MODEL);
  await serveHub(page, hub);
  await page.getByText('There is no trained model beside this page').waitFor();
  expect(hub.requests).toEqual([]);

  await openFromHub(page, NAME);
  const fetch = page.getByRole('button', { name: /^Fetch \d\.\d+ MB$/ });
  await fetch.waitFor();
  const small = ['generation_config.json', 'config.json'];
  expect(hub.takeFileRequests().toSorted()).toEqual(small.toSorted());
  const large = [...files].filter(([name]) => !small.includes(name));
  const megabytes = large.reduce((sum, [, content]) => sum + content.length, 0) / 1e6;
  expect(await fetch.innerText()).toBe(`Fetch ${megabytes.toPrecision(3)} MB`);

  await fetch.click();
  await page.locator('dd', { hasText: NAME }).waitFor();
  expect(hub.takeFileRequests().toSorted()).toEqual(large.map(([name]) => name).toSorted());
  const inNode = assembleModel({ ...parts, adapter: undefined }, createWasmDevice());
  const decoding = { maxNewTokens: 6, stopIds: generation.eosTokenIds };
  const expected = shown(
    await inNode.answer({ question, images: [image], ...decoding, sampling: samplingOf(generation) }),
  );
  expect(expected).not.toBe(shown(await inNode.answer({ question, images: [image], ...decoding })));
  expect(await ask(page)).toBe(expected);

  // The next time nothing is asked of the hub.
  await page.reload();
  await page.getByText('There is no trained model beside this page').waitFor();
  hub.requests.length = 0;
  hub.storageRequests.length = 0;
  await openFromHub(page, NAME);
  await page.locator('dd', { hasText: NAME }).waitFor();
  expect(await ask(page)).toBe(expected);
  expect([...hub.requests, ...hub.storageRequests]).toEqual([]);
  expect(errors).toEqual([]);
});

test('a model that is too large is refused with the cure before anything large is fetched', async () => {
  hub.add(NAME, Object.fromEntries(await checkpointFiles(await randomModel(7))));
  const { page } = await site.open(NO_MODEL);
  await serveHub(page, hub, (asked, listed) =>
    asked.includes('/tree/')
      ? (listed as { path: string; size: number; lfs?: object }[]).map((file) =>
          file.path === 'model.safetensors' ? { ...file, size: 7.5e9, lfs: { ...file.lfs, size: 7.5e9 } } : file,
        )
      : listed,
  );
  await openFromHub(page, NAME);
  await alert(page)
    .getByText(
      /^maker\/tiny@main is too large: its weights take 7\.50 GB as stored, and the CPU .* choose int8 weights/,
    )
    .waitFor();
  expect(hub.takeFileRequests()).not.toContain('model.safetensors');
  expect(await page.getByRole('button', { name: /^Fetch/ }).count()).toBe(0);
});

test('a name that is none, and a model that the hub does not have, end in one line', async () => {
  const { page } = await site.open(NO_MODEL);
  await serveHub(page, hub);
  await openFromHub(page, 'tiny');
  await alert(page).getByText('"tiny" is no name of a model').waitFor();
  await openFromHub(page, 'nobody/nothing');
  await alert(page).getByText('nobody/nothing@main: the hub https://huggingface.co has no such model').waitFor();
});

/** Drops what lies at a path of this machine in the middle of the page, as a browser does it. */
async function drop(page: Page, file: string): Promise<void> {
  const browser = await page.context().newCDPSession(page);
  const data = { items: [], files: [file], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
    await browser.send('Input.dispatchDragEvent', { type, x: 300, y: 60, data });
}

test('a folder dropped on the page is a model with its adapter, a file is a picture', async () => {
  const parts = await randomModel(7);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'dropped-'));
  try {
    await mkdir(path.join(folder, 'adapter'));
    for (const [name, content] of await modelFiles(parts, '.')) await writeFile(path.join(folder, name), content);
    const { page, errors } = await site.open(NO_MODEL);
    await page.getByText('counting/test/0, 112 × 112').waitFor();
    await drop(page, folder);
    await page.getByText(`${path.basename(folder)}, from this machine`).waitFor();
    const inNode = assembleModel(await randomModel(7), createWasmDevice());
    expect(await fact(page, 'Latent tokens').innerText()).toBe(String(parts.latentIds.length));
    expect(await ask(page)).toBe(shown(await inNode.answer({ question, images: [image] })));
    await drop(page, fileURLToPath(new URL('../../../examples/counting.png', import.meta.url)));
    await page.getByText('counting.png, 448 × 448').waitFor();
    expect(errors).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('weights kept in fewer bits take less memory, and the model still answers', async () => {
  const { page, errors } = await site.open(NO_MODEL);
  await page.getByLabel('Model folder').setInputFiles(EXAMPLE);
  const bytes: number[] = [];
  for (const storage of ['As stored', 'int8', 'int4']) {
    await page.getByText(storage, { exact: true }).click();
    await page.getByText('tiny-livr, from this machine').waitFor();
    bytes.push(Number.parseFloat(await fact(page, 'Weights in memory').innerText()));
    await ask(page);
    expect(await answer(page).textContent()).toMatch(/^\d+$/);
  }
  expect(bytes).toEqual(bytes.toSorted((a, b) => b - a));
  expect(bytes[2]).toBeLessThan(0.7 * bytes[0]!);
  expect(errors).toEqual([]);
});
