/**
 * A checkpoint as Hugging Face lays it out, wherever its files are.
 *
 * `ModelFolder.open` looks which files are there and refuses a place that lacks what is needed, naming everything that is
 * missing at once, shards included. Files are read when asked for, each once. Weights are opened, never read here.
 */
import { type SafetensorsCheckpoint, openCheckpoint } from '@mindseye/tensor-core';
import { type QuantizationConfig, resolveQuantizationConfig } from '../config/quantization-config.js';
import { resolveGenerationConfig } from '../config/generation-config.js';
import {
  checkPreprocessorFitsModel,
  resolvePreprocessorConfig,
  resolveVideoSettings,
} from '../config/preprocessor-config.js';
import { resolveConfig } from '../config/resolve-config.js';
import type { GenerationConfig, PreprocessorConfig, Qwen2_5_VLConfig, TensorShapes } from '../config/types.js';
import { ConfigError } from '../errors.js';
import type { LoadReport } from '../load/load-report.js';
import { type LoadOptions, loadWeights } from '../load/load-weights.js';
import { inspectCheckpoint } from '../load/plan-checkpoint.js';
import { shapesOf } from '../load/stored-modules.js';
import type { Weights } from '../model/context.js';
import { Processor } from '../processor/processor.js';
import { ChatTemplate } from '../tokenizer/chat-template.js';
import { Tokenizer } from '../tokenizer/tokenizer.js';
import { KNOWN_FILES, MODEL_PARTS, type ModelFileName, type ModelFolderPart } from './known-files.js';
import { findMissing, missingFilesError } from './missing-files.js';
import type { ModelFiles } from './model-files.js';
import { fileLabel, openFile, readJson, readText } from './read-file.js';

/** A model's weights with the configuration that their headers confirm. */
export interface LoadedWeights {
  readonly config: Qwen2_5_VLConfig;
  readonly weights: Weights;
  readonly report: LoadReport;
}

/** What the headers of a model's weights hold. */
export interface InspectedWeights {
  readonly config: Qwen2_5_VLConfig;
  readonly report: LoadReport;
  /** Why headers and config.json cannot be of one model. */
  readonly contradiction: ConfigError | undefined;
}

export class ModelFolder {
  /** The place. */
  readonly files: ModelFiles;
  readonly #json = new Map<ModelFileName, Promise<unknown>>();
  /** Shapes of the weights, once their headers have been read. */
  #shapes: TensorShapes | undefined;

  private constructor(files: ModelFiles) {
    this.files = files;
  }

  /**
   * @param parts what the model is needed for; all that a model has by default
   * @throws ModelFolderError naming the place and every missing file; SafetensorsError when the index of the shards is not one
   */
  static async open(files: ModelFiles, parts: readonly ModelFolderPart[] = MODEL_PARTS): Promise<ModelFolder> {
    const missing = await findMissing(files, parts);
    if (missing.length > 0) throw missingFilesError(files, missing);
    return new ModelFolder(files);
  }

  /** What messages call the place. */
  get location(): string {
    return this.files.location;
  }

  has(name: ModelFileName): boolean {
    return this.files.names.has(name);
  }

