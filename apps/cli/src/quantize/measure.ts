/** The quantised folder as it loads, against the model it was made of. */
import { ModelFolder, type QuantizationEvaluation, evaluateQuantization } from '@mindseye/qwen-vl';
import { openModelFiles } from '@mindseye/qwen-vl/node';
import type { Device } from '@mindseye/tensor-core';
import { evaluationSamples } from './samples.js';

export interface MeasureOptions {
  readonly device: Device;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** Whether a model has what reading texts and images takes. */
export const canBeMeasured = (source: ModelFolder): boolean =>
  source.has('tokenizer.json') && (source.has('preprocessor_config.json') || source.has('processor_config.json'));

/**
 * Measures what is in the folder, so that writing and reading are part of it. Both models are on the device at once; matrices
 * of the source stay in their own storage, whose numbers f32 holds exactly.
 */
export async function measureFolder(
  source: ModelFolder,
  folder: string,
  { device, signal, onProgress }: MeasureOptions,
): Promise<QuantizationEvaluation> {
  const written = await ModelFolder.open(await openModelFiles(folder), ['config', 'weights']);
  const reference = await source.loadWeights({ device, signal });
  const candidate = await written.loadWeights({ device, signal });
  const samples = evaluationSamples(await source.processor());
  return evaluateQuantization(reference, candidate, samples, { device, signal, onProgress });
}
