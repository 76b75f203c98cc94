/** Decoded pictures as u32 pixels. */
import { wordChannels } from './channels.js';

/** Bytes of a word, and the alpha of a pixel that has none. */
const wordBytes = 4;
const opaque = 0xff00_0000;

/** Four pixels of three bytes are three words. Signed words, which engines keep in registers. */
function packAligned(words: Int32Array, pixels: Int32Array): void {
  const whole = pixels.length - (pixels.length % 4);
  for (let pixel = 0, at = 0; pixel < whole; pixel += 4, at += 3) {
    const a = words[at]!;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    pixels[pixel] = a | opaque;
    pixels[pixel + 1] = (a >>> 24) | (b << 8) | opaque;
    pixels[pixel + 2] = (b >>> 16) | (c << 16) | opaque;
    pixels[pixel + 3] = (c >>> 8) | opaque;
  }
}

/**
 * Interleaved 8-bit samples as words, the first channel in the lowest byte.
 * @param channels 1 is grey, which fills red, green and blue; 3 is RGB; 4 is RGB and alpha. Alpha is 255 where there is none.
 * @returns one word per pixel; for four channels it may lie on the bytes of `data`
 */
export function packPixels(data: Uint8Array | Uint8ClampedArray, channels: 1 | 3 | 4): Uint32Array {
  const count = data.length / channels;
  const isAligned = data.byteOffset % wordBytes === 0;
  if (channels === wordChannels) {
    if (isAligned) return new Uint32Array(data.buffer, data.byteOffset, count);
    return new Uint32Array(data.slice().buffer);
  }
  const pixels = new Uint32Array(count);
  let first = 0;
  if (channels === 3 && isAligned) {
    first = count - (count % 4);
    const words = new Int32Array(data.buffer, data.byteOffset, (first * 3) / wordBytes);
    packAligned(words, new Int32Array(pixels.buffer));
  }
  const green = channels === 1 ? 0 : 1;
  const blue = channels === 1 ? 0 : 2;
  for (let pixel = first, at = first * channels; pixel < count; pixel++, at += channels)
    pixels[pixel] = data[at]! | (data[at + green]! << 8) | (data[at + blue]! << 16) | opaque;
  return pixels;
}