  /**
   * config.json, checked; once the headers of the weights have been read (`loadWeights`, `inspectWeights`), against those too,
   * and completed by them. @throws ConfigError, ModelFolderError
   */
  async config(): Promise<Qwen2_5_VLConfig> {
    return resolveConfig(await this.json('config.json'), fileLabel(this.files, 'config.json'), this.#shapes);
  }

  /** What config.json says of packed weights; undefined when they are not quantised. @throws ConfigError, ModelFolderError */
  async quantizationConfig(): Promise<QuantizationConfig | undefined> {
    return resolveQuantizationConfig(await this.json('config.json'), fileLabel(this.files, 'config.json'));
  }

  /** preprocessor_config.json (or processor_config.json of transformers 5), checked. @throws ConfigError, ModelFolderError */
  async preprocessorConfig(): Promise<PreprocessorConfig> {
    const name = this.has('preprocessor_config.json') ? 'preprocessor_config.json' : 'processor_config.json';
    return resolvePreprocessorConfig(await this.json(name), fileLabel(this.files, name));
  }

  /** video_preprocessor_config.json as it is parsed, unchecked; undefined when there is none. @throws ModelFolderError */
  async videoPreprocessorConfig(): Promise<unknown> {
    return this.optionalJson('video_preprocessor_config.json');
  }

  /** generation_config.json; without one, greedy decoding with the token ids of config.json. @throws ConfigError */
  async generationConfig(): Promise<GenerationConfig> {
    const name = 'generation_config.json';
    return resolveGenerationConfig(await this.optionalJson(name), await this.config(), fileLabel(this.files, name));
  }

  /** The tokenizer, a fresh one each time, since tokens can be added to it. @throws TokenizerError, ModelFolderError */
  async tokenizer(): Promise<Tokenizer> {
    return Tokenizer.fromJson(
      await this.json('tokenizer.json'),
      await this.optionalJson('tokenizer_config.json'),
      fileLabel(this.files, 'tokenizer.json'),
      fileLabel(this.files, 'tokenizer_config.json'),
    );
  }

  /** As `tokenizer`; undefined for a place without one, such as the folder of most adapters. */
  async optionalTokenizer(): Promise<Tokenizer | undefined> {
    return this.has('tokenizer.json') ? this.tokenizer() : undefined;
  }

  /** The checkpoint's chat template, or the built-in one. @throws ConversationError, ModelFolderError */
  async chatTemplate(): Promise<ChatTemplate> {
    const jinja = 'chat_template.jinja';
    return ChatTemplate.fromSources({
      jinja: this.has(jinja) ? await readText(this.files, jinja, KNOWN_FILES[jinja].maxBytes) : undefined,
      chatTemplateJson: await this.optionalJson('chat_template.json'),
      tokenizerConfig: await this.optionalJson('tokenizer_config.json'),
    });
  }

  /** Tokenizer, chat template and image processor together, checked against the model. @throws InvalidInputError */
  async processor(): Promise<Processor> {
    const preprocessor = await this.preprocessorConfig();
    if (this.has('config.json')) checkPreprocessorFitsModel(preprocessor, await this.config());
    const video = await this.videoPreprocessorConfig();
    return new Processor(await this.tokenizer(), await this.chatTemplate(), preprocessor, {
      ...(video !== undefined && {
        video: resolveVideoSettings(video, fileLabel(this.files, 'video_preprocessor_config.json')),
      }),
    });
  }

  /**
   * The weights, one file or shards, as one source of tensors. Headers are read now, tensors when asked for; the caller closes it.
   * @throws SafetensorsError, ModelFolderError
   */
  async checkpoint(): Promise<SafetensorsCheckpoint> {
    return openCheckpoint(async (name) => (this.files.names.has(name) ? openFile(this.files, name) : undefined), {
      location: this.location,
    });
  }

  /**
   * Reads all weights, tensor by tensor.
   * @throws CheckpointError naming what is missing or does not fit config.json; ConfigError, SafetensorsError, ModelFolderError
   */
  async loadWeights(options: Omit<LoadOptions, 'location' | 'quantization'> = {}): Promise<LoadedWeights> {
    return this.#withWeights(async (source, how) => {
      const config = await this.config();
      return { config, ...(await loadWeights(source, config, { ...options, ...how })) };
    });
  }

  /**
   * What `loadWeights` would find, from headers alone: nothing that is missing is refused, and where headers and config.json
   * contradict each other the report is of what config.json says.
   * @throws ConfigError, SafetensorsError, ModelFolderError
   */
  async inspectWeights(): Promise<InspectedWeights> {
    return this.#withWeights(async (source, how) => {
      const checked = await this.config().catch((error: unknown) => {
        if (error instanceof ConfigError) return error;
        throw error;
      });
      if (!(checked instanceof ConfigError))
        return { config: checked, report: inspectCheckpoint(source, checked, how), contradiction: undefined };
      this.#shapes = undefined;
      const config = await this.config();
      return { config, report: inspectCheckpoint(source, config, how), contradiction: checked };
    });
  }

  /** Opens the weights, notes what their headers say of the configuration, and closes them again. */
  async #withWeights<T>(
    work: (
      source: SafetensorsCheckpoint,
      how: { readonly location: string; readonly quantization: QuantizationConfig | undefined },
    ) => Promise<T>,
  ): Promise<T> {
    const quantization = await this.quantizationConfig();
    const source = await this.checkpoint();
    try {
      this.#shapes = shapesOf(source, quantization, this.location);
      return await work(source, { location: this.location, quantization });
    } finally {
      await source.close();
    }
  }

  /** A JSON file as it is parsed, read once. @throws ModelFolderError when it is not there or is not JSON */
  json(name: ModelFileName): Promise<unknown> {
    const content = this.#json.get(name) ?? readJson(this.files, name, KNOWN_FILES[name].maxBytes);
    this.#json.set(name, content);
    return content;
  }

  /** As `json`; undefined when the place has no such file. */
  async optionalJson(name: ModelFileName): Promise<unknown> {
    return this.has(name) ? this.json(name) : undefined;
  }
}
