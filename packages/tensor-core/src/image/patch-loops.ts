/**
 * The loops behind `patchifyImage`, which host code shares: samples to normalised planes, planes to patches.
 *
 * Frames [F, C, H, W] are filled up to gt T by repeating the last, seen as (gt, T, C, gh/m, m, P, gw/m, m, P) and the axes
 * ordered (gt, gh/m, gw/m, m, m, C, T, P, P). So rows go block by block, each run of m · m rows is one merged token, and a row's
 * columns run channel, time, y, x: the order of the flattened patch convolution.
 */

/** Numbers a plane or patch is held in; 64 bits in the f64 reference engine. */
type Numbers = Float32Array | Float64Array;

/** Frames of one size, channels first. */
export interface PlaneShape {
  readonly frames: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

export interface PatchSizes {
  /** Pixels per side of a patch. */
  readonly patchSize: number;
  /** Frames per patch. */
  readonly temporalPatchSize: number;
  /** Patches per side of a merged token. */
  readonly mergeSize: number;
}

/**
 * Looks up every sample: planes[c, pixel] = table[c · 256 + bytes[pixel · pixelBytes + c]].
 * @param table [channels, 256]
 * @param planes [channels, pixels], written
 */
export function lookUpSamples(
  bytes: Uint8Array | Uint8ClampedArray,
  pixelBytes: number,
  table: Numbers,
  channels: number,
  planes: Numbers,
): void {
  const pixels = planes.length / channels;
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * pixels;
    const row = channel * 256;
    for (let pixel = 0; pixel < pixels; pixel++)
      planes[plane + pixel] = table[row + bytes[pixel * pixelBytes + channel]!]!;
  }
}

/**
 * Cuts frames into patches.
 * @param values [frames, channels, height, width]; sides are multiples of patchSize · mergeSize
 * @param patches [ceil(frames / T) · height / P · width / P, channels · T · P · P], written
 */
export function cutPatches(values: Numbers, shape: PlaneShape, sizes: PatchSizes, patches: Numbers): void {
  const { frames, channels, height, width } = shape;
  const { patchSize, temporalPatchSize, mergeSize } = sizes;
  const gridTime = Math.ceil(frames / temporalPatchSize);
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  let to = 0;
  for (let first = 0; first < gridTime * temporalPatchSize; first += temporalPatchSize) {
    for (let blockRow = 0; blockRow < gridHeight; blockRow += mergeSize) {
      for (let blockColumn = 0; blockColumn < gridWidth; blockColumn += mergeSize) {
        for (let inBlock = 0; inBlock < mergeSize * mergeSize; inBlock++) {
          const top = (blockRow + Math.floor(inBlock / mergeSize)) * patchSize;
          const left = (blockColumn + (inBlock % mergeSize)) * patchSize;
          for (let channel = 0; channel < channels; channel++) {
            for (let time = 0; time < temporalPatchSize; time++) {
              const plane = Math.min(first + time, frames - 1) * channels + channel;
              for (let y = 0; y < patchSize; y++, to += patchSize) {
                const from = (plane * height + top + y) * width + left;
                // A loop: for rows this short it is faster than set() with a view.
                for (let x = 0; x < patchSize; x++) patches[to + x] = values[from + x]!;
              }
            }
          }
        }
      }
    }
  }
}
