/**
 * Videos from what sharp can open: animated GIF and WebP files with their own timing, and folders of pictures.
 *
 * Films (MP4 and its kind) need a decoder this package does not bring: extract frames with ffmpeg into a folder, or decode them
 * with WebCodecs, and pass them as `VideoFrames`. Frames are sampled by `sampleFrames` before they are decoded to RGB; an
 * animation is decoded whole, so its pixels are bounded over all frames.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ImageError } from '../errors.js';
import {
  checkPixelLimit,
  completeOptions,
  inspectImage,
  type DecodeImageOptions,
} from '../processor/decode-options.js';
import { IMAGE_FORMATS } from '../processor/image-header.js';
import type { RgbImage } from '../processor/raster.js';
import { sampleFrames, type SampleFramesOptions } from '../processor/sample-frames.js';
import { DEFAULT_FRAMES_PER_SECOND, MAX_FRAMES, type VideoFrames } from '../processor/video.js';
import { DECODER_SETTINGS, decoderError, loadSharp, readImage, readImageBytes } from './decode-image.js';

export interface ReadVideoOptions extends DecodeImageOptions {
  /** Of a folder of pictures, or in place of an animation's own timing. Default for a folder 2. */
  readonly framesPerSecond?: number;
  /** Which frames to take; all of them when left out. Shorter videos than one temporal patch are taken whole. */
  readonly sampling?: Omit<SampleFramesOptions, 'sourceFramesPerSecond'>;
}

/** A folder with more files than this is no video. */
const MAX_FOLDER_FILES = 100_000;
/** What viewers show a frame for whose delay is given as nothing, in milliseconds. */
const DEFAULT_DELAY = 100;
const EXTENSIONS = new Set([...IMAGE_FORMATS, 'jpg', 'tif'].map((name) => `.${name}`));

interface Film {
  readonly framesPerSecond: number;
  /** When each frame is shown; undefined for an even rate. */
  readonly timestamps?: readonly number[];
  readonly count: number;
  frame(index: number): Promise<RgbImage>;
}

/** Names in the order a person counts: frame-2 before frame-10. */
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

async function openFolder(path: string, options: ReadVideoOptions): Promise<Film> {
  const names = (await readdir(path)).filter((name) => EXTENSIONS.has(name.slice(name.lastIndexOf('.')).toLowerCase()));
  if (names.length === 0) throw new ImageError(`${path}: the folder has no pictures (${IMAGE_FORMATS.join(', ')})`);
  if (names.length > MAX_FOLDER_FILES) {
    throw new ImageError(`${path}: ${names.length} pictures are more than ${MAX_FOLDER_FILES}; split the folder`);
  }
  names.sort(byNumber);
  return {
    framesPerSecond: options.framesPerSecond ?? DEFAULT_FRAMES_PER_SECOND,
    count: names.length,
    frame: (index) => readImage(join(path, names[index]!), { ...options, name: `${basename(path)}/${names[index]!}` }),
  };
}

async function openAnimation(path: string, options: ReadVideoOptions): Promise<Film> {
  const complete = completeOptions({ name: basename(path), ...options });
  const bytes = await readImageBytes(path);
  inspectImage(bytes, complete);
  const load = await loadSharp();
  try {
    // Of a file with several pages, the height is that of all together unless a page's own is given.
    const metadata = await load(bytes, { ...DECODER_SETTINGS, pages: -1 }).metadata();
    const { width, pages: count = 1, delay = [] } = metadata;
    const height = metadata.pageHeight ?? metadata.height;
    checkPixelLimit(width, height * count, complete);
    const { data, info } = await load(bytes, { ...DECODER_SETTINGS, pages: -1 })
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const length = width * height * 3;
    if (info.channels !== 3 || data.length !== length * count) {
      throw new ImageError(`${complete.name}: the animation has an unusual layout; convert it to GIF or WebP in RGB`);
    }
    const starts: number[] = [0];
    for (let index = 0; index < count; index++) starts.push(starts[index]! + (delay[index] || DEFAULT_DELAY) / 1000);
    return {
      framesPerSecond: options.framesPerSecond ?? count / starts[count]!,
      ...(options.framesPerSecond === undefined && { timestamps: starts.slice(0, count) }),
      count,
      frame: (index) => {
        const pixels = new Uint8Array(data.subarray(index * length, (index + 1) * length));
        return Promise.resolve({ data: pixels, width, height, channels: 3 });
      },
    };
  } catch (error) {
    throw decoderError(error, complete.name);
  }
}

/**
 * Reads the frames of an animated GIF or WebP file, or of a folder of pictures in the order of their names (2 before 10).
 * @param path a still picture is a video of one frame
 * @returns frames as RGB; with `sampling` those taken, with their rate. Frames of an animation keep their own times
 * @throws ImageError in one line naming the file: missing, corrupt, too many pixels or frames, pictures of different sizes
 */
export async function readVideoFrames(path: string, options: ReadVideoOptions = {}): Promise<VideoFrames> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  const film = await (isFolder ? openFolder : openAnimation)(path, options);
  const { indices, framesPerSecond, timestamps } = select(film, options);
  if (indices.length > MAX_FRAMES) {
    throw new ImageError(`${path}: ${indices.length} frames are more than ${MAX_FRAMES}; take fewer with sampling`);
  }
  const frames: RgbImage[] = [];
  for (const index of indices) {
    const frame = await film.frame(index);
    const { width, height } = frames[0] ?? frame;
    if (frame.width !== width || frame.height !== height) {
      throw new ImageError(
        `${path}: picture ${index + 1} has ${frame.width} x ${frame.height} pixels, the first has ${width} x ${height}; ` +
          'all frames must have one size',
      );
    }
    frames.push(frame);
  }
  return { frames, framesPerSecond, ...(timestamps && { timestamps }) };
}

interface Selection {
  readonly indices: readonly number[];
  readonly framesPerSecond: number;
  readonly timestamps?: readonly number[];
}

function select(film: Film, { sampling }: ReadVideoOptions): Selection {
  const all = Array.from({ length: film.count }, (_value, index) => index);
  const patch = sampling?.temporalPatchSize ?? 2;
  const { indices, framesPerSecond } =
    sampling === undefined || film.count < patch
      ? { indices: all, framesPerSecond: film.framesPerSecond }
      : sampleFrames(film.count, { ...sampling, sourceFramesPerSecond: film.framesPerSecond });
  const timestamps = film.timestamps && indices.map((index) => film.timestamps![index]!);
  return { indices, framesPerSecond, ...(timestamps && { timestamps }) };
}
