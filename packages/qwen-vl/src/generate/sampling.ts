/**
 * How the next token is chosen: the settings of generation_config.json, as run-time numbers of a compiled step.
 *
 * Which settings act is part of the step's signature; their values are not, so that another temperature compiles nothing.
 */
import { type SamplingOptions, type Tensor, tensor } from '@mindseye/tensor-core';
import type { GenerationConfig } from '../config/types.js';
import { InvalidInputError } from '../errors.js';

/** A number left out, or at the value that changes nothing, is not computed. Order of application: that of transformers. */
export interface SamplingSettings {
  /** False takes the most likely token, after the repetition penalty. */
  readonly doSample?: boolean;
  readonly repetitionPenalty?: number;
  readonly temperature?: number;
  /** Number of candidates kept; 0 keeps all. */
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  /** Ids that are never chosen (`suppress_tokens`): placeholders, and rows of the head that no token has. */
  readonly suppressIds?: readonly number[];
}

interface Setting {
  readonly name: Exclude<keyof SamplingSettings, 'doSample' | 'suppressIds'>;
  /** The value that changes nothing. */
  readonly neutral: number;
  /** Only looked at when sampling. */
  readonly samplingOnly: boolean;
  readonly isValid: (value: number) => boolean;
  readonly range: string;
}

const settings: readonly Setting[] = [
  {
    name: 'repetitionPenalty',
    neutral: 1,
    samplingOnly: false,
    isValid: (value) => value > 0,
    range: 'above 0; 1 changes nothing',
  },
  {
    name: 'temperature',
    neutral: 1,
    samplingOnly: true,
    isValid: (value) => value > 0,
    range: 'above 0; for greedy decoding set doSample to false',
  },
  {
    name: 'topK',
    neutral: 0,
    samplingOnly: true,
    isValid: (value) => Number.isInteger(value) && value >= 0,
    range: 'a whole number; 0 keeps all candidates',
  },
  {
    name: 'topP',
    neutral: 1,
    samplingOnly: true,
    isValid: (value) => value >= 0 && value <= 1,
    range: 'from 0 to 1; 1 keeps all candidates',
  },
  {
    name: 'minP',
    neutral: 0,
    samplingOnly: true,
    isValid: (value) => value >= 0 && value <= 1,
    range: 'from 0 to 1; 0 keeps all candidates',
  },
];

/** Operands of a compiled step: a tensor of one element for every setting that acts. */
export interface SamplingOperands {
  readonly doSample: boolean;
  readonly settings: Pick<SamplingOptions, Setting['name']>;
  /** i32 [ids]; null for none. */
  readonly suppressed: Tensor | null;
}

/** @throws InvalidInputError for a number outside its range, whether it acts or not, and for an id that is none. */
export function samplingOperands(given: SamplingSettings): SamplingOperands {
  const doSample = given.doSample ?? false;
  const acting: Partial<Record<Setting['name'], Tensor>> = {};
  for (const { name, neutral, samplingOnly, isValid, range } of settings) {
    const value = given[name] ?? neutral;
    if (!(Number.isFinite(value) && isValid(value)))
      throw new InvalidInputError(`${name} is ${value}; it must be ${range}`);
    if (value !== neutral && (doSample || !samplingOnly)) acting[name] = tensor(Float32Array.of(value));
  }
  const suppressIds = given.suppressIds ?? [];
  for (const id of suppressIds) {
    if (!(Number.isInteger(id) && id >= 0)) throw new InvalidInputError(`suppressIds has ${id}, which is no token id`);
  }
  return {
    doSample,
    settings: acting,
    suppressed: suppressIds.length === 0 ? null : tensor(Int32Array.from(suppressIds)),
  };
}

/** The sampling of a checkpoint's generation_config.json: what transformers does when it is told nothing. */
export function samplingOf(config: GenerationConfig): SamplingSettings {
  const { doSample, repetitionPenalty, temperature, topK, topP } = config;
  return { doSample, repetitionPenalty, temperature, topK, topP };
}
