/**
 * Adapters in the files of PEFT: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * Keys are in `keys.ts`; LoRA matrices are A [r, in] and B [out, r]; trained token rows replace the rows named by
 * `trainable_token_indices`; modules saved whole replace the model's own. Any float dtype is read, f32 is written. Source:
 * peft `save_and_load.py`, `tuners/lora`, `tuners/trainable_tokens`.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import { type Device, type SafetensorsEntry, type Tensor, type TensorSource, tensor } from '@mindseye/tensor-core';
import { type KeyLayout, type PeftAdapter, type TrainedRows, embeddingPath, headPath } from './adapter.js';
import { type LoraConfig, layerSettings } from './config.js';
import { type PeftTensorKind, layoutOf, oldPath, parsePeftKey, peftKey } from './keys.js';
import type { LoraPair } from './lora.js';
import { type PeftSettings, readPeftConfig } from './peft-config.js';
import { targetTest } from './targets.js';

export interface PeftEntriesOptions {
  /** Names of the tensors; those of the file that the adapter was read from, else the new ones. */
  readonly layout?: KeyLayout;
}

/** The tensors of adapter_model.safetensors. */
export async function peftEntries(
  { lora, tokenRows, headRows, saved, layout: own }: PeftAdapter,
  device: Device,
  { layout = own ?? 'new' }: PeftEntriesOptions = {},
): Promise<SafetensorsEntry[]> {
  const tensors: [name: string, value: Tensor][] = [];
  const rows = [
    [embeddingPath, tokenRows],
    [headPath, headRows],
  ] as const;
  for (const [path, trained] of rows)
    if (trained) tensors.push([peftKey(path, 'token_adapter.trainable_tokens_delta', layout), trained.rows]);
  for (const [path, { a, b }] of Object.entries(lora))
    tensors.push([peftKey(path, 'lora_A.weight', layout), a], [peftKey(path, 'lora_B.weight', layout), b]);
  for (const [name, value] of Object.entries(saved ?? {})) {
    const dot = name.lastIndexOf('.');
    tensors.push([peftKey(name.slice(0, dot), name.slice(dot + 1), layout), value]);
  }
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of tensors)
    entries.push({ name, dtype: 'F32', shape: value.shape, data: (await value.data(device)) as Float32Array });
  return entries;
}

/**
 * Reads an adapter; all key layouts of Qwen2.5-VL are understood.
 *
 * @param json the parsed adapter_config.json
 * @param location for error messages
 * @throws InvalidInputError for a setting that changes the maths and is not supported, or tensors that do not fit each other
 */
export async function readPeftAdapter(
  json: unknown,
  source: TensorSource,
  location = 'the adapter',
): Promise<PeftAdapter> {
  const { config: stated, tokens, settings } = readPeftConfig(json, location);
  if (source.names().length === 0)
    throw new InvalidInputError(
      `${location}: adapter_model.safetensors holds no LoRA matrix and no trained token row; it would change nothing, save the adapter again`,
    );
  const found = await readTensors(source, stated.modulesToSave ?? [], location);
  const layout = layoutOf(source.names());
  const pairs = pairsOf(found, stated, layout, location);
  const config = stated.targetModules.length > 0 ? stated : { ...stated, targetModules: Object.keys(pairs) };
  const isTarget = targetTest(config);
  const inEitherName = (path: string): boolean => isTarget(path) || (layout === 'old' && isTarget(oldPath(path)));
  const lora = Object.fromEntries(Object.entries(pairs).filter(([path]) => inEitherName(path)));
  const untargeted = Object.keys(pairs).filter((path) => !inEitherName(path));
  const saved = Object.fromEntries(found.saved);
  const rows = trainedRows(tokens, found.rows, location);
  if (Object.keys(lora).length + Object.keys(saved).length + Object.keys(rows).length === 0) {
    throw new InvalidInputError(
      `${location}: target_modules of adapter_config.json names none of the ${untargeted.length} layers in the file (${untargeted[0]}, …); it would change nothing, take both files from one adapter`,
    );
  }
  return {
    config,
    lora,
    ...rows,
    ...(found.saved.size > 0 && { saved }),
    settings,
    layout,
    ...(untargeted.length > 0 && { untargeted }),
  };
}

