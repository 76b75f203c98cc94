/** Chromium's decoder against Node's, on one file of every kind: the same samples, and so the same tensors, where no bit is lost. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '@mindseye/gpu-env';
import type * as Library from '@mindseye/qwen-vl';
import { ImageProcessor, resolvePreprocessorConfig, toRgb, type RasterImage } from '@mindseye/qwen-vl';
import { decodeImage } from '@mindseye/qwen-vl/node';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';

type Browser = Awaited<ReturnType<typeof launchChromium>>;
type Page = Awaited<ReturnType<Browser['newPage']>>;

/** Everything that can be compared, from one side. */
interface Decoded {
  readonly size: readonly [width: number, height: number];
  readonly rgb: readonly number[];
  /** SHA-256 of the bytes of `pixelValues`. */
  readonly tensor: string;
}
type Outcome = Decoded | { readonly error: string };

const images = (name: string): string =>
  fileURLToPath(new URL(`../../../packages/qwen-vl/test/golden/images/${name}`, import.meta.url));
const { entries } = JSON.parse(readFileSync(images('encoded.json'), 'utf8')) as {
  entries: { file: string; lossless: boolean }[];
};
const container = readFileSync(images('encoded.safetensors'));
const headerEnd = 8 + Number(container.readBigUInt64LE(0));
const table = JSON.parse(container.toString('utf8', 8, headerEnd)) as Record<
  string,
  { data_offsets: [number, number] }
>;
const fileOf = (name: string): Uint8Array<ArrayBuffer> => {
  const [start, end] = table[name]!.data_offsets;
  return new Uint8Array(container.subarray(headerEnd + start, headerEnd + end));
};
const PREPROCESSOR = { patch_size: 4, min_pixels: 64, max_pixels: 4096 };

const PAGE =
  "<!doctype html><script type=module>import * as all from '/qwen-vl.js'; globalThis.library = all;</script>";

let browser: Browser;
let page: Page;

beforeAll(async () => {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      lib: { entry: fileURLToPath(import.meta.resolve('@mindseye/qwen-vl')), formats: ['es'], fileName: 'qwen-vl' },
    },
  });
  const [bundle] = Array.isArray(built) ? built : [built];
  if (!bundle || !('output' in bundle)) throw new Error('vite built nothing');
  browser = await launchChromium();
  page = await browser.newPage();
  await page.route('**/*', (route) =>
    new URL(route.request().url()).pathname === '/qwen-vl.js'
      ? route.fulfill({ contentType: 'text/javascript', body: bundle.output[0].code })
      : route.fulfill({ contentType: 'text/html', body: PAGE }),
  );
  await page.goto('http://localhost');
  await page.waitForFunction(() => 'library' in globalThis);
});

afterAll(() => browser?.close());

type Options = { readonly orientation?: 'ignore'; readonly sixteenBitGrey?: 'clip'; readonly maxPixels?: number };

function inBrowser(file: Uint8Array, options: Options = {}): Promise<Outcome> {
  return page.evaluate(
    async ({ bytes, settings, preprocessor }): Promise<Outcome> => {
      const { library } = globalThis as unknown as { library: typeof Library };
      try {
        const image = await library.decodeImageInBrowser(new Uint8Array(bytes), settings);
        const processor = new library.ImageProcessor(library.resolvePreprocessorConfig(preprocessor));
        const digest = await crypto.subtle.digest('SHA-256', processor.process([image]).pixelValues as BufferSource);
        return {
          size: [image.width, image.height],
          rgb: [...library.toRgb(image).data],
          tensor: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
        };
      } catch (error) {
        return { error: String(error) };
      }
    },
    { bytes: [...file], settings: options, preprocessor: PREPROCESSOR },
  );
}

function described(image: RasterImage): Decoded {
  const { pixelValues } = new ImageProcessor(resolvePreprocessorConfig(PREPROCESSOR)).process([image]);
  return {
    size: [image.width, image.height],
    rgb: [...toRgb(image).data],
    tensor: createHash('sha256').update(new Uint8Array(pixelValues.buffer)).digest('hex'),
  };
}

test.each(entries.filter(({ lossless }) => lossless))('$file: equal', async ({ file }) => {
  for (const options of [{}, { orientation: 'ignore' }] as const)
    expect(await inBrowser(fileOf(file), options)).toEqual(described(await decodeImage(fileOf(file), options)));
});

test.each(entries.filter(({ lossless }) => !lossless))('$file: the same picture', async ({ file }) => {
  const here = described(await decodeImage(fileOf(file)));
  const there = await inBrowser(fileOf(file));
  if ('error' in there) throw new Error(there.error);
  expect(there.size).toEqual(here.size);
  // Decoders differ in how they interpolate colour, so the mean is what can be held against each other.
  const difference = here.rgb.reduce((sum, value, at) => sum + Math.abs(value - there.rgb[at]!), 0) / here.rgb.length;
  expect(difference).toBeLessThan(4);
});

test('what is no image, is cut short, is too large, or has samples the browser does not give', async () => {
  const png = fileOf('rgb-8.png');
  const refused = async (file: Uint8Array, options: Options = {}): Promise<string> => {
    const outcome = await inBrowser(file, options);
    return 'error' in outcome ? outcome.error : 'no error';
  };
  expect(await refused(new Uint8Array(0))).toMatch(/^ImageError: image: the file is empty/);
  expect(await refused(new TextEncoder().encode('<svg/>'))).toMatch(/not a known image format/);
  expect(await refused(png.slice(0, 60))).toMatch(/corrupt or truncated/);
  expect(await refused(png, { maxPixels: 69 })).toMatch(/10 x 7 pixels are above the limit of 69/);
  expect(await refused(fileOf('grey-16.png'), { sixteenBitGrey: 'clip' })).toMatch(/decode in Node/);
});
