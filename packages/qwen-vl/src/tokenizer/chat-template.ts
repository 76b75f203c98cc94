/**
 * A conversation as the text a model was trained on.
 *
 * A checkpoint brings its own Jinja template, in one of three files; the first that exists counts, as in transformers:
 * chat_template.jinja, chat_template.json, tokenizer_config.json. Without any, the built-in one of Qwen2.5-VL is used.
 */
import { ConversationError, oneLine } from '../errors.js';
import { parseTemplate, renderTemplate, type TemplateProgram } from './bounded-interpreter.js';
import { DEFAULT_CHAT_TEMPLATE } from './default-chat-template.js';

export const MESSAGE_ROLES = ['system', 'user', 'assistant', 'tool'] as const;
export type MessageRole = (typeof MESSAGE_ROLES)[number];

/** A piece of a message: text, or the place of the next image or video of the lists that go with the messages. */
export type ContentPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image' }
  | { readonly type: 'video' };

export interface Message {
  readonly role: MessageRole;
  readonly content: string | readonly ContentPart[];
}

export interface RenderOptions {
  /** End with the start of the assistant's turn, so that the model answers. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Number the images and the videos (`Picture 1: `, `Video 1: `), each through the conversation. Default false. */
  readonly addVisionId?: boolean;
}

/** What the files of a checkpoint say; any of them may be absent. */
export interface ChatTemplateSources {
  /** Content of chat_template.jinja. */
  readonly jinja?: string | undefined;
  /** Parsed chat_template.json. */
  readonly chatTemplateJson?: unknown;
  /** Parsed tokenizer_config.json. */
  readonly tokenizerConfig?: unknown;
}

/** The `chat_template` of a parsed file: a string, or a list of named ones of which `default` is meant. */
function templateIn(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null || !('chat_template' in json)) return undefined;
  const template = json.chat_template;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  const named = template.find(
    (entry: unknown) => typeof entry === 'object' && entry !== null && 'name' in entry && entry.name === 'default',
  );
  return typeof named?.template === 'string' ? named.template : undefined;
}

export class ChatTemplate {
  /** The Jinja source. */
  readonly source: string;
  readonly #name: string;
  readonly #program: TemplateProgram;

  /**
   * @param source Jinja text; it is not trusted
   * @param name what errors call it, usually the file it came from
   * @throws ConversationError if it is not a template
   */
  constructor(source: string = DEFAULT_CHAT_TEMPLATE, name: string = 'the built-in chat template') {
    this.source = source;
    this.#name = name;
    this.#program = this.#guard('cannot be parsed', () => parseTemplate(source));
  }

  /** The template a checkpoint brings, or the built-in one. @throws ConversationError if it is not a template */
  static fromSources(sources: ChatTemplateSources): ChatTemplate {
    const candidates: readonly (readonly [string, string | undefined])[] = [
      ['chat_template.jinja', sources.jinja],
      ['chat_template.json', templateIn(sources.chatTemplateJson)],
      ['chat_template of tokenizer_config.json', templateIn(sources.tokenizerConfig)],
    ];
    for (const [name, source] of candidates) if (source !== undefined) return new ChatTemplate(source, name);
    return new ChatTemplate();
  }

  /**
   * Renders a conversation. The text of messages goes in as it is: see `Processor` for text that is not trusted.
   * @throws ConversationError if the template fails, refuses the conversation, or does unbounded work
   */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    return this.#guard('cannot be rendered', () =>
      renderTemplate(this.#program, {
        messages,
        add_generation_prompt: options.addGenerationPrompt ?? true,
        add_vision_id: options.addVisionId ?? false,
        tools: null,
      }),
    );
  }

  #guard<T>(failure: string, action: () => T): T {
    try {
      return action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ConversationError(`${this.#name} ${failure}: ${oneLine(reason, 200)}`, { cause: error });
    }
  }
}
