/**
 * The built packages in headless Chromium, as a page would load them: ES modules through an import map, no bundler.
 * The page's only origin is this test.
 */
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '@mindseye/gpu-env';
import { expect, test } from 'vitest';
import type { BrowserReport } from './browser/program.js';

const origin = 'http://localhost';
const folderOf = (url: string): string => path.dirname(fileURLToPath(url));
const testFolder = import.meta.dirname;

/** Folders served under the first part of a path. */
const folders: Readonly<Record<string, string>> = {
  core: folderOf(import.meta.resolve('@mindseye/tensor-core')),
  webgpu: folderOf(import.meta.resolve('@mindseye/webgpu-backend')),
};

const imports = {
  '@mindseye/tensor-core': '/core/index.js',
  '@mindseye/webgpu-backend': '/webgpu/index.js',
  '#gpu': '/webgpu/gpu.browser.js',
};

const page = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
  import { run } from '/browser/program.js';
  globalThis.report = run().then((value) => ({ value }), (error) => ({ error: String(error) }));
</script>`;

const sources: Readonly<Record<string, string>> = {
  '/browser/program.js': path.join(testFolder, 'browser', 'program.ts'),
  '/training-step.js': path.join(testFolder, 'training-step.ts'),
};

async function answer(pathname: string): Promise<{ readonly contentType: string; readonly body: string }> {
  const [, folder, ...rest] = pathname.split('/');
  const source = sources[pathname];
  if (source) return { contentType: 'text/javascript', body: stripTypeScriptTypes(await readFile(source, 'utf8')) };
  if (folders[folder!])
    return { contentType: 'text/javascript', body: await readFile(path.join(folders[folder!]!, ...rest), 'utf8') };
  return { contentType: 'text/html', body: page };
}

const difference = ([actual, expected]: readonly [readonly number[], readonly number[]]): number =>
  Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!)));

test('forward, gradient and two training steps on navigator.gpu are those of the reference', async () => {
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    await tab.route('**/*', async (route) => route.fulfill(await answer(new URL(route.request().url()).pathname)));
    await tab.goto(origin);
    const result = await tab.evaluate(
      () => (globalThis as unknown as { report: Promise<{ value?: BrowserReport; error?: string }> }).report,
    );
    expect(result.error).toBeUndefined();
    const { architecture, forward, gradient, losses, badIndex } = result.value!;
    expect(architecture).not.toBe('');
    for (const pair of [forward, gradient, losses]) {
      expect(pair[1].length).toBeGreaterThan(1);
      expect(difference(pair)).toBeLessThan(1e-5);
    }
    expect(badIndex).toBe("RangeError: gather: index 9 is outside the table's 3 rows");
  } finally {
    await browser.close();
  }
});
