/**
 * Messages, images and videos to the inputs of the model: transformers' `Qwen2_5_VLProcessor`.
 *
 *   messages -> chat template -> text with one `<|image_pad|>` per image and one `<|video_pad|>` per video -> token ids, those
 *   ids repeated once per visual token; images and videos -> patches, in the order their places have in the prompt.
 *
 * For ordinary text the ids equal transformers' to the last one: the rendered text is tokenised as a whole. Special tokens
 * come from the template only; someone who types `<|im_end|>` gets those characters as plain text (see `TextGuard`).
 */
import type { Device } from '@mindseye/tensor-core';
import type { PreprocessorConfig } from '../config/types.js';
import { ConversationError, quoteValue } from '../errors.js';
import { type ChatTemplate, type Message, type RenderOptions } from '../tokenizer/chat-template.js';
import { IMAGE_TOKEN, VIDEO_TOKEN } from '../tokenizer/special-tokens.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { checkMessages, type VisualKind } from './check-messages.js';
import type { ImageGeometry, VideoGeometry } from './coordinates.js';
import { ImageProcessor, type ImageProcessorOptions } from './image-processor.js';
import { packVisuals, type PackedVisuals, type PreparedVisual, type VisualPatches } from './pack-patches.js';
import { packVisualsOn } from './pack-patches-on-device.js';
import type { GridThw } from './patchify.js';
import type { PixelBudget } from './pixel-budget.js';
import type { RasterImage } from './raster.js';
import { TextGuard } from './text-guard.js';
import type { VideoFrames } from './video.js';
import { VideoProcessor, type VideoSettings } from './video-processor.js';

/** What a position of the sequence holds: transformers' `mm_token_type_ids`. */
export const TOKEN_TYPES: { readonly text: 0; readonly image: 1; readonly video: 2 } = { text: 0, image: 1, video: 2 };

/** Positions `start` to `start + length - 1` of the sequence. */
export interface TokenSpan {
  readonly start: number;
  readonly length: number;
}

/** Where the visual tokens of one image or video stand. */
export interface VisualSpan extends TokenSpan {
  readonly kind: VisualKind;
  /** Its place in the list of images or of videos that was given. */
  readonly index: number;
}

/** Patches and geometry of all images and videos of a conversation. */
export interface ProcessedVisuals extends VisualPatches {
  /** Seconds from one temporal patch to the next, for each of `grids`; undefined for an image. */
  readonly secondsPerGrid: readonly (number | undefined)[];
  /** Of the images alone, in order. */
  readonly imageGridThw: readonly GridThw[];
  /** Of the images alone, in order: sizes before and after, and how many visual tokens each takes. */
  readonly images: readonly ImageGeometry[];
  /** Of the videos alone, in order. */
  readonly videos: readonly VideoGeometry[];
}

export interface ProcessedConversation {
  /** [S] */
  readonly inputIds: Int32Array;
  /** [S], values of `TOKEN_TYPES`. */
  readonly mmTokenTypeIds: Int32Array;
  /** Where each image's visual tokens stand, in order. */
  readonly imageSpans: readonly TokenSpan[];
  /** Where the visual tokens of each image and video stand, in the order of the prompt. */
  readonly visualSpans: readonly VisualSpan[];
  /** Patch grid of each image and video, in the order of the prompt. Empty for text alone. */
  readonly grids: readonly GridThw[];
  /** Beside `grids`: seconds from one temporal patch of a video to the next; undefined for an image. */
  readonly secondsPerGrid: readonly (number | undefined)[];
  /** Patches and geometry, pictures in the order of the prompt; null for a conversation of text alone. */
  readonly vision: ProcessedVisuals | null;
}

/** The pictures of a conversation; `{ type: 'image' }` and `{ type: 'video' }` parts take them in order. */
export interface ConversationVisuals {
  readonly images?: readonly RasterImage[];
  readonly videos?: readonly VideoFrames[];
}

export interface ProcessOptions extends RenderOptions {
  /** Applies to images and to the frames of videos; `totalVisualTokens` to all of them together. */
  readonly budget?: PixelBudget;
}

