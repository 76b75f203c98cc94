/** What `mindseye inspect` prints for people. */
import { type Qwen2_5_VLConfig, byteCount } from '@mindseye/qwen-vl';
import { oneLine } from '../shared/errors.js';
import type { Colors } from '../shared/terminal.js';
import type { InspectReport } from './report.js';

const count = (value: number): string => value.toLocaleString('en');
const plural = (value: number, one: string): string => `${count(value)} ${one}${value === 1 ? '' : 's'}`;

type Line = readonly [label: string, text: string];

function configLines(config: Qwen2_5_VLConfig, parameters: number): Line[] {
  const { textConfig: text, visionConfig: vision, tieWordEmbeddings } = config;
  return [
    ['model', `${config.modelType}, ${plural(parameters, 'parameter')}`],
    [
      'language',
      `${plural(text.numHiddenLayers, 'layer')} of width ${text.hiddenSize}, ${text.numAttentionHeads} heads and ${text.numKeyValueHeads} key/value heads of size ${text.headDim}, MLP ${text.intermediateSize}, vocabulary ${count(text.vocabSize)}, head ${tieWordEmbeddings ? 'tied' : 'of its own'}`,
    ],
    [
      'vision',
      `${plural(vision.depth, 'block')} of width ${vision.hiddenSize}, ${vision.numHeads} heads, patches of ${vision.patchSize} pixels, windows of ${vision.windowSize} pixels`,
    ],
  ];
}

const formatCounts = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, tensors]) => `${name} × ${count(tensors)}`)
    .join(', ');

const MAX_NAMED = 5;
const named = (names: readonly string[]): string =>
  names.length === 0 ? '' : ` (${names.slice(0, MAX_NAMED).join(', ')}${names.length > MAX_NAMED ? ', …' : ''})`;

function weightLines({ weights, quantization }: InspectReport): Line[] {
  if (!weights) return [['weights', 'not looked at']];
  const { loaded, missing, unexpected, mismatched, dtypes, formats, bytes, layout } = weights;
  return [
    [
      'weights',
      `${plural(loaded, 'tensor')}, ${count(missing.length)} missing${named(missing)}, ${count(unexpected.length)} unexpected${named(unexpected)}, ${count(mismatched.length)} mismatched${named(mismatched.map(({ name, problem }) => `${name}: ${problem}`))}`,
    ],
    ['stored as', `${formatCounts(dtypes)}; ${byteCount(bytes)}; names ${layout ?? 'unknown'}`],
    ...(quantization ? ([['quantised', formatCounts(formats as Record<string, number>)]] as const) : []),
  ];
}

function tokenizerLines({ tokenizer }: InspectReport): Line[] {
  if (!tokenizer) return [];
  const { vocabulary, added, latents } = tokenizer;
  const names =
    latents.length === 0 ? 'no latent tokens' : `${plural(latents.length, 'latent token')}${named(latents)}`;
  return [['tokenizer', `${plural(vocabulary, 'token')}, ${count(added)} of them added, ${names}`]];
}

function partLines({ chatTemplate, preprocessor, videoPreprocessor }: InspectReport): Line[] {
  const lines: Line[] = [
    ['template', chatTemplate ? 'its own chat template' : 'no chat template; the built-in one is used'],
  ];
  if (preprocessor) {
    const { minPixels, maxPixels, patchSize, mergeSize } = preprocessor;
    const tokens = Math.floor(maxPixels / (patchSize * mergeSize) ** 2);
    lines.push([
      'images',
      `${count(minPixels)} to ${count(maxPixels)} pixels, up to ${plural(tokens, 'token')} an image${videoPreprocessor ? '; videos have a configuration of their own' : ''}`,
    ]);
  }
  return lines;
}

function adapterLines({ adapter }: InspectReport): Line[] {
  if (!adapter) return [];
  const { baseModel, rank, alpha, layers, tokenRows } = adapter;
  return [
    ['adapter', `LoRA of rank ${rank}, alpha ${alpha}, on ${plural(layers, 'layer')}`],
    ['rows', tokenRows.length === 0 ? 'no trained token rows' : `${plural(tokenRows.length, 'trained token row')}`],
    ['base', baseModel ?? 'not said'],
  ];
}

/** Several lines: a heading, a line per fact, and one for each thing that is wrong. */
export function reportText(report: InspectReport, colors: Colors): string {
  const { location, repository, kind, files, config, parameters, missing, problems } = report;
  const lines: Line[] = [
    ...(repository ? ([['commit', repository.commit]] as const) : []),
    ...(config ? configLines(config, parameters!) : []),
    ...(kind === 'model' ? weightLines(report) : adapterLines(report)),
    ...tokenizerLines(report),
    ...(kind === 'model' ? partLines(report) : []),
    ['files', files.map(({ name, bytes }) => `${name} ${byteCount(bytes)}`).join(', ') || 'none'],
  ];
  const wrong = [
    ...missing.map(({ name, size }) => `missing    ${name}${size === undefined ? '' : `, ${byteCount(size)}`}`),
    ...problems.map((problem) => `problem    ${problem}`),
  ];
  return [
    colors.bold(oneLine(location)),
    ...lines.map(([label, text]) => `  ${label.padEnd(10)} ${oneLine(text)}`),
    ...wrong.map((text) => colors.red(`  ${oneLine(text)}`)),
  ].join('\n');
}
