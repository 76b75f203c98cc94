/**
 * What a model folder holds, as far as it can be told: every part is looked at by itself, so that one that is missing or broken
 * hides nothing of the others. Of the weights only the headers are read.
 */
import { latentIdsOf, readAdapter } from '@mindseye/latent-reasoning';
import {
  type LoadReport,
  type MissingFile,
  type ModelFileName,
  type ModelFiles,
  type PreprocessorConfig,
  type Qwen2_5_VLConfig,
  InvalidInputError,
  KNOWN_FILE_NAMES,
  MODEL_PARTS,
  ModelFolder,
  findMissing,
  parameterCount,
} from '@mindseye/qwen-vl';
import { SafetensorsError, openCheckpoint } from '@mindseye/tensor-core';

export interface FileReport {
  readonly name: string;
  readonly bytes: number;
}

export interface TokenizerReport {
  readonly vocabulary: number;
  readonly added: number;
  /** Names of the tokens that latents have a place at. */
  readonly latents: readonly string[];
}

export interface AdapterReport {
  readonly baseModel: string | null;
  readonly rank: number;
  readonly alpha: number;
  /** Layers with a pair of matrices. */
  readonly layers: number;
  /** Ids of the tokens whose rows were trained. */
  readonly tokenRows: readonly number[];
}

export interface InspectReport {
  readonly location: string;
  /** Of a model on a hub. */
  readonly repository: { readonly name: string; readonly revision: string; readonly commit: string } | null;
  readonly kind: 'model' | 'adapter';
  readonly files: readonly FileReport[];
  readonly missing: readonly MissingFile[];
  /** What is there and cannot be used, a line each. */
  readonly problems: readonly string[];
  readonly config: Qwen2_5_VLConfig | null;
  readonly parameters: number | null;
  /** How packed weights are packed; null for weights that are not. */
  readonly quantization: object | null;
  readonly tokenizer: TokenizerReport | null;
  readonly chatTemplate: boolean;
  readonly preprocessor: PreprocessorConfig | null;
  readonly videoPreprocessor: boolean;
  readonly weights: Omit<LoadReport, 'tensors'> | null;
  readonly adapter: AdapterReport | null;
}

const NOTHING = {
  config: null,
  parameters: null,
  quantization: null,
  tokenizer: null,
  chatTemplate: false,
  preprocessor: null,
  videoPreprocessor: false,
  weights: null,
  adapter: null,
} as const;

/** Adds what was wrong to a list; null stands for the part. */
async function attempt<T>(problems: string[], work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InvalidInputError || error instanceof SafetensorsError)) throw error;
    // One broken config.json is one problem, whoever stumbles over it.
    if (!problems.includes(error.message)) problems.push(error.message);
    return null;
  }
}

/** Looks at a place that holds a model, or an adapter. */
export async function inspect(files: ModelFiles): Promise<InspectReport> {
  const kind = files.names.has('adapter_config.json') && !files.names.has('config.json') ? 'adapter' : 'model';
  const problems: string[] = [];
  const parts = kind === 'model' ? MODEL_PARTS : (['adapter'] as const);
  const found = await attempt(problems, () => findMissing(files, parts));
  // An index that cannot be read leaves the other parts.
  const missing =
    found ??
    (await findMissing(
      files,
      parts.filter((part) => part !== 'weights'),
    ));
  const folder = await ModelFolder.open(files, []);
  const isWhole = found !== null && !missing.some(({ name }) => /\.safetensors|config\.json$/.test(name));
  const content = await contents[kind](folder, isWhole, problems);
  return {
    location: files.location,
    repository: files.repository ?? null,
    kind,
    files: await fileReports(files, problems),
    missing,
    problems,
    ...NOTHING,
    ...content,
  };
}

async function fileReports(files: ModelFiles, problems: string[]): Promise<FileReport[]> {
  const shown = [...files.names].filter(
    (name) => KNOWN_FILE_NAMES.includes(name as ModelFileName) || name.endsWith('.safetensors'),
  );
  const reports = await Promise.all(
    shown.toSorted().map((name) =>
      attempt(problems, async () => {
        const source = await files.open(name);
        await source.close?.();
        return { name, bytes: source.size };
      }),
    ),
  );
  return reports.filter((report) => report !== null);
}

