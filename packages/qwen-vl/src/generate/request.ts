/**
 * What decoding takes and gives.
 *
 * A request has B prompts and draws G samples from each: R = B·G sequences that run side by side, sequence r being sample
 * r mod G of prompt ⌊r / G⌋. One prompt and one sample is the ordinary case.
 */
import type { RoleTable, Tensor } from '@mindseye/tensor-core';
import type { SequenceRow } from '../model/sequence.js';
import type { CacheDType } from './key-value-cache.js';
import type { FeedbackRule } from './feedback.js';
import type { PromptCache } from './prompt-cache.js';
import type { SamplingSettings } from './sampling.js';

/** Who may see whom by role, beside causality: the bottleneck of latent methods. */
export interface RoleMask {
  /** Role of each prompt token, one list per prompt. */
  readonly prompts: readonly ArrayLike<number>[];
  /** Role of every generated token. */
  readonly generated: number;
  /** Row = role of the query, column = role of the key. */
  readonly table: RoleTable;
}

export interface GenerateOptions {
  /** Tokens per sequence at most, those that were fed back included. 64 when left out. */
  readonly maxNewTokens?: number;
  /** Ids that end a sequence. Those of the configuration when left out; `[]` for none. */
  readonly stopIds?: readonly number[];
  /** Ends sequence r after token `id` of it: stop strings, a budget of its own. Called once per token, in order. */
  readonly stopWhen?: (sequence: number, id: number) => boolean;
  /** Sequences drawn from each prompt; its keys and values are computed and held once. 1 when left out. */
  readonly samples?: number;
  /** How tokens are chosen; greedily and without penalty when left out. */
  readonly sampling?: SamplingSettings;
  /** A 32-bit number. With the same seed, prompts and settings the same tokens are drawn. 0 when left out. */
  readonly seed?: number;
  /** Also give log-probabilities. */
  readonly logProbs?: boolean;
  /** Replaces input embeddings by hidden states, and ids with them: latent reasoning. */
  readonly feedback?: FeedbackRule;
  /** Steps between two reads from the device. More keeps the device busier, and up to so many steps run in vain at the end. */
  readonly readEvery?: number;
  /** Prompt tokens computed at once; bounds the memory that a long prompt takes. 512 when left out. */
  readonly prefillChunk?: number;
  /** Storage of keys and values. f16 halves their memory; keys and values of Qwen2.5-VL fit its range. f32 when left out. */
  readonly cacheDType?: CacheDType;
  /** Keeps keys and values for the next request, which then computes only what its prompt has new. One prompt, one sample. */
  readonly cache?: PromptCache;
  readonly signal?: AbortSignal;
}

export interface DecodeRequest extends GenerateOptions {
  readonly rows: readonly SequenceRow[];
  readonly roles?: RoleMask;
  /** Visual tokens [rows, hidden] that the prompts' `featureStarts` point into. */
  readonly visualTokens?: Tensor;
}

/** One token of every sequence. Entries of sequences that had ended before are `endedId`, 0 and NaN. */
export interface DecodedStep {
  /** i32 [R]. */
  readonly ids: Int32Array;
  /** [R]: 1 for the sequences that end with this token. */
  readonly ends: Uint8Array;
  /** [R]: 1 where the token stands for a hidden state that is fed back, and was not chosen by the head. */
  readonly fedBack: Uint8Array;
  /** f32 [R]: log-probability of each token that was drawn, by the model itself with no setting applied. Says nothing where `fedBack`. */
  readonly logProbs?: Float32Array;
  /** f32 [R]: by the distribution that it was drawn from, settings applied. */
  readonly sampledLogProbs?: Float32Array;
  /** [B, G, hidden] on the device: what is fed in next where `fedBack`. Only with a feedback rule. */
  readonly feedback?: Tensor;
}

/** The id reported for a sequence that has ended. */
export const endedId = -1;
