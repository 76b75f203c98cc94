import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { counting } from '@mindseye/eval';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assembleModel } from '../src/worker/model-parts.js';
import type { Condition } from '../src/worker/protocol.js';
import { randomModel } from '../src/worker/random-model.js';
import { modelFiles } from './support/model-files.js';
import { type Page, type Site, startSite } from './support/opened-page.js';
import { NO_MODEL, answer, ask, buildRandomModel, facts, heatMap, shown } from './support/page-parts.js';

let site: Site;

beforeAll(async () => {
  site = await startSite();
});

afterAll(() => site?.close());

/** Serves the files of an example model to the page. @returns their folders and names */
async function serveExample(page: Page, example: string): Promise<[part: string, name: string][]> {
  await page.route('**/models/source/**', (route) =>
    route.fulfill({
      body: readFileSync(path.join(example, new URL(route.request().url()).pathname.split('/source/')[1]!)),
    }),
  );
  return ['model', 'adapter'].flatMap((part) =>
    readdirSync(path.join(example, part)).map((name): [string, string] => [part, name]),
  );
}

test('the built page loads without an error, isolated, with WebGPU, and opens the model it carries', async () => {
  const { page, errors } = await site.open();
  await page.locator('h1').waitFor();
  const catalog = readFileSync(new URL('../dist/models/catalog.json', import.meta.url), 'utf8');
  const hasModel = catalog.includes('models/tiny-livr/config.json');
  await page.getByText(hasModel ? 'tiny-livr, trained to count' : 'There is no trained model').waitFor();
  await page.getByRole('img', { name: 'The picture counting/test/0' }).waitFor();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(await page.evaluate(async () => (await navigator.gpu.requestAdapter()) !== null)).toBe(true);
  expect(errors).toEqual([]);
});

test('without a trained model the page says so, and one with random weights runs a forward pass', async () => {
  const { page, errors } = await site.open(NO_MODEL);
  await page.getByText('There is no trained model beside this page').waitFor();
  expect(await page.getByRole('button', { name: 'Ask', exact: true }).isDisabled()).toBe(true);
  await buildRandomModel(page);
  expect(await ask(page)).not.toBe('');
  // The page is isolated, so the CPU has the threads of this machine.
  const threads = await page.evaluate(() => Math.min(navigator.hardwareConcurrency, 16));
  expect(await facts(page).innerText()).toMatch(new RegExp(`\\d+ tokens.*wasm \\w+, ${threads} thread`, 's'));
  expect(await heatMap(page).getAttribute('aria-label')).toMatch(/row \d, column \d \(\d+\.\d %\)/);
  expect(errors).toEqual([]);
});

test('a model folder answers in the page as it does in Node, under every condition', async () => {
  const { page, errors } = await site.open(await modelFiles(await randomModel(7)));
  await page.getByText('tiny-livr, trained to count').waitFor();
  const latentModel = assembleModel(await randomModel(7), createWasmDevice());
  const { image, question } = counting.generate('test', 0);
  const inNode = async (condition: Condition) =>
    shown(await latentModel.answer({ question, images: [image], condition }));

  expect(await ask(page)).toBe(await inNode('standard'));
  const [map] = await latentModel.attentionMaps({ question, images: [image] });
  const most = Math.max(...map!.weights);
  expect(await heatMap(page).getAttribute('aria-label')).toContain(`(${(100 * most).toFixed(1)} %)`);

  // A switch asks again.
  await page.getByText('Latents removed', { exact: true }).click();
  await page.getByText('Without latents there is no map').waitFor();
  expect(await answer(page).textContent()).toBe(await inNode('no-latents'));
  expect(await heatMap(page).count()).toBe(0);
  await page.getByText('Bottleneck', { exact: true }).click();
  await page.getByText('Where the latents looked').waitFor();
  expect(await answer(page).textContent()).toBe(await inNode('bottleneck'));
  expect(errors).toEqual([]);
});

