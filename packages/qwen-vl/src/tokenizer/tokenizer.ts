/**
 * Text to token ids and back, from the files of a Hugging Face tokenizer.
 *
 * Encoding: added tokens are cut out first (longest match, left to right), the text between them is normalised to NFC, split
 * into words and merged. **Special tokens in text stay text unless `parseSpecialTokens` is set**, so that a user who types
 * `<|im_end|>` cannot end their own message; this is transformers' `split_special_tokens=True`. Added tokens that are not
 * special (`<tool_call>`) are always recognised, there as here.
 *
 * Decoding: tokens are byte strings; their concatenation is read as UTF-8, with U+FFFD for what is not. Ids outside the
 * vocabulary (the padding rows of the embedding) decode to nothing.
 *
 * Source: Hugging Face tokenizers `tokenizer/added_vocabulary.rs`, `tokenizer/mod.rs`.
 */
import type { JsonObject, MultimodalTokenIds } from '../config/types.js';
import { quoteValue, TokenizerError } from '../errors.js';
import { tokenSplitter, type MatchedToken, type TokenSplitter } from './added-token-matcher.js';
import { createBytePairEncoder, type BytePairEncoder } from './byte-pair-encoder.js';
import { tokenBytes } from './byte-level.js';
import { IMAGE_TOKEN, VIDEO_TOKEN, VISION_END_TOKEN, VISION_START_TOKEN } from './special-tokens.js';
import { checkTokenizerJson, type AddedToken, type CheckedTokenizerJson } from './tokenizer-json.js';

export interface EncodeOptions {
  /** Recognise special tokens in the text. Only for text whose every character comes from a trusted template. */
  readonly parseSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. */
  readonly skipSpecialTokens?: boolean;
}

/** Longest text encoded at once, in UTF-16 units: several times any context window, and seconds of work. */
const MAX_TEXT_LENGTH = 2 ** 21;

/** What cuts added tokens out of a text before it is normalised, and after. */
interface Splitters {
  readonly raw: TokenSplitter;
  readonly normalized: TokenSplitter;
}

export class Tokenizer {
  readonly #file: CheckedTokenizerJson;
  readonly #config: JsonObject;
  readonly #encoder: BytePairEncoder;
  readonly #tokens = new Map<number, string>();
  readonly #ids = new Map<string, number>();
  readonly #added = new Map<string, AddedToken>();
  readonly #special = new Set<number>();
  #splitters: Splitters | undefined;
  #specialSplitter: TokenSplitter | undefined;
  #nextId = 0;

  private constructor(file: CheckedTokenizerJson, config: JsonObject) {
    this.#file = file;
    this.#config = config;
    this.#encoder = createBytePairEncoder(file);
    for (const [token, id] of Object.entries(file.vocabulary)) this.#register(token, id);
    for (const token of file.addedTokens) this.#add(token);
  }

  /**
   * @param tokenizerJson parsed tokenizer.json; it is not trusted
   * @param tokenizerConfig parsed tokenizer_config.json, kept for saving; may be left out
   * @throws TokenizerError in one line naming the file and the part that is wrong or not supported
   */
  static fromJson(
    tokenizerJson: unknown,
    tokenizerConfig: unknown = {},
    source: string = 'tokenizer.json',
    configSource: string = 'tokenizer_config.json',
  ): Tokenizer {
    const config = tokenizerConfig ?? {};
    if (typeof config !== 'object' || Array.isArray(config)) {
      throw new TokenizerError(`${configSource}: the file must hold a JSON object`);
    }
    return new Tokenizer(checkTokenizerJson(tokenizerJson, source), config as JsonObject);
  }

  /** Number of tokens, BPE and added; transformers' `len(tokenizer)`. The embedding may have more rows. */
  get vocabularySize(): number {
    return this.#tokens.size;
  }

  /** Ids of special tokens. */
  get specialTokenIds(): ReadonlySet<number> {
    return this.#special;
  }

