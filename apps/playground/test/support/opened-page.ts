/** The built page as `vite preview` serves it, in a headless Chromium. `build` runs before `test`. */
import { fileURLToPath } from 'node:url';
import { launchChromium } from '@mindseye/gpu-env';
import { preview } from 'vite';

type Browser = Awaited<ReturnType<typeof launchChromium>>;
export type Page = Awaited<ReturnType<Browser['newPage']>>;

export interface OpenedPage {
  readonly page: Page;
  /** Uncaught errors and errors of the console so far. */
  readonly errors: readonly string[];
}

/** Files to serve under the page's address in place of the build's models. */
export type ServedFiles = ReadonlyMap<string, Uint8Array>;

const PICTURES = ['pictures/counting.png', 'pictures/counting.jpg'];

/** For the slowest: the first shaders on a software GPU. */
const LONGEST_WAIT = 90_000;

export interface Site {
  open(models?: ServedFiles): Promise<OpenedPage>;
  close(): Promise<void>;
}

export async function startSite(): Promise<Site> {
  const server = await preview({ root: fileURLToPath(new URL('../..', import.meta.url)), preview: { port: 0 } });
  const browser = await launchChromium();
  const address = server.resolvedUrls!.local[0]!;
  return {
    async open(models) {
      const page = await browser.newPage();
      page.setDefaultTimeout(LONGEST_WAIT);
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
      });
      if (models) await serve(page, address, models);
      await page.goto(address);
      return { page, errors };
    },
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

async function serve(page: Page, address: string, files: ServedFiles): Promise<void> {
  const catalog = new TextEncoder().encode(JSON.stringify({ files: [...files.keys(), ...PICTURES] }));
  const served = new Map([...files, ['models/catalog.json', catalog]]);
  await page.route(`${address}models/**`, (route) => {
    const body = served.get(route.request().url().slice(address.length));
    return body ? route.fulfill({ body: Buffer.from(body) }) : route.fulfill({ status: 404, body: '' });
  });
}
