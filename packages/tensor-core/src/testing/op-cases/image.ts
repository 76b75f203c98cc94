/** Cases of the ops on pictures of u32 pixels. */
import fc from 'fast-check';
import { RandomStream } from '../../random/random-stream.js';
import { sizeOf } from '../../shape.js';
import { arbitraryLength, arbitrarySeed, arbitraryShape, arbitraryValue } from '../arbitrary-values.js';
import { exact } from '../tolerance.js';
import { type OpCase, invocation, noInputs } from './case.js';

/** Magnitudes of weights: those of few bits, of torchvision, of Pillow, and all that are allowed. */
const weightBits = [4, 15, 23, 30];

/** Any picture, starts and weights that an axis can have. */
const resamplePixels: OpCase = {
  invocations: ({ maxLength }) =>
    fc
      .tuple(
        arbitraryShape({ maxRank: 2, maxLength }),
        arbitraryLength({ maxLength, minLength: 1 }),
        arbitraryShape({ maxRank: 1, maxLength }),
        arbitraryLength({ maxLength }),
        fc.constantFrom(...weightBits),
        fc.integer({ min: 1, max: 30 }),
      )
      .chain(([lead, length, trail, out, magnitude, bits]) =>
        fc
          .tuple(
            arbitraryValue([...lead, length, ...trail], 'u32', 'words'),
            fc.integer({ min: 1, max: length }),
            arbitrarySeed(),
          )
          .map(([pixels, taps, seed]) => {
            const stream = RandomStream.fromSeed(seed);
            const starts = Int32Array.from({ length: out }, () => stream.integer(length - taps + 1));
            const weights = Int32Array.from({ length: out * taps }, () => stream.bits() >> (31 - magnitude));
            const operands = [
              { shape: [out], dtype: 'i32' as const, data: starts },
              { shape: [out, taps], dtype: 'i32' as const, data: weights },
            ];
            return invocation([pixels, ...operands], { axis: lead.length, bits });
          }),
      ),
  differentiable: noInputs,
  tolerance: exact,
};

/** Pictures and films of small patches, 1 to 4 channels; whole tiles of 14 pixels where axes may be long. */
const patchifyImage: OpCase = {
  invocations: ({ values, maxLength }) => {
    const few = fc.integer({ min: 1, max: 3 });
    const patchSize = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(maxLength > 14 ? 14 : 4));
    return fc
      .record({ frames: few, down: fc.nat(2), across: fc.nat(2), patchSize, temporalPatchSize: few, mergeSize: few })
      .chain(({ frames, down, across, patchSize: patch, temporalPatchSize, mergeSize }) => {
        const shape = [frames, down * mergeSize * patch, across * mergeSize * patch];
        return fc
          .tuple(
            arbitraryValue(sizeOf(shape) > 2 ** 14 ? [1, 0, 0] : shape, 'u32', 'words'),
            fc
              .integer({ min: 1, max: 4 })
              .chain((channels) =>
                arbitraryValue([channels, 256], 'f32', values === 'extreme' ? 'special' : 'ordinary'),
              ),
          )
          .map((operands) => invocation(operands, { patchSize: patch, temporalPatchSize, mergeSize }));
      });
  },
  // The table; pixels are whole numbers.
  differentiable: () => [1],
  tolerance: exact,
};

export const imageCases: Readonly<Record<string, OpCase>> = { resamplePixels, patchifyImage };