  /** Added tokens in the order of their ids. */
  get addedTokens(): readonly AddedToken[] {
    return [...this.#added.values()].toSorted((a, b) => a.id - b.id);
  }

  /** Id of a token by its exact name (BPE tokens are named in byte-level characters), or undefined. */
  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** Name of the token with this id, or undefined. */
  idToToken(id: number): string | undefined {
    return this.#tokens.get(id);
  }

  /** Id of a token that must exist. @throws TokenizerError naming it */
  requireId(token: string): number {
    const id = this.#ids.get(token);
    if (id === undefined)
      throw new TokenizerError(`the tokenizer has no token ${quoteValue(token)}; use one of Qwen2.5-VL`);
    return id;
  }

  /** Ids of the tokens that carry images and videos. @throws TokenizerError if one is missing */
  multimodalTokenIds(): MultimodalTokenIds {
    return {
      imageTokenId: this.requireId(IMAGE_TOKEN),
      videoTokenId: this.requireId(VIDEO_TOKEN),
      visionStartTokenId: this.requireId(VISION_START_TOKEN),
      visionEndTokenId: this.requireId(VISION_END_TOKEN),
    };
  }

  /**
   * Token ids of a text. Halves of surrogate pairs, which are no characters, count as U+FFFD.
   * @throws TokenizerError if the text is longer than 2^21 UTF-16 units, or a word of it than 2^20 bytes
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    if (text.length > MAX_TEXT_LENGTH) {
      throw new TokenizerError(`a text of ${text.length} characters is above the limit of ${MAX_TEXT_LENGTH}`);
    }
    const { raw, normalized } = this.#allSplitters();
    const keeps = (id: number): boolean => options.parseSpecialTokens === true || !this.#special.has(id);
    return raw(text.toWellFormed(), keeps).flatMap((piece) => {
      if (typeof piece === 'number') return [piece];
      return normalized(this.#encoder.normalize(piece), keeps).flatMap((part) =>
        typeof part === 'number' ? [part] : this.#encoder.encode(part),
      );
    });
  }

  /** Cuts a trusted text at its special tokens: ids where they stood, the text between them as it was. */
  splitSpecialTokens(text: string): (number | string)[] {
    this.#specialSplitter ??= tokenSplitter(this.addedTokens.filter((token) => token.special));
    return this.#specialSplitter(text, () => true);
  }

  /** Text of token ids. Ids outside the vocabulary are skipped. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const stream = this.decodeStream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  /**
   * Decodes one token at a time, for text that appears while it is generated. A character whose bytes are spread over
   * tokens comes out whole with its last one; `end` gives U+FFFD for bytes that never became a character.
   */
  decodeStream(options: DecodeOptions = {}): { push(id: number): string; end(): string } {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return {
      push: (id) => {
        const token = this.#tokens.get(id);
        if (token === undefined || (options.skipSpecialTokens === true && this.#special.has(id))) return '';
        return decoder.decode(tokenBytes(token), { stream: true });
      },
      end: () => decoder.decode(),
    };
  }

  /**
   * Adds tokens after the last id, in order; a token that exists keeps its id. Added tokens are special: they are never
   * read out of user text and are left out of decoded text when asked.
   * @returns the ids, one per name
   * @throws TokenizerError if a name is empty or longer than 256 characters
   */
  addTokens(names: readonly string[]): number[] {
    return names.map((content) => {
      if (content.length === 0 || content.length > 256) {
        throw new TokenizerError(`a new token needs 1 to 256 characters, got ${quoteValue(content)}`);
      }
      const existing = this.#ids.get(content);
      if (existing !== undefined) return existing;
      const id = this.#nextId;
      this.#add({ id, content, special: true, normalized: false });
      return id;
    });
  }

  /** The content of tokenizer.json with all added tokens; everything else is as it was read. */
  toJson(): JsonObject {
    return { ...this.#file.json, added_tokens: this.addedTokens.map(addedTokenJson) };
  }

  /** The content of tokenizer_config.json, with all added tokens; everything else is as it was read. */
  configToJson(): JsonObject {
    const decoder = Object.fromEntries(
      this.addedTokens.map((token) => {
        const { id, ...rest } = addedTokenJson(token);
        return [String(id), rest];
      }),
    );
    return { ...this.#config, added_tokens_decoder: decoder };
  }

  #register(token: string, id: number): void {
    this.#tokens.set(id, token);
    this.#ids.set(token, id);
    this.#nextId = Math.max(this.#nextId, id + 1);
  }

  #add(token: AddedToken): void {
    this.#register(token.content, token.id);
    this.#added.set(token.content, token);
    if (token.special) this.#special.add(token.id);
    this.#splitters = undefined;
    this.#specialSplitter = undefined;
  }

  #allSplitters(): Splitters {
    if (this.#splitters !== undefined) return this.#splitters;
    const tokens = this.addedTokens;
    const spelled = ({ id, content }: AddedToken): MatchedToken => ({ id, content: this.#encoder.normalize(content) });
    return (this.#splitters = {
      raw: tokenSplitter(tokens.filter((token) => !token.normalized)),
      normalized: tokenSplitter(tokens.filter((token) => token.normalized).map(spelled)),
    });
  }
}

function addedTokenJson(token: AddedToken): JsonObject & { readonly id: number } {
  return {
    id: token.id,
    content: token.content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: token.normalized,
    special: token.special,
  };
}
