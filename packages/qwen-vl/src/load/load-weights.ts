/**
 * Checkpoint → weights, with a strict report.
 *
 * Every tensor the configuration asks for must be found once, under its old or new name, with its exact shape. What a file
 * has beyond that is reported. Memory: one tensor at a time is read and widened to f32; nothing is held twice.
 */
import { type Tensor, type TensorSource, tensor } from '@mindseye/tensor-core';
import { ConfigError, InvalidInputError, quoteValue } from '../errors.js';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import type { Weights } from '../model/context.js';
import { canonicalName, parameterShapes } from '../model/parameters.js';

export interface LoadReport {
  readonly loaded: number;
  /** Tensors of the files that the model has no place for. */
  readonly unexpected: readonly string[];
  readonly parameters: number;
}

export interface LoadOptions {
  /** Told after each tensor, for progress bars. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Where the checkpoint is, for error messages. */
  readonly location?: string;
}

/**
 * Reads all weights of a checkpoint.
 *
 * @throws ConfigError naming the first tensors that are missing or of another shape than config.json says.
 */
export async function loadWeights(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  { onProgress, location = 'the checkpoint' }: LoadOptions = {},
): Promise<{ readonly weights: Weights; readonly report: LoadReport }> {
  const expected = parameterShapes(config);
  const { found, unexpected } = matchNames(source, expected, config.tieWordEmbeddings, location);
  const missing = [...expected.keys()].filter((name) => !found.has(name));
  if (missing.length > 0) {
    throw new ConfigError(
      `${location}: ${missing.length} of ${expected.size} tensors are missing (${listed(missing)}); the weights are of another model than config.json, or a shard was not downloaded`,
    );
  }
  for (const [name, stored] of found) checkShape(name, source.info(stored).shape, expected.get(name)!, location);
  const weights: Record<string, Tensor> = {};
  let parameters = 0;
  let done = 0;
  for (const [name, shape] of expected) {
    const data = await source.readFloat32(found.get(name)!);
    weights[name] = tensor(data, shape);
    parameters += data.length;
    onProgress?.(++done, expected.size);
  }
  return { weights, report: { loaded: expected.size, unexpected, parameters } };
}

/** Canonical name → stored name, and the stored names that match nothing. */
function matchNames(
  source: TensorSource,
  expected: ReadonlyMap<string, unknown>,
  tied: boolean,
  location: string,
): { readonly found: Map<string, string>; readonly unexpected: string[] } {
  const found = new Map<string, string>();
  const unexpected: string[] = [];
  for (const stored of source.names()) {
    const name = canonicalName(stored);
    // A tied head saved beside its embedding says nothing new.
    if (tied && name === 'lm_head.weight') continue;
    if (!expected.has(name)) unexpected.push(stored);
    else if (found.has(name))
      throw new InvalidInputError(
        `${location}: both ${quoteValue(found.get(name))} and ${quoteValue(stored)} hold the tensor ${name}; remove one of them`,
      );
    else found.set(name, stored);
  }
  return { found, unexpected };
}

function checkShape(name: string, actual: readonly number[], expected: readonly number[], location: string): void {
  if (actual.length === expected.length && actual.every((size, i) => size === expected[i])) return;
  throw new ConfigError(
    `${location}: tensor ${name} has shape [${actual.join(', ')}], config.json makes it [${expected.join(', ')}]; take both files from one checkpoint`,
  );
}

const listed = (names: readonly string[]): string => names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '');
