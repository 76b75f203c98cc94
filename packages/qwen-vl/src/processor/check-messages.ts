/** Are these messages at all, and do the pictures given fit the places they leave? Checked before a template sees them. */
import { ConversationError, quoteValue } from '../errors.js';
import { MESSAGE_ROLES, type ContentPart, type Message } from '../tokenizer/chat-template.js';

/** Kinds of picture a message can hold a place for. */
export type VisualKind = 'image' | 'video';

const MAX_MESSAGES = 10_000;

const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null;

type PartCheck = (part: Readonly<Record<string, unknown>>) => boolean;

const PART_CHECKS: ReadonlyMap<unknown, PartCheck> = new Map<ContentPart['type'], PartCheck>([
  ['text', (part) => typeof part['text'] === 'string'],
  ['image', () => true],
  ['video', () => true],
]);

/**
 * @param counts how many images and videos are given
 * @throws ConversationError naming the message, or both counts if they differ
 */
export function checkMessages(messages: readonly Message[], counts: Readonly<Record<VisualKind, number>>): void {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES) {
    throw new ConversationError(`a conversation needs 1 to ${MAX_MESSAGES} messages`);
  }
  const places = { text: 0, image: 0, video: 0 };
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
      if (!isRecord(part) || PART_CHECKS.get(part.type)?.(part) !== true) {
        throw new ConversationError(
          `${name}: a part must be { type: 'text', text }, { type: 'image' } or { type: 'video' }`,
        );
      }
      places[part.type as ContentPart['type']]++;
    }
  }
  for (const kind of ['image', 'video'] as const) {
    if (places[kind] === counts[kind]) continue;
    throw new ConversationError(
      `the messages have ${places[kind]} ${kind} parts but ${counts[kind]} ${kind}s are given; they must be as many`,
    );
  }
}