type FoundTensors = Readonly<Record<Exclude<PeftTensorKind, 'unsupported'>, Map<string, Tensor>>>;

async function readTensors(
  source: TensorSource,
  modulesToSave: readonly string[],
  location: string,
): Promise<FoundTensors> {
  // PEFT writes tables beside an adapter on its own account when their size has changed.
  const isSaved = wrappedTest([...modulesToSave, 'embed_tokens', headPath]);
  const found: FoundTensors = { lora_A: new Map(), lora_B: new Map(), rows: new Map(), saved: new Map() };
  for (const key of source.names()) {
    const name = parsePeftKey(key);
    if (!name || name.kind === 'unsupported' || (name.kind === 'saved' && !isSaved(name.path)))
      throw new InvalidInputError(
        `${location}: tensor ${key} is not a LoRA matrix, a trained token row or of a module in modules_to_save; only those are supported`,
      );
    const own = found[name.kind];
    if (own.has(name.path))
      throw new InvalidInputError(`${location}: two tensors are ${name.kind} of ${name.path}; remove one of them`);
    own.set(name.path, tensor(await source.readFloat32(key), source.info(key).shape));
  }
  return found;
}

/** PEFT saves every module whose path ends in one of the names, after a dot or not (`norm` is `input_layernorm` too). */
function wrappedTest(names: readonly string[]): (path: string) => boolean {
  return (path) => {
    const parts = path.split('.');
    const modules = parts.map((_, count) => parts.slice(0, count).join('.'));
    return names.some((name) => modules.some((module) => module.endsWith(name)));
  };
}

function pairsOf(
  { lora_A: first, lora_B: second }: FoundTensors,
  config: LoraConfig,
  layout: KeyLayout,
  location: string,
): Record<string, LoraPair> {
  const settings = layerSettings(config, layout);
  const pairs: [path: string, pair: LoraPair][] = [];
  for (const path of new Set([...first.keys(), ...second.keys()])) {
    const [a, b, rank] = [first.get(path), second.get(path), settings.rank(path)];
    if (!a || !b || a.rank !== 2 || b.rank !== 2 || a.shape[0] !== rank || b.shape[1] !== rank)
      throw new InvalidInputError(
        `${location}: ${path} needs lora_A [${rank}, in] and lora_B [out, ${rank}]; the file is incomplete, of another rank, or adapts no linear layer`,
      );
    pairs.push([path, { a, b }]);
  }
  return Object.fromEntries(pairs);
}

/** Where trained rows go, by the module they are of. */
const rowFields: Readonly<Record<string, 'tokenRows' | 'headRows'>> = {
  [embeddingPath]: 'tokenRows',
  [headPath]: 'headRows',
};

function trainedRows(
  tokens: PeftSettings['tokens'],
  found: ReadonlyMap<string, Tensor>,
  location: string,
): Pick<PeftAdapter, 'tokenRows' | 'headRows'> {
  for (const path of found.keys())
    if (!Object.hasOwn(rowFields, path))
      throw new InvalidInputError(
        `${location}: the file trains rows of ${path}; only rows of embed_tokens and lm_head are supported`,
      );
  const all: Partial<Record<'tokenRows' | 'headRows', TrainedRows>> = {};
  for (const [path, field] of Object.entries(rowFields)) {
    const named = Object.entries(tokens).find(
      ([name]) => path === name || path.endsWith(`.${name}`) || oldPath(path) === name,
    );
    const [ids, rows] = [named?.[1] ?? [], found.get(path)];
    // A tied head shares the rows of the embedding, and the file holds them once.
    const shared = field === 'headRows' && !rows && all.tokenRows?.ids.join() === ids.join();
    if (shared || (ids.length === 0 && !rows)) continue;
    if (!rows || rows.rank !== 2 || rows.shape[0] !== ids.length || new Set(ids).size !== ids.length) {
      throw new InvalidInputError(
        `${location}: trainable_token_indices (${ids.length} ids) and the trained rows (${rows?.shape[0] ?? 0}) of ${path} do not fit; they must be as many, each id once`,
      );
    }
    all[field] = { ids, rows };
  }
  return all;
}
