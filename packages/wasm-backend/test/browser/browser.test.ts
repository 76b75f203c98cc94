/** The device in headless Chromium: on threads where the page is isolated, on one where it is not or forbids them. */
import { launchChromium } from '@mindseye/gpu-env';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { supportsTier } from '../../src/kernels/index.js';
import { type BrowserReport, run } from './program.js';
import { type Site, bundle, startSite } from './site.js';

/** A new one each time; it is in the address of the page, which a failure prints. */
const seed = Date.now() % 2 ** 31;

let site: Site;
let program: string;
let browser: Awaited<ReturnType<typeof launchChromium>>;
let inNode: BrowserReport;

beforeAll(async () => {
  program = await bundle('page.ts');
  site = await startSite(program);
  browser = await launchChromium();
  inNode = await run(seed);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  site?.close();
});

async function reportOf(path: string): Promise<BrowserReport> {
  const page = await browser.newPage();
  try {
    await page.goto(`${site.origin}${path}?seed=${seed}`);
    await page.waitForFunction(() => 'report' in globalThis);
    const result = await page.evaluate(
      () => (globalThis as unknown as { report: Promise<{ value?: BrowserReport; error?: string }> }).report,
    );
    expect(result.error, `${path}?seed=${seed}`).toBeUndefined();
    return result.value!;
  } finally {
    await page.close();
  }
}

const ALONE = { threads: 1, runningThreads: 0 };

describe('random graphs with their gradients are those of the reference engine, and have the bits that Node gives', () => {
  test('Node, on three threads, has a tier with fused multiply-adds', () => {
    expect(supportsTier('relaxed')).toBe(true);
    expect(inNode).toMatchObject({ wrong: [], sharedMemory: true, threads: 3, runningThreads: 2 });
    expect(inNode.digests.length).toBeGreaterThan(100);
  });

  test.each([
    ['/isolated', { isolated: true, sharedMemory: true, threads: 3, runningThreads: 2, waits: 0 }],
    ['/isolated-worker', { isolated: true, sharedMemory: true, threads: 3, runningThreads: 2 }],
    ['/plain', { isolated: false, sharedMemory: false, ...ALONE, waits: 0 }],
    ['/no-blobs', { isolated: true, sharedMemory: true, ...ALONE, waits: 0 }],
  ])('%s', async (path, expected) => {
    const report = await reportOf(path);
    expect(report, `seed ${seed}`).toMatchObject({ ...expected, wrong: [] });
    expect(report.digests, `seed ${seed}`).toEqual(inNode.digests);
    if (path === '/no-blobs') expect(report.threadsLost).toBe('the script of a thread could not be started');
    else expect(report.threadsLost).toBeUndefined();
  });
});

/** As in the check of the packed packages: text that is there only if Node's modules were pulled in. */
const NODE_ONLY = [/["'`]node:/, /vite_browser_external/];

test('nothing of Node is in the bundle of the package', async () => {
  const code = await bundle('../../src/index.ts');
  expect(code.includes('createWasmDevice')).toBe(true);
  for (const pattern of NODE_ONLY) expect([code, program].filter((text) => pattern.test(text))).toHaveLength(0);
});
