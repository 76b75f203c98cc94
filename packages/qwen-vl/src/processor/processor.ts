/**
 * Messages and images to the inputs of the model: transformers' `Qwen2_5_VLProcessor`.
 *
 *   messages -> chat template -> text with one `<|image_pad|>` per image -> token ids, that one id repeated once per visual
 *   token; images -> patches.
 *
 * For ordinary text the ids equal transformers' to the last one: the rendered text is tokenised as a whole. Special tokens
 * come from the template only; someone who types `<|im_end|>` gets those characters as plain text (see `TextGuard`).
 */
import type { PreprocessorConfig } from '../config/types.js';
import { ConversationError, quoteValue } from '../errors.js';
import { MESSAGE_ROLES, type ChatTemplate, type Message, type RenderOptions } from '../tokenizer/chat-template.js';
import { IMAGE_TOKEN, VIDEO_TOKEN } from '../tokenizer/special-tokens.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { ImageProcessor, type PixelBudget, type ProcessedImages } from './image-processor.js';
import type { RasterImage } from './raster.js';
import { TextGuard } from './text-guard.js';

/** What a position of the sequence holds: transformers' `mm_token_type_ids`. */
export const TOKEN_TYPES: { readonly text: 0; readonly image: 1 } = { text: 0, image: 1 };

/** Positions `start` to `start + length - 1` of the sequence. */
export interface TokenSpan {
  readonly start: number;
  readonly length: number;
}

export interface ProcessedConversation {
  /** [S] */
  readonly inputIds: Int32Array;
  /** [S], values of `TOKEN_TYPES`. */
  readonly mmTokenTypeIds: Int32Array;
  /** Where each image's visual tokens stand, in order. */
  readonly imageSpans: readonly TokenSpan[];
  /** Patches and geometry of the images; null for a conversation of text alone. */
  readonly vision: ProcessedImages | null;
}

export interface ProcessOptions extends RenderOptions {
  readonly budget?: PixelBudget;
}

const MAX_MESSAGES = 10_000;

export class Processor {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  readonly imageProcessor: ImageProcessor;

  constructor(tokenizer: Tokenizer, chatTemplate: ChatTemplate, preprocessor: PreprocessorConfig) {
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.imageProcessor = new ImageProcessor(preprocessor);
  }

  /**
   * @param messages the conversation; `{ type: 'image' }` parts take the images in order
   * @param images as many as there are image parts; none is fine
   * @throws ConversationError if counts differ, a message is malformed or the template fails; ImageError for an image
   */
  process(
    messages: readonly Message[],
    images: readonly RasterImage[] = [],
    options: ProcessOptions = {},
  ): ProcessedConversation {
    checkMessages(messages, images.length);
    const imageTokenId = this.tokenizer.requireId(IMAGE_TOKEN);
    const videoTokenId = this.tokenizer.tokenToId(VIDEO_TOKEN);
    const pieces = this.#render(messages, options);
    const placeholders = pieces.filter((piece) => piece === imageTokenId).length;
    if (placeholders !== images.length || pieces.includes(videoTokenId ?? -1)) {
      throw new ConversationError(
        `the chat template made ${placeholders} image placeholders for ${images.length} images; ` +
          'use the template of a Qwen2.5-VL checkpoint',
      );
    }
    const vision = images.length === 0 ? null : this.imageProcessor.process(images, options.budget);
    const ids: number[] = [];
    const imageSpans: TokenSpan[] = [];
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        for (const id of this.tokenizer.encode(piece)) ids.push(id);
        continue;
      }
      const length = piece === imageTokenId ? vision!.images[imageSpans.length]!.visualTokens : 1;
      if (piece === imageTokenId) imageSpans.push({ start: ids.length, length });
      for (let count = 0; count < length; count++) ids.push(piece);
    }
    const mmTokenTypeIds = new Int32Array(ids.length);
    for (const { start, length } of imageSpans) mmTokenTypeIds.fill(TOKEN_TYPES.image, start, start + length);
    return { inputIds: Int32Array.from(ids), mmTokenTypeIds, imageSpans, vision };
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

/**
 * The messages of one question: the images, then the question.
 * @throws ConversationError if there is no image or the question is blank
 */
export function visualQuestion(question: string, imageCount: number): readonly Message[] {
  if (question.trim() === '')
    throw new ConversationError('the question is empty; say what you want to know about the image');
  if (imageCount < 1) {
    throw new ConversationError(`there is no image to go with the question ${quoteValue(question)}; pass at least one`);
  }
  const images = Array.from({ length: imageCount }, () => ({ type: 'image' }) as const);
  return [{ role: 'user', content: [...images, { type: 'text', text: question }] }];
}

const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null;

function checkMessages(messages: readonly Message[], imageCount: number): void {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES) {
    throw new ConversationError(`a conversation needs 1 to ${MAX_MESSAGES} messages`);
  }
  let places = 0;
  for (const [index, message] of messages.entries()) {
    const name = `message ${index + 1}`;
    // Messages often come out of a data file, so the types are a promise that has to be checked.
    if (!isRecord(message) || !MESSAGE_ROLES.includes(message.role)) {
      const role = quoteValue(isRecord(message) ? message.role : message);
      throw new ConversationError(`${name}: role ${role} must be one of ${MESSAGE_ROLES.join(', ')}`);
    }
    if (typeof message.content === 'string') continue;
    if (!Array.isArray(message.content))
      throw new ConversationError(`${name}: content must be text or a list of parts`);
    for (const part of message.content) {
      if (isRecord(part) && part.type === 'image') places++;
      else if (!isRecord(part) || part.type !== 'text' || typeof part.text !== 'string') {
        throw new ConversationError(`${name}: a part must be { type: 'text', text } or { type: 'image' }`);
      }
    }
  }
  if (places !== imageCount) {
    throw new ConversationError(
      `the messages have ${places} image parts but ${imageCount} images are given; they must be as many`,
    );
  }
}