type Content = Partial<Omit<InspectReport, 'location' | 'files' | 'missing' | 'problems'>>;

/** @param isWhole whether weights, or an adapter, and their configuration are all there */
type Inspect = (folder: ModelFolder, isWhole: boolean, problems: string[]) => Promise<Content>;

const inspectModel: Inspect = async (folder, isWhole, problems) => {
  const inspected = isWhole ? await attempt(problems, () => folder.inspectWeights()) : null;
  if (inspected?.contradiction) problems.push(inspected.contradiction.message);
  const ifThere = async <T>(name: ModelFileName, work: () => Promise<T>): Promise<T | null> =>
    folder.has(name) ? attempt(problems, work) : null;
  const config = inspected?.config ?? (await ifThere('config.json', () => folder.config()));
  const hasPreprocessor = folder.has('preprocessor_config.json') || folder.has('processor_config.json');
  return {
    config,
    parameters: config && parameterCount(config),
    quantization: (await ifThere('config.json', () => folder.quantizationConfig())) ?? null,
    tokenizer: await ifThere('tokenizer.json', () => tokenizerReport(folder)),
    chatTemplate: await hasChatTemplate(folder, problems),
    preprocessor: hasPreprocessor ? await attempt(problems, () => folder.preprocessorConfig()) : null,
    videoPreprocessor: folder.has('video_preprocessor_config.json'),
    weights: inspected && withoutTensors(inspected.report),
  };
};

/** The report is for reading, and the 3B has 824 tensors. */
function withoutTensors(report: LoadReport): Omit<LoadReport, 'tensors'> {
  const { tensors, ...rest } = report;
  void tensors;
  return rest;
}

async function tokenizerReport(folder: ModelFolder): Promise<TokenizerReport> {
  const tokenizer = await folder.tokenizer();
  return {
    vocabulary: tokenizer.vocabularySize,
    added: tokenizer.addedTokens.length,
    latents: latentIdsOf(tokenizer).map((id) => tokenizer.idToToken(id)!),
  };
}

/** Whether the folder has a template of its own that can be read. */
async function hasChatTemplate(folder: ModelFolder, problems: string[]): Promise<boolean> {
  const template = await attempt(problems, () => folder.chatTemplate());
  if (!template) return false;
  if (folder.has('chat_template.jinja') || folder.has('chat_template.json')) return true;
  const config = await attempt(problems, () => folder.optionalJson('tokenizer_config.json'));
  return typeof config === 'object' && config !== null && 'chat_template' in config;
}

const inspectAdapter: Inspect = async (folder, isWhole, problems) => {
  const tokenizer = folder.has('tokenizer.json') ? await attempt(problems, () => tokenizerReport(folder)) : null;
  return { tokenizer, adapter: isWhole ? await attempt(problems, () => adapterReport(folder)) : null };
};

async function adapterReport(folder: ModelFolder): Promise<AdapterReport> {
  const json = await folder.json('adapter_config.json');
  const fileName = folder.has('adapter_model.safetensors') ? 'adapter_model.safetensors' : 'adapters.safetensors';
  const source = await openCheckpoint((name) => folder.files.open(name), { location: folder.location, fileName });
  try {
    const { config, lora, tokenRows } = await readAdapter(json, source, folder.location);
    const base = (json as Readonly<Record<string, unknown>>)['base_model_name_or_path'];
    return {
      baseModel: typeof base === 'string' ? base : null,
      rank: config.rank,
      alpha: config.alpha,
      layers: Object.keys(lora).length,
      tokenRows: tokenRows?.ids ?? [],
    };
  } finally {
    await source.close();
  }
}

const contents: Readonly<Record<InspectReport['kind'], Inspect>> = { model: inspectModel, adapter: inspectAdapter };