export interface ProcessorOptions extends ImageProcessorOptions {
  /** Pixel limits of video frames. */
  readonly video?: VideoSettings;
}

/** A conversation before its pictures are touched. */
interface PreparedConversation {
  /** Special token ids of the template, with the text between them. */
  readonly pieces: readonly (number | string)[];
  /** Of the placeholders among the pieces. */
  readonly kinds: ReadonlyMap<number | string | undefined, VisualKind>;
  /** Which picture each placeholder stands for, in the order of the prompt, and those pictures. */
  readonly places: readonly Pick<VisualSpan, 'kind' | 'index'>[];
  readonly visuals: readonly PreparedVisual[];
}

export class Processor {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  readonly imageProcessor: ImageProcessor;
  readonly videoProcessor: VideoProcessor;

  constructor(
    tokenizer: Tokenizer,
    chatTemplate: ChatTemplate,
    preprocessor: PreprocessorConfig,
    options: ProcessorOptions = {},
  ) {
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.imageProcessor = new ImageProcessor(preprocessor, options);
    this.videoProcessor = new VideoProcessor(preprocessor, options.video);
  }

  /**
   * @param messages the conversation; `{ type: 'image' }` and `{ type: 'video' }` parts take images and videos in order
   * @param visuals as many as there are parts of their kind; a bare list is one of images; none is fine
   * @throws ConversationError if counts differ, a message is malformed or the template fails; ImageError for an image or video
   */
  process(
    messages: readonly Message[],
    visuals: readonly RasterImage[] | ConversationVisuals = [],
    options: ProcessOptions = {},
  ): ProcessedConversation {
    const given = this.#prepare(messages, visuals, options);
    return this.#assemble(given, packVisuals(given.visuals, this.imageProcessor.config, options.budget ?? {}));
  }

  /**
   * As `process`, with the pictures resized, normalised and cut on a device; the patches have the same bits.
   * @throws as `process`, and what the device throws when it has too little memory
   */
  async processOn(
    device: Device,
    messages: readonly Message[],
    visuals: readonly RasterImage[] | ConversationVisuals = [],
    options: ProcessOptions = {},
  ): Promise<ProcessedConversation> {
    const given = this.#prepare(messages, visuals, options);
    const { config } = this.imageProcessor;
    return this.#assemble(given, await packVisualsOn(device, given.visuals, config, options.budget ?? {}));
  }

