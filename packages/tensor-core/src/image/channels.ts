/** The four 8-bit channels of u32 pixels, the first in the lowest byte, in terms of ops that every device has. */
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { shiftRight } from '../ops/shift-right.js';
import { sub } from '../ops/sub.js';
import type { Tensor } from '../tensor.js';

/** Channels of a word, and its bytes. */
export const wordChannels = 4;

/** One channel of pixels, 0 to 255 as u32. */
export function channelOf(pixels: Tensor, channel: number): Tensor {
  const from = channel === 0 ? pixels : shiftRight(pixels, 8 * channel);
  return channel === wordChannels - 1 ? from : sub(from, mul(shiftRight(from, 8), 256));
}

/** Pixels from channels of 0 to 255 as u32, the first first. */
export const joinChannels = (channels: readonly Tensor[]): Tensor =>
  channels
    .map((channel, i) => (i === 0 ? channel : mul(channel, 2 ** (8 * i))))
    .reduce((pixels, part) => add(pixels, part));
