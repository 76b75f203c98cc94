/**
 * generation_config.json -> `GenerationConfig` and back.
 *
 * Absent fields take the value that changes nothing (temperature 1, all candidates, no penalty), except that the token
 * ids fall back to those of config.json, as transformers does.
 */
import { z } from 'zod';
import { idOrList } from './serialize-config.js';
import type { GenerationConfig, JsonObject, Qwen2_5_VLConfig } from './types.js';
import { integer, LIMITS, positive, tokenId, tokenIdList, validate } from './validation.js';

const schema = z.looseObject({
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).max(1e4).nullish(),
  top_k: integer(0, LIMITS.vocabSize).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: positive(1e4).nullish(),
  max_new_tokens: integer(1, LIMITS.positions).nullish(),
  bos_token_id: tokenId().nullish(),
  eos_token_id: tokenIdList.optional(),
  pad_token_id: tokenId().nullish(),
});

/**
 * Resolves the parsed content of a generation_config.json.
 * @param json any parsed JSON (not trusted), or undefined if the checkpoint has no such file
 * @param model the model's configuration, which supplies token ids the file leaves out
 * @throws ConfigError in one line
 */
export function resolveGenerationConfig(
  json: unknown,
  model: Pick<Qwen2_5_VLConfig, 'bosTokenId' | 'eosTokenIds' | 'padTokenId'>,
  source: string = 'generation_config.json',
): GenerationConfig {
  const raw = validate(schema, json ?? {}, source);
  return {
    doSample: raw.do_sample ?? false,
    temperature: raw.temperature ?? 1,
    topK: raw.top_k ?? 0,
    topP: raw.top_p ?? 1,
    repetitionPenalty: raw.repetition_penalty ?? 1,
    maxNewTokens: raw.max_new_tokens ?? null,
    bosTokenId: raw.bos_token_id ?? model.bosTokenId,
    eosTokenIds: raw.eos_token_id ?? model.eosTokenIds,
    padTokenId: raw.pad_token_id ?? model.padTokenId,
  };
}

/** The content of a generation_config.json for these settings. */
export function toHuggingFaceGenerationConfig(config: GenerationConfig): JsonObject {
  return {
    do_sample: config.doSample,
    // transformers warns about sampling settings of a greedy configuration, so they are written only when they act.
    ...(config.doSample ? { temperature: config.temperature, top_k: config.topK, top_p: config.topP } : {}),
    repetition_penalty: config.repetitionPenalty,
    ...(config.maxNewTokens === null ? {} : { max_new_tokens: config.maxNewTokens }),
    bos_token_id: config.bosTokenId,
    eos_token_id: idOrList(config.eosTokenIds),
    pad_token_id: config.padTokenId,
  };
}