  #prepare(
    messages: readonly Message[],
    visuals: readonly RasterImage[] | ConversationVisuals,
    options: ProcessOptions,
  ): PreparedConversation {
    const { images = [], videos = [] } = isList(visuals) ? { images: visuals } : visuals;
    checkMessages(messages, { image: images.length, video: videos.length });
    const budget = options.budget ?? {};
    const kinds = new Map<number | string | undefined, VisualKind>([
      [this.tokenizer.requireId(IMAGE_TOKEN), 'image'],
      [videos.length > 0 ? this.tokenizer.requireId(VIDEO_TOKEN) : this.tokenizer.tokenToId(VIDEO_TOKEN), 'video'],
    ]);
    const pieces = this.#render(messages, options);
    const order = pieces.map((piece) => kinds.get(piece)).filter((kind) => kind !== undefined);
    checkPlaceholders(order, { image: images.length, video: videos.length });

    const waiting: Readonly<Record<VisualKind, PreparedVisual[]>> = {
      image: images.map((image, index) => this.imageProcessor.prepare(image, `image ${index + 1}`, budget)),
      video: videos.map((video, index) => this.videoProcessor.prepare(video, `video ${index + 1}`, budget)),
    };
    const taken = { image: 0, video: 0 };
    const places = order.map((kind) => ({ kind, index: taken[kind]++ }));
    return { pieces, kinds, places, visuals: places.map(({ kind, index }) => waiting[kind][index]!) };
  }

  #assemble(
    { pieces, kinds, places }: PreparedConversation,
    { geometries, ...patches }: PackedVisuals<ImageGeometry>,
  ): ProcessedConversation {
    const ids: number[] = [];
    const visualSpans: VisualSpan[] = [];
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        for (const id of this.tokenizer.encode(piece)) ids.push(id);
        continue;
      }
      let length = 1;
      if (kinds.has(piece)) {
        length = geometries[visualSpans.length]!.visualTokens;
        visualSpans.push({ ...places[visualSpans.length]!, start: ids.length, length });
      }
      for (let count = 0; count < length; count++) ids.push(piece);
    }
    const mmTokenTypeIds = new Int32Array(ids.length);
    for (const { kind, start, length } of visualSpans) mmTokenTypeIds.fill(TOKEN_TYPES[kind], start, start + length);
    const isVideo = (geometry: ImageGeometry): geometry is VideoGeometry => 'secondsPerGrid' in geometry;
    const secondsPerGrid = geometries.map((geometry) => (isVideo(geometry) ? geometry.secondsPerGrid : undefined));
    const imageGeometries = geometries.filter((geometry) => !isVideo(geometry));
    const vision: ProcessedVisuals = {
      ...patches,
      secondsPerGrid,
      imageGridThw: imageGeometries.map((geometry) => geometry.gridThw),
      images: imageGeometries,
      videos: geometries.filter(isVideo),
    };
    return {
      inputIds: Int32Array.from(ids),
      mmTokenTypeIds,
      imageSpans: visualSpans.filter(({ kind }) => kind === 'image').map(({ start, length }) => ({ start, length })),
      visualSpans,
      grids: patches.grids,
      secondsPerGrid,
      vision: geometries.length === 0 ? null : vision,
    };
  }

  /**
   * One question about images, the shape of the main job.
   * @throws ConversationError if there is no image or the question is blank, and as `process`
   */
  ask(question: string, images: readonly RasterImage[], options: ProcessOptions = {}): ProcessedConversation {
    return this.process(visualQuestion(question, images.length), images, options);
  }

  /** Special token ids of the template, with the text between them as it is to be encoded. */
  #render(messages: readonly Message[], options: RenderOptions): (number | string)[] {
    const special = this.tokenizer.addedTokens.filter((token) => token.special).map((token) => token.content);
    const guard = new TextGuard(special, this.chatTemplate.source, messages);
    const rendered = this.chatTemplate.render(
      messages.map((message) => guard.protect(message)),
      options,
    );
    return this.tokenizer
      .splitSpecialTokens(rendered)
      .map((piece) => (typeof piece === 'string' ? guard.restore(piece) : piece));
  }
}

// Array.isArray alone does not narrow a read-only list.
const isList = (visuals: readonly RasterImage[] | ConversationVisuals): visuals is readonly RasterImage[] =>
  Array.isArray(visuals);

function checkPlaceholders(order: readonly VisualKind[], counts: Readonly<Record<VisualKind, number>>): void {
  for (const kind of ['image', 'video'] as const) {
    const placeholders = order.filter((placed) => placed === kind).length;
    if (placeholders === counts[kind]) continue;
    throw new ConversationError(
      `the chat template made ${placeholders} ${kind} placeholders for ${counts[kind]} ${kind}s; ` +
        'use the template of a Qwen2.5-VL checkpoint',
    );
  }
}

/**
 * The messages of one question: the images, then the videos, then the question.
 * @throws ConversationError if there is nothing to look at or the question is blank
 */
export function visualQuestion(question: string, imageCount: number, videoCount: number = 0): readonly Message[] {
  if (question.trim() === '')
    throw new ConversationError('the question is empty; say what you want to know about the image');
  if (imageCount + videoCount < 1) {
    throw new ConversationError(`there is no image to go with the question ${quoteValue(question)}; pass at least one`);
  }
  const parts = <Kind extends VisualKind>(type: Kind, length: number): { readonly type: Kind }[] =>
    Array.from({ length }, () => ({ type }));
  const visuals = [...parts('image', imageCount), ...parts('video', videoCount)];
  return [{ role: 'user', content: [...visuals, { type: 'text', text: question }] }];
}
