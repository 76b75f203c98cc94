/**
 * A checkpoint folder as Hugging Face lays it out, without its weights.
 *
 * `ModelFolder.open` looks which of the known files exist and refuses a folder that lacks one that is needed, naming all that
 * are missing at once. Files are read when asked for, each once.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveGenerationConfig } from '../config/generation-config.js';
import { checkPreprocessorFitsModel, resolvePreprocessorConfig } from '../config/preprocessor-config.js';
import { resolveConfig } from '../config/resolve-config.js';
import type { GenerationConfig, PreprocessorConfig, Qwen2_5_VLConfig } from '../config/types.js';
import { ModelFolderError } from '../errors.js';
import { Processor } from '../processor/processor.js';
import { ChatTemplate } from '../tokenizer/chat-template.js';
import { Tokenizer } from '../tokenizer/tokenizer.js';
import { readJsonFile, readTextFile } from './json-file.js';

const MIB = 2 ** 20;

export type ModelFileName =
  | 'config.json'
  | 'model.safetensors'
  | 'model.safetensors.index.json'
  | 'tokenizer.json'
  | 'tokenizer_config.json'
  | 'preprocessor_config.json'
  | 'processor_config.json'
  | 'generation_config.json'
  | 'chat_template.json'
  | 'chat_template.jinja';

/** Known files with the largest size read, in bytes. Weights are listed but never read here. */
const KNOWN_FILES: Readonly<Record<ModelFileName, number>> = {
  'config.json': 64 * MIB,
  'model.safetensors': 0,
  'model.safetensors.index.json': 64 * MIB,
  'tokenizer.json': 256 * MIB,
  'tokenizer_config.json': 64 * MIB,
  'preprocessor_config.json': 64 * MIB,
  'processor_config.json': 64 * MIB,
  'generation_config.json': 64 * MIB,
  'chat_template.json': MIB,
  'chat_template.jinja': MIB,
};

/** What a folder can be opened for. */
export type ModelFolderPart = 'config' | 'weights' | 'tokenizer' | 'images';

/** Files each part needs; of alternatives, one. */
const NEEDED_FILES: Readonly<Record<ModelFolderPart, readonly ModelFileName[]>> = {
  config: ['config.json'],
  weights: ['model.safetensors', 'model.safetensors.index.json'],
  tokenizer: ['tokenizer.json'],
  images: ['preprocessor_config.json', 'processor_config.json'],
};

const ALL_PARTS: readonly ModelFolderPart[] = ['config', 'weights', 'tokenizer', 'images'];

export class ModelFolder {
  readonly path: string;
  /** Known files that exist. */
  readonly files: ReadonlySet<ModelFileName>;
  readonly #json = new Map<ModelFileName, Promise<unknown>>();

  private constructor(path: string, files: ReadonlySet<ModelFileName>) {
    this.path = path;
    this.files = files;
  }

  /**
   * @param parts what the folder is needed for; all parts by default
   * @throws ModelFolderError naming the folder and every missing file
   */
  static async open(path: string, parts: readonly ModelFolderPart[] = ALL_PARTS): Promise<ModelFolder> {
    let entries: string[];
    try {
      entries = await readdir(path);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const reason =
        code === 'ENOENT' ? 'no such folder' : code === 'ENOTDIR' ? 'not a folder' : `cannot be read (${String(code)})`;
      throw new ModelFolderError(`${path}: ${reason}; name a checkpoint folder with a config.json`, { cause: error });
    }
    const present = new Set(entries);
    const files = new Set((Object.keys(KNOWN_FILES) as ModelFileName[]).filter((name) => present.has(name)));
    const missing = parts.map((part) => NEEDED_FILES[part]).filter((names) => !names.some((name) => files.has(name)));
    if (missing.length > 0) {
      const list = missing.map((names) => names.join(' or ')).join(', ');
      throw new ModelFolderError(
        `${path}: missing ${list}; download the whole checkpoint, or name the folder that holds it`,
      );
    }
    return new ModelFolder(path, files);
  }

  /** Full path of a file of the folder. */
  fileName(name: string): string {
    return join(this.path, name);
  }

  /** config.json, checked. @throws ConfigError, ModelFolderError */
  async config(): Promise<Qwen2_5_VLConfig> {
    return resolveConfig(await this.#require('config.json'), this.fileName('config.json'));
  }

  /** preprocessor_config.json (or processor_config.json of transformers 5), checked. @throws ConfigError, ModelFolderError */
  async preprocessorConfig(): Promise<PreprocessorConfig> {
    const name = this.files.has('preprocessor_config.json') ? 'preprocessor_config.json' : 'processor_config.json';
    return resolvePreprocessorConfig(await this.#require(name), this.fileName(name));
  }

  /** generation_config.json; without one, greedy decoding with the token ids of config.json. @throws ConfigError */
  async generationConfig(): Promise<GenerationConfig> {
    const name = 'generation_config.json';
    return resolveGenerationConfig(await this.#optional(name), await this.config(), this.fileName(name));
  }

  /** The tokenizer, a fresh one each time, since tokens can be added to it. @throws TokenizerError, ModelFolderError */
  async tokenizer(): Promise<Tokenizer> {
    return Tokenizer.fromJson(
      await this.#require('tokenizer.json'),
      await this.#optional('tokenizer_config.json'),
      this.fileName('tokenizer.json'),
      this.fileName('tokenizer_config.json'),
    );
  }

  /** The checkpoint's chat template, or the built-in one. @throws ConversationError, ModelFolderError */
  async chatTemplate(): Promise<ChatTemplate> {
    const jinja = 'chat_template.jinja';
    return ChatTemplate.fromSources({
      jinja: this.files.has(jinja) ? await readTextFile(this.fileName(jinja), KNOWN_FILES[jinja]) : undefined,
      chatTemplateJson: await this.#optional('chat_template.json'),
      tokenizerConfig: await this.#optional('tokenizer_config.json'),
    });
  }

  /** Tokenizer, chat template and image processor together, checked against the model. @throws InvalidInputError */
  async processor(): Promise<Processor> {
    const preprocessor = await this.preprocessorConfig();
    if (this.files.has('config.json')) checkPreprocessorFitsModel(preprocessor, await this.config());
    return new Processor(await this.tokenizer(), await this.chatTemplate(), preprocessor);
  }

  /** A parsed JSON file, read once; undefined if the folder has none of that name. */
  #optional(name: ModelFileName): Promise<unknown> {
    if (!this.files.has(name)) return Promise.resolve(undefined);
    const content = this.#json.get(name) ?? readJsonFile(this.fileName(name), KNOWN_FILES[name]);
    this.#json.set(name, content);
    return content;
  }

  async #require(name: ModelFileName): Promise<unknown> {
    if (!this.files.has(name))
      throw new ModelFolderError(`${this.path}: missing ${name}; download the whole checkpoint`);
    return this.#optional(name);
  }
}
