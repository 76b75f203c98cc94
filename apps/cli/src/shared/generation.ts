/** Options that say how an answer is decoded. Left out, the checkpoint's generation_config.json decides, as in transformers. */
import {
  type GenerationConfig,
  type SamplingSettings,
  type StopStringMatcher,
  type Tokenizer,
  samplingOf,
  stopStringMatcher,
} from '@mindseye/qwen-vl';
import type { AnswerOptions } from '@mindseye/latent-reasoning';
import { type Command, Option } from 'commander';
import { UsageError } from './errors.js';
import { collect, integer, number } from './options.js';

export interface GenerationFlags {
  readonly maxNewTokens?: number;
  readonly greedy?: true;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed: number;
  readonly stop: readonly string[];
  readonly cacheDtype: 'f32' | 'f16' | 'bf16';
}

/** Tokens of an answer where neither the user nor the checkpoint says. */
const MAX_NEW_TOKENS = 512;

export function addGenerationOptions(command: Command): Command {
  return command
    .option(
      '--max-new-tokens <n>',
      `longest answer (default: what the checkpoint says, or ${MAX_NEW_TOKENS})`,
      integer(1, 65536),
    )
    .option('--greedy', 'always take the most likely token')
    .option('--temperature <t>', 'sample, at this temperature', number(1e-6, 100))
    .option('--top-k <n>', 'sample among the n most likely tokens; 0 for all', integer(0, 1_000_000))
    .option('--top-p <p>', 'sample among the most likely tokens that hold this much probability', number(0, 1))
    .option('--min-p <p>', 'sample among tokens at least so likely against the likeliest', number(0, 1))
    .option('--repetition-penalty <x>', 'above 1, tokens of question and answer become less likely', number(1e-3, 1000))
    .option('--seed <n>', 'the same seed draws the same answer', integer(0, 2 ** 32 - 1), 0)
    .option('--stop <text>', 'end the answer at this text; may be given several times', collect, [])
    .addOption(
      new Option('--cache-dtype <dtype>', 'storage of keys and values').choices(['f32', 'f16', 'bf16']).default('f32'),
    );
}

/** The settings that flags and checkpoint make together: flags win one by one; one that only sampling reads turns it on. */
export function samplingFrom(flags: GenerationFlags, config: GenerationConfig): SamplingSettings {
  const { greedy, temperature, topK, topP, minP, repetitionPenalty } = flags;
  const drawn = Object.entries({ temperature, topK, topP, minP }).filter(([, value]) => value !== undefined);
  if (greedy && drawn.length > 0)
    throw new UsageError(
      `--greedy takes the most likely token, so ${drawn.map(([name]) => name).join(' and ')} would do nothing; leave one out`,
    );
  return {
    ...samplingOf(config),
    ...(drawn.length > 0 && { doSample: true }),
    ...(greedy && { doSample: false }),
    ...Object.fromEntries(drawn),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
  };
}

export function answerOptions(flags: GenerationFlags, config: GenerationConfig): AnswerOptions {
  return {
    maxNewTokens: flags.maxNewTokens ?? config.maxNewTokens ?? MAX_NEW_TOKENS,
    stopIds: config.eosTokenIds,
    sampling: samplingFrom(flags, config),
    seed: flags.seed,
    cacheDType: flags.cacheDtype,
  };
}

/** The text of an answer while its tokens come. @throws TokenizerError for a stop text that is empty or very long */
export const answerText = (tokenizer: Tokenizer, stop: readonly string[]): StopStringMatcher =>
  stopStringMatcher(tokenizer, stop, { skipSpecialTokens: true });
