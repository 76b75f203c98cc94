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
 * by one level in a few thousandths of all places. The weights are those of tensor-core's `bicubicTaps`; samples are here.
 *
 * Sources: Pillow `src/libImaging/Resample.c`; PyTorch `UpSampleKernelAVXAntialias.h`, `UpSampleKernel.cpp`; transformers
 * `image_transforms.py`, `image_processing_backends.py`.
 */
import type { PixelArithmetic } from '@mindseye/tensor-core';

export type { PixelArithmetic } from '@mindseye/tensor-core';

/** A sample 0 to 255 after rescaling and normalising. */
type NormalizeSample = (sample: number, mean: number, deviation: number, rescaleFactor: number) => number;

const f32 = Math.fround;

export const NORMALIZE_SAMPLE: Readonly<Record<PixelArithmetic, NormalizeSample>> = {
  pillow: (sample, mean, deviation, rescaleFactor) =>
    f32(f32(f32(sample * rescaleFactor) - f32(mean)) / f32(deviation)),
  torchvision: (sample, mean, deviation, rescaleFactor) => {
    const scale = f32(1 / rescaleFactor);
    return f32(f32(sample - f32(f32(mean) * scale)) / f32(f32(deviation) * scale));
  },
};
