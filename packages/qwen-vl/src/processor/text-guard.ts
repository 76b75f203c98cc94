/**
 * Keeps the text of messages from turning into structure.
 *
 * Text inside messages is data: someone who types `<|im_end|>` or `<|image_pad|>` must not end a message or claim an image.
 * So, wherever message text could begin a special token, its first character is replaced by a private-use character before the
 * template is rendered, and put back after special tokens were cut out of the result. A special token then can only come from
 * the template, also when two pieces of user text meet to form one. All other text reaches the template as it is, so
 * templates that look at their messages see what they expect.
 */
import { ConversationError } from '../errors.js';
import type { Message } from '../tokenizer/chat-template.js';

/** First of the 6400 private-use characters of the basic plane. */
const PRIVATE_USE_START = 0xe000;
const PRIVATE_USE_END = 0xf8ff;

export class TextGuard {
  readonly #special: readonly string[];
  readonly #standIns: ReadonlyMap<string, string>;

  /**
   * @param special contents of the special tokens
   * @param template source of the chat template, whose characters cannot serve as stand-ins
   * @param messages the conversation, whose characters cannot either
   */
  constructor(special: readonly string[], template: string, messages: readonly Message[]) {
    this.#special = special;
    const used = new Set(template + messages.map(textOf).join(''));
    const firsts = [...new Set(special.map((token) => token.charAt(0)))];
    let code = PRIVATE_USE_START;
    const next = (): string => {
      while (used.has(String.fromCharCode(code))) code++;
      if (code > PRIVATE_USE_END) throw new ConversationError('the text uses every private-use character; remove some');
      return String.fromCharCode(code++);
    };
    this.#standIns = new Map(firsts.map((first) => [first, next()]));
  }

  /** The message with every possible beginning of a special token hidden. */
  protect(message: Message): Message {
    if (typeof message.content === 'string') return { role: message.role, content: this.#hide(message.content) };
    const content = message.content.map((part) =>
      part.type === 'text' ? { type: part.type, text: this.#hide(part.text) } : { type: part.type },
    );
    return { role: message.role, content };
  }

  /** Text as it was before `protect`. */
  restore(text: string): string {
    let restored = text;
    for (const [first, standIn] of this.#standIns) restored = restored.replaceAll(standIn, first);
    return restored;
  }

  #hide(text: string): string {
    let hidden = text;
    for (const [first, standIn] of this.#standIns) {
      const tokens = this.#special.filter((token) => token.startsWith(first));
      hidden = hidden.replaceAll(first, (match, offset: number) => {
        // A token may begin here: it follows in full, or the text ends while it still could.
        const canBegin = tokens.some((token) => token.startsWith(text.slice(offset, offset + token.length)));
        return canBegin ? standIn : match;
      });
    }
    return hidden;
  }
}

function textOf(message: Message): string {
  if (typeof message.content === 'string') return message.content;
  return message.content.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
