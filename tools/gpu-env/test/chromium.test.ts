import { expect, test } from 'vitest';
import { launchChromium } from '../index.ts';
import { isSupported } from '../unpack.ts';

test.runIf(isSupported)('Chromium from npm starts, has fonts, and gives a WebGPU adapter', async () => {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    // WebGPU exists in secure contexts only, and http://localhost is one; nothing needs to listen there.
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<p id="text">latent</p>' }));
    await page.goto('http://localhost/');
    const box = await page.locator('#text').boundingBox();
    expect(box?.height).toBeGreaterThan(0);
    expect(await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.info.architecture)).toBe(
      'swiftshader',
    );
  } finally {
    await browser.close();
  }
});
