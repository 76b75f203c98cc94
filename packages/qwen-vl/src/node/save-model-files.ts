/**
 * Writes the files of a checkpoint folder, without its weights, as transformers reads them.
 *
 * Each file is written to a temporary name and renamed, so no reader sees half of one. The chat template goes into
 * tokenizer_config.json and into chat_template.jinja, which older and newer transformers look at.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic, writeJsonAtomic } from '@mindseye/tensor-core/node';
import { toHuggingFaceGenerationConfig } from '../config/generation-config.js';
import { toHuggingFaceConfig, toHuggingFacePreprocessorConfig } from '../config/serialize-config.js';
import type { GenerationConfig, PreprocessorConfig, Qwen2_5_VLConfig } from '../config/types.js';
import { ModelFolderError } from '../errors.js';
import type { ChatTemplate } from '../tokenizer/chat-template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';

/** What to write; each part given becomes its file or files. */
export interface SavedModelParts {
  readonly config?: Qwen2_5_VLConfig;
  /** dtype named in config.json; that of the weights beside it. Default float32. */
  readonly dtype?: string;
  readonly preprocessor?: PreprocessorConfig;
  readonly generation?: GenerationConfig;
  readonly tokenizer?: Tokenizer;
  readonly chatTemplate?: ChatTemplate;
}

/**
 * Creates the folder if needed and writes the given parts into it.
 * @throws FileError naming the file and the cure if the system refuses; files written before stay, none is half-written
 */
export async function saveModelFiles(folder: string, files: SavedModelParts): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ModelFolderError(`${folder}: cannot create the folder (${reason}); choose another`, { cause: error });
  }
  const { config, preprocessor, generation, tokenizer, chatTemplate } = files;
  const json: [name: string, content: unknown][] = [];
  if (config !== undefined) json.push(['config.json', toHuggingFaceConfig(config, files.dtype)]);
  if (preprocessor !== undefined)
    json.push(['preprocessor_config.json', toHuggingFacePreprocessorConfig(preprocessor)]);
  if (generation !== undefined) json.push(['generation_config.json', toHuggingFaceGenerationConfig(generation)]);
  if (tokenizer !== undefined) {
    const template = chatTemplate === undefined ? {} : { chat_template: chatTemplate.source };
    json.push(['tokenizer.json', tokenizer.toJson()]);
    json.push(['tokenizer_config.json', { ...tokenizer.configToJson(), ...template }]);
  }
  for (const [name, content] of json) await writeJsonAtomic(join(folder, name), content);
  if (chatTemplate !== undefined) await writeFileAtomic(join(folder, 'chat_template.jinja'), chatTemplate.source);
}
