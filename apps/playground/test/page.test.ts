import { launchChromium } from '@mindseye/gpu-env';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fileURLToPath } from 'node:url';
import { type PreviewServer, preview } from 'vite';

// The built page, served as `vite preview` serves it. `build` runs before `test`.
let server: PreviewServer;
let browser: Awaited<ReturnType<typeof launchChromium>>;

beforeAll(async () => {
  server = await preview({ root: fileURLToPath(new URL('..', import.meta.url)), preview: { port: 0 } });
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('the built page loads without an error, isolated, with WebGPU', async () => {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.goto(server.resolvedUrls!.local[0]!);
  await page.locator('h1').waitFor();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(await page.evaluate(async () => (await navigator.gpu.requestAdapter()) !== null)).toBe(true);
  expect(errors).toEqual([]);
});
