/**
 * Pixels to the rows that a vision tower reads.
 *
 * A sample has 256 values, so rescaling and normalising is a table, and the same bits come out on every device: value v of
 * channel c becomes table[c, v]. The order of the patches is that of `cutPatches`, with C channels, T frames per patch,
 * P · P pixels per patch and m · m patches per merged token.
 */
import { allocateHost } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { type HostTensor, type Op, applyOne } from '../op.js';
import { add } from '../ops/add.js';
import { cast } from '../ops/cast.js';
import { concat } from '../ops/concat.js';
import { gather } from '../ops/gather.js';
import { misfit } from '../ops/operands.js';
import { permute } from '../ops/permute.js';
import { reshape } from '../ops/reshape.js';
import { slice } from '../ops/slice.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { channelOf, wordChannels } from './channels.js';
import { type PatchSizes, cutPatches, lookUpSamples } from './patch-loops.js';

/** Values of an 8-bit sample. */
const levels = 256;

const positive = (sizes: object): boolean =>
  Object.values(sizes).every((size) => Number.isSafeInteger(size) && (size as number) > 0);

/** Normalised patches of a picture or film: u32 pixels [frames, height, width], f32 table [channels, 256] of each sample's value. */
export const patchifyImageOp: Op<PatchSizes> = {
  name: 'patchifyImage',
  infer([pixels, table], attributes) {
    const { patchSize, temporalPatchSize, mergeSize } = attributes;
    if (!positive({ patchSize, temporalPatchSize, mergeSize }))
      throw new ShapeError(
        `patchifyImage: patch size ${patchSize}, temporal patch size ${temporalPatchSize} and merge size ${mergeSize} must be positive whole numbers`,
      );
    const operands = { pixels: pixels!, table: table! };
    const [channels = 0, entries] = table!.shape;
    if (pixels!.dtype !== 'u32' || pixels!.shape.length !== 3 || table!.dtype !== 'f32' || table!.shape.length !== 2)
      throw misfit(
        'patchifyImage',
        operands,
        'the pixels are u32 [frames, height, width], the table f32 [channels, 256]',
      );
    if (entries !== levels || channels < 1 || channels > wordChannels)
      throw misfit('patchifyImage', operands, `the table has 1 to ${wordChannels} channels of ${levels} values`);
    const [frames, height, width] = pixels!.shape as [number, number, number];
    const factor = patchSize * mergeSize;
    if (frames < 1 || height % factor !== 0 || width % factor !== 0)
      throw misfit(
        'patchifyImage',
        operands,
        `there is a frame, and sides are multiples of ${factor} (patch x merge size)`,
      );
    const patches = Math.ceil(frames / temporalPatchSize) * (height / patchSize) * (width / patchSize);
    return [{ shape: [patches, channels * temporalPatchSize * patchSize * patchSize], dtype: 'f32' }];
  },
  reference({ inputs: [pixels, table], outputs: [patches], attributes }) {
    const [frames, height, width] = pixels!.shape as [number, number, number];
    const channels = table!.shape[0]!;
    const words = pixels!.data as Uint32Array;
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    const values = table!.data as Float32Array;
    const planes = planesLike(values, words.length * channels);
    const [frameBytes, frameValues] = [wordChannels * height * width, channels * height * width];
    for (let frame = 0; frame < frames; frame++) {
      const own = planes.subarray(frame * frameValues, (frame + 1) * frameValues);
      lookUpSamples(bytes.subarray(frame * frameBytes, (frame + 1) * frameBytes), wordChannels, values, channels, own);
    }
    cutPatches(planes, { frames, channels, height, width }, attributes, patches!.data as Float32Array);
  },
  decompose([pixels, table], { patchSize, temporalPatchSize, mergeSize }) {
    const [frames, height, width] = pixels!.shape as [number, number, number];
    const channels = table!.shape[0]!;
    const gridTime = Math.ceil(frames / temporalPatchSize);
    const last = slice(pixels!, 0, frames - 1, frames);
    const missing = Array.from({ length: gridTime * temporalPatchSize - frames }, () => last);
    const filled = missing.length === 0 ? pixels! : concat([pixels!, ...missing], 0);
    const [down, across] = [height / patchSize / mergeSize, width / patchSize / mergeSize];
    const cut = permute(
      reshape(filled, [gridTime, temporalPatchSize, down, mergeSize, patchSize, across, mergeSize, patchSize]),
      [0, 2, 5, 3, 6, 1, 4, 7],
    );
    const patches = gridTime * down * across * mergeSize * mergeSize;
    const rows = reshape(cut, [patches, 1, temporalPatchSize * patchSize * patchSize]);
    const places = Array.from({ length: channels }, (_, channel) =>
      add(cast(channelOf(rows, channel), 'i32'), levels * channel),
    );
    const values = gather(reshape(table!, [channels * levels]), concat(places, 1));
    return [reshape(values, [patches, channels * temporalPatchSize * patchSize * patchSize])];
  },
  flops: (_inputs, [patches]) => sizeOf(patches!.shape),
};

/** Zeros in the numbers of `values`: 64 bits in the f64 engine. */
const planesLike = (values: HostTensor['data'], length: number): Float32Array =>
  (values instanceof Float64Array ? new Float64Array(length) : allocateHost('f32', length)) as Float32Array;

/**
 * Cuts pictures into normalised patches, ready for a patch embedding.
 *
 * @param pixels u32 [frames, height, width], four 8-bit channels to a word; one frame for a picture. Frames are filled up to a
 *   multiple of `temporalPatchSize` by repeating the last.
 * @param table f32 [channels, 256]: the value of every sample of every channel, 1 to 4 channels; the others are not read
 * @returns f32 [ceil(frames / T) · height / P · width / P, channels · T · P · P]
 * @throws ShapeError if a side is not a multiple of patchSize · mergeSize
 */
export const patchifyImage = (pixels: Tensor, table: Tensor, sizes: PatchSizes): Tensor => {
  const { patchSize, temporalPatchSize, mergeSize } = sizes;
  return applyOne(patchifyImageOp, [pixels, table], { patchSize, temporalPatchSize, mergeSize });
};
