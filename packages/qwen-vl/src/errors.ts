/**
 * Errors for everything that arrives from outside: files, configs, images, token ids, conversations.
 *
 * One base class, so that an application can write `catch (error) { if (error instanceof InvalidInputError) ... }` and
 * print `error.message` as it is: always one line, always naming the thing, the value and the cure. Text quoted from a
 * hostile file is made printable and cut, so no message can flood a terminal or forge a second line.
 */

const MESSAGE_LIMIT = 600;
const VALUE_LIMIT = 80;

/** Makes text safe to show on one line: control characters and line breaks become spaces, long text is cut. */
export function oneLine(text: string, limit: number = MESSAGE_LIMIT): string {
  // Cut before the regular expression, so that a message built from a huge value costs no more than a short one.
  const head = text.slice(0, limit + 1).replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, ' ');
  return head.length > limit ? `${head.slice(0, limit)}…` : head;
}

/** A value as it should appear inside an error message: JSON where possible, never longer than 80 characters. */
export function quoteValue(value: unknown): string {
  if (typeof value === 'string') return oneLine(JSON.stringify(value.slice(0, VALUE_LIMIT + 1)), VALUE_LIMIT);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined) {
    return String(value);
  }
  if (Array.isArray(value)) return `an array of ${value.length} values`;
  return `a value of type ${typeof value}`;
}

/** Something from outside cannot be used. The message is one line: the thing, the value and the cure. */
export class InvalidInputError extends Error {
  override readonly name: string = 'InvalidInputError';

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A configuration file has a wrong, missing, unsupported or absurd value. */
export class ConfigError extends InvalidInputError {
  override readonly name: string = 'ConfigError';
}

/** An image cannot be decoded, is too large, or cannot be brought to the model's size. */
export class ImageError extends InvalidInputError {
  override readonly name: string = 'ImageError';
}

/** A tokenizer file is not one that can be used, or an id or token is not in the vocabulary. */
export class TokenizerError extends InvalidInputError {
  override readonly name: string = 'TokenizerError';
}

/** Messages and images do not fit each other, or a chat template cannot be rendered. */
export class ConversationError extends InvalidInputError {
  override readonly name: string = 'ConversationError';
}

/** A checkpoint folder lacks files, or one of them cannot be read or written. */
export class ModelFolderError extends InvalidInputError {
  override readonly name: string = 'ModelFolderError';
}
