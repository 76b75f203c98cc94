/** Pictures from their sources: pixels for the model, a bitmap of modest size for the page. */
import { counting } from '@mindseye/eval';
import { ImageError, type RasterImage, decodeImageInBrowser } from '@mindseye/qwen-vl';
import type { PictureSource, PictureSummary } from './protocol.js';

export interface OpenedPicture {
  readonly image: RasterImage;
  readonly summary: PictureSummary;
}

/** Longest side of the bitmap that the page draws, in pixels. */
const PREVIEW_SIDE = 1024;
/** Photographs have up to 50 million pixels; each takes 4 bytes once decoded. */
const MAX_PIXELS = 64_000_000;

type Openers = {
  readonly [K in PictureSource['kind']]: (source: Extract<PictureSource, { kind: K }>) => Promise<OpenedPicture>;
};

const openers: Openers = {
  async scene({ index }) {
    const { id, image, question, answer } = counting.generate('test', index);
    return opened(image, { name: id, question, answer });
  },
  async example({ address, name, question, answer }) {
    const response = await fetch(address);
    if (!response.ok) throw new ImageError(`${address} answers with status ${response.status}: build the page again`);
    return opened(await decode(await response.blob(), name), { name, question, answer });
  },
  async file({ file }) {
    return opened(await decode(file, file.name), { name: file.name });
  },
};

export function openPicture<K extends PictureSource['kind']>(
  source: Extract<PictureSource, { kind: K }>,
): Promise<OpenedPicture> {
  return openers[source.kind as K](source);
}

const decode = (blob: Blob, name: string): Promise<RasterImage> =>
  decodeImageInBrowser(blob, { name, maxPixels: MAX_PIXELS });

async function opened(
  image: RasterImage,
  known: Pick<PictureSummary, 'name' | 'question' | 'answer'>,
): Promise<OpenedPicture> {
  const { width, height } = image;
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(width, height));
  const preview = await createImageBitmap(new ImageData(rgbaOf(image), width, height), {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: 'high',
  });
  return { image, summary: { ...known, width, height, preview } };
}

/** Four channels per pixel; only the canvas needs them. */
function rgbaOf({ data, width, height, channels }: RasterImage): Uint8ClampedArray<ArrayBuffer> {
  if (channels === 4) return new Uint8ClampedArray(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) rgba[4 * pixel + c] = data[pixel * channels + (channels === 1 ? 0 : c)]!;
  }
  return rgba;
}