test('a model folder from this machine answers as the one beside the page, also without a picker of folders', async () => {
  const { page, errors } = await site.open(NO_MODEL);
  await page.getByText('There is no trained model beside this page').waitFor();
  const example = fileURLToPath(new URL('../../../examples/tiny-livr', import.meta.url));
  await page.getByLabel('Model folder').setInputFiles(example);
  await page.getByText('tiny-livr, from this machine').waitFor();
  expect(await page.locator('dd', { hasText: 'adapter' }).innerText()).toMatch(/^776,320 \+ \d/);

  const beside = await site.open();
  await beside.page.getByText('tiny-livr, trained to count').waitFor();
  const [chosen, bundled] = [await ask(page), await ask(beside.page)];
  expect(chosen).toBe(bundled);
  expect(chosen).toMatch(/^\d+$/);

  // The picker gives a handle in place of files; the page's own file system has handles without a person.
  await page.evaluate(
    async (names) => {
      const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('picked', { create: true });
      for (const [part, name] of names) {
        const folder = await root.getDirectoryHandle(part, { create: true });
        const content = await (await fetch(`models/source/${part}/${name}`)).arrayBuffer();
        const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
        await writable.write(content);
        await writable.close();
      }
      Object.assign(window, { showDirectoryPicker: async () => root });
    },
    await serveExample(page, example),
  );
  await page.getByRole('button', { name: 'Open a model folder' }).click();
  await page.getByText('picked, from this machine').waitFor();
  expect(await ask(page)).toBe(bundled);
  expect(errors).toEqual([]);
});

test('a folder without a model, and one that lacks files, end in one line that names what is missing', async () => {
  const { page } = await site.open(NO_MODEL);
  await page.getByText('There is no trained model beside this page').waitFor();
  const folder = await mkdtemp(path.join(os.tmpdir(), 'model-'));
  try {
    await writeFile(path.join(folder, 'config.json'), '{}');
    await page.getByLabel('Model folder').setInputFiles(folder);
    const alert = page.getByRole('alert');
    await alert.getByText('missing model.safetensors or model.safetensors.index.json, tokenizer.json').waitFor();
    expect((await alert.innerText()).replace(/\s*Dismiss$/, '')).not.toContain('\n');
    await buildRandomModel(page);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a damaged model ends in one line that names the file, and another model can be opened', async () => {
  const files = new Map(await modelFiles(await randomModel(0)));
  const weights = 'models/tiny-livr/model.safetensors';
  files.set(weights, files.get(weights)!.slice(0, 1000));
  const { page } = await site.open(files);
  await page.getByText('The model could not be opened.').waitFor();
  const line = await page.getByRole('alert').innerText();
  expect(line).toContain(weights);
  expect(line.replace(/\s*Dismiss$/, '')).not.toContain('\n');
  await buildRandomModel(page);
  expect(await ask(page)).not.toBe('');
});

test('pictures: the next scene, an example, a file of one’s own, and a file that is none', async () => {
  const { page, errors } = await site.open(NO_MODEL);
  const caption = page.locator('figcaption');
  await page.getByText('counting/test/0, 112 × 112').waitFor();
  await page.getByRole('button', { name: 'New scene' }).click();
  await page.getByText('counting/test/1, 112 × 112').waitFor();
  expect(await page.getByLabel('Question', { exact: true }).inputValue()).toBe(counting.describe('test', 1).question);
  await page.getByRole('button', { name: 'Example counting.png' }).click();
  await page.getByText('counting.png, 448 × 448').waitFor();

  const file = page.getByLabel('Your own picture');
  await file.setInputFiles(fileURLToPath(new URL('../../../examples/counting.jpg', import.meta.url)));
  await page.getByText('counting.jpg, 448 × 448').waitFor();
  await file.setInputFiles({ name: 'letter.png', mimeType: 'image/png', buffer: Buffer.from('Dear reader') });
  await page.getByText('letter.png: not a known image format').waitFor();
  expect(await caption.innerText()).toContain('counting.jpg');
  expect(errors).toEqual([]);
});

test('Enter asks, the slider fades the map, and a new question takes the answer away', async () => {
  const { page } = await site.open(NO_MODEL);
  await buildRandomModel(page);
  const question = page.getByLabel('Question', { exact: true });
  await question.press('Enter');
  await heatMap(page).waitFor();
  await page.getByLabel('Heat map opacity').fill('25');
  expect(await heatMap(page).evaluate((element) => getComputedStyle(element).opacity)).toBe('0.25');
  await question.fill('Is there a red circle in the image?');
  expect(await heatMap(page).count()).toBe(0);
});

test('the GPU gives the same answer as the CPU', async () => {
  const { page, errors } = await site.open(NO_MODEL);
  await buildRandomModel(page);
  const onCpu = await ask(page);
  await page.getByLabel('GPU (WebGPU)').check();
  await page.locator('dd', { hasText: 'webgpu' }).waitFor();
  expect(await ask(page)).toBe(onCpu);
  expect(await facts(page).innerText()).toContain('webgpu');
  expect(errors).toEqual([]);
});
