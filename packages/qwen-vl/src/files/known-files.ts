/**
 * The files of a checkpoint as Hugging Face lays it out, by what they are needed for.
 *
 * The table says what a place is asked for, what counts as missing, and what a hub downloads; nothing outside it is fetched,
 * shards apart, which the index names. Files that a part can do without come before the one it needs: who fetches in this
 * order and is stopped never has the needed file without the others.
 *
 * Source: the file names of transformers `utils/__init__.py`, PEFT `utils/constants.py` and mlx-lm `tuner/utils.py`.
 */
const MIB = 2 ** 20;

/** What a folder can be opened for. */
export type ModelFolderPart = 'config' | 'weights' | 'tokenizer' | 'images' | 'adapter';

export type ModelFileName =
  | 'config.json'
  | 'generation_config.json'
  | 'tokenizer.json'
  | 'tokenizer_config.json'
  | 'chat_template.jinja'
  | 'chat_template.json'
  | 'preprocessor_config.json'
  | 'processor_config.json'
  | 'video_preprocessor_config.json'
  | 'adapter_config.json'
  | 'adapter_model.safetensors'
  | 'adapters.safetensors'
  | 'model.safetensors.index.json'
  | 'model.safetensors';

export interface KnownFile {
  readonly part: ModelFolderPart;
  /** Largest size read whole, in bytes; 0 for files that are only read in ranges. */
  readonly maxBytes: number;
}

const file = (part: ModelFolderPart, maxBytes: number): KnownFile => ({ part, maxBytes });

export const KNOWN_FILES: Readonly<Record<ModelFileName, KnownFile>> = {
  'chat_template.json': file('tokenizer', MIB),
  'chat_template.jinja': file('tokenizer', MIB),
  'tokenizer_config.json': file('tokenizer', 64 * MIB),
  'tokenizer.json': file('tokenizer', 64 * MIB),
  'video_preprocessor_config.json': file('images', 64 * MIB),
  'preprocessor_config.json': file('images', 64 * MIB),
  'processor_config.json': file('images', 64 * MIB),
  'generation_config.json': file('config', 64 * MIB),
  'config.json': file('config', 64 * MIB),
  'adapter_config.json': file('adapter', 64 * MIB),
  'adapter_model.safetensors': file('adapter', 0),
  'adapters.safetensors': file('adapter', 0),
  'model.safetensors.index.json': file('weights', 64 * MIB),
  'model.safetensors': file('weights', 0),
};

/** All of `KNOWN_FILES`, in its order. */
export const KNOWN_FILE_NAMES: readonly ModelFileName[] = Object.keys(KNOWN_FILES) as ModelFileName[];

/** The parts of a model that stands alone. */
export const MODEL_PARTS: readonly ModelFolderPart[] = ['config', 'weights', 'tokenizer', 'images'];

/**
 * What each part cannot do without: a list of alternatives, of which one has to be there. Of an
 * adapter, its configuration and its tensors, in the file of PEFT or of MLX.
 */
export const NEEDED_FILES: Readonly<Record<ModelFolderPart, readonly (readonly ModelFileName[])[]>> = {
  config: [['config.json']],
  weights: [['model.safetensors', 'model.safetensors.index.json']],
  tokenizer: [['tokenizer.json']],
  images: [['preprocessor_config.json', 'processor_config.json']],
  adapter: [['adapter_config.json'], ['adapter_model.safetensors', 'adapters.safetensors']],
};
