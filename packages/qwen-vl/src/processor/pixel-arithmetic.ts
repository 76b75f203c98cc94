/**
 * The two ways transformers computes pixel values, which differ in the last bits.
 *
 * `pillow` is the image processor on Pillow and numpy; `torchvision` is the one on tensors, and the only one there is for
 * videos. Both resize with the same bicubic kernel on 8-bit samples, with weights rounded to integers, and then normalise:
 *
 *                 bits of a weight                                  normalised sample of byte b
 *   pillow        22                                                f32((f32(b r) - f32(mean)) / f32(std))
 *   torchvision   the most for which the largest fits 16 bits       f32((b - f32(mean / r)) / f32(std / r))
 *
 * with r the rescale factor, 1/255, and every step rounded to f32. Neither is nearer to the truth than the other: samples differ
 * by one level in a few thousandths of all places.
 *
 * Sources: Pillow `src/libImaging/Resample.c`; PyTorch `UpSampleKernelAVXAntialias.h`, `UpSampleKernel.cpp`; transformers
 * `image_transforms.py`, `image_processing_backends.py`.
 */

/** Whose arithmetic. */
export type PixelArithmetic = 'pillow' | 'torchvision';

interface Arithmetic {
  /** Fraction bits of the integer weights of an axis whose largest weight is this. */
  readonly weightBits: (largestWeight: number) => number;
  /** A sample 0 to 255 after rescaling and normalising. */
  readonly normalize: (sample: number, mean: number, deviation: number, rescaleFactor: number) => number;
}

const PILLOW_BITS = 22;
const LARGEST_INT16 = 2 ** 15;

const f32 = Math.fround;

export const PIXEL_ARITHMETIC: Readonly<Record<PixelArithmetic, Arithmetic>> = {
  pillow: {
    weightBits: () => PILLOW_BITS,
    normalize: (sample, mean, deviation, rescaleFactor) =>
      f32(f32(f32(sample * rescaleFactor) - f32(mean)) / f32(deviation)),
  },
  torchvision: {
    weightBits: (largestWeight) => {
      let bits = 0;
      while (bits < PILLOW_BITS && Math.trunc(0.5 + largestWeight * 2 ** (bits + 1)) < LARGEST_INT16) bits++;
      return bits;
    },
    normalize: (sample, mean, deviation, rescaleFactor) => {
      const scale = f32(1 / rescaleFactor);
      return f32(f32(sample - f32(f32(mean) * scale)) / f32(f32(deviation) * scale));
    },
  },
};
