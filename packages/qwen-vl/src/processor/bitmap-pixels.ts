/**
 * The samples of a decoded bitmap as they were in the file.
 *
 * A 2D canvas multiplies colours by alpha and divides again when read, so under partial alpha it loses bits and under none the
 * whole colour. It is exact where everything is opaque. Other pictures go through a WebGL2 texture, which keeps colour and alpha
 * apart, in tiles of the largest texture. A browser without WebGL2 gives what its canvas gives.
 *
 * Memory: one copy of the picture in the tab and one in the canvas or texture, freed before the promise resolves.
 */
import { ImageError } from '../errors.js';

type Rgba = Uint8Array | Uint8ClampedArray;

const isOpaque = (data: Rgba): boolean => {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false;
  return true;
};

function fromCanvas(bitmap: ImageBitmap): Rgba | null {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) return null;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

/** Part of a bitmap, colours apart from alpha. */
const tileOf = (bitmap: ImageBitmap, x: number, y: number, width: number, height: number): Promise<ImageBitmap> =>
  createImageBitmap(bitmap, x, y, width, height, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });

async function fromTexture(bitmap: ImageBitmap): Promise<Rgba | null> {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (gl === null) return null;
  try {
    const { width, height } = bitmap;
    const side = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    const data = new Uint8Array(width * height * 4);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.pixelStorei(gl.PACK_ROW_LENGTH, width);
    for (let top = 0; top < height; top += side) {
      for (let left = 0; left < width; left += side) {
        const [columns, rows] = [Math.min(side, width - left), Math.min(side, height - top)];
        const whole = columns === width && rows === height;
        const tile = whole ? bitmap : await tileOf(bitmap, left, top, columns, rows);
        const texture = gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, texture);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, tile);
        gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
        gl.readPixels(0, 0, columns, rows, gl.RGBA, gl.UNSIGNED_BYTE, data, (top * width + left) * 4);
        gl.deleteTexture(texture);
        if (!whole) tile.close();
      }
    }
    return gl.getError() === gl.NO_ERROR ? data : null;
  } finally {
    // Pages may hold few contexts at once, and an unreachable one counts until it is collected.
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

/**
 * @param bitmap made with `premultiplyAlpha: 'none'`
 * @param name what errors call the image
 * @returns RGBA, row by row
 * @throws ImageError if the browser gives no canvas of this size
 */
export async function bitmapPixels(bitmap: ImageBitmap, name: string): Promise<Rgba> {
  const drawn = fromCanvas(bitmap);
  if (drawn !== null && isOpaque(drawn)) return drawn;
  const data = (await fromTexture(bitmap)) ?? drawn;
  if (data === null) throw new ImageError(`${name}: the browser gives no canvas to read pixels with`);
  return data;
}
