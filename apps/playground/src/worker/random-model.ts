/**
 * The tiny model with random weights, made here from nothing: tokenizer, configuration, weights and latent rows.
 *
 * It answers noise, through every part that a trained model uses. One seed gives one model.
 */
import { KINDS, kindNamePlural, perception } from '@mindseye/eval';
import { initializeTrainables, latentTokenName, livr } from '@mindseye/latent-reasoning';
import {
  ChatTemplate,
  Processor,
  TINY_BPE_VOCABULARY_SIZE,
  Tokenizer,
  initializeWeights,
  resolveGenerationConfig,
  tinyConfig,
  tinyPreprocessorConfig,
  trainByteLevelBpe,
} from '@mindseye/qwen-vl';
import type { ModelParts } from './model-parts.js';

/** Samples whose words the tokenizer learns, besides those of counting. */
const CORPUS_SAMPLES = 300;
/** Noise has no reason to end by itself. */
const MAX_NEW_TOKENS = 16;

function* corpus(): Generator<string> {
  yield 'You are a helpful assistant.';
  for (const kind of KINDS) yield `How many ${kindNamePlural(kind)} are there in the image?`;
  for (let index = 0; index < CORPUS_SAMPLES; index++) {
    const { question, answer } = perception.describe('train', index);
    yield `${question}\n${answer}`;
  }
}

export async function randomModel(seed: number): Promise<ModelParts> {
  const { tokenizerJson, tokenizerConfig } = trainByteLevelBpe(corpus(), TINY_BPE_VOCABULARY_SIZE);
  const tokenizer = Tokenizer.fromJson(tokenizerJson, tokenizerConfig);
  const latentIds = tokenizer.addTokens(Array.from({ length: livr.latentTokens }, (_, i) => latentTokenName(i + 1)));
  const config = tinyConfig();
  const weights = initializeWeights(config, seed);
  const { lora } = livr;
  const trained = await initializeTrainables({ config, weights, trains: 'lora', lora, latentIds }, seed);
  return {
    config,
    generation: { ...resolveGenerationConfig(undefined, config), maxNewTokens: MAX_NEW_TOKENS },
    processor: new Processor(tokenizer, ChatTemplate.fromSources({ tokenizerConfig }), tinyPreprocessorConfig()),
    weights,
    adapter: { config: lora, lora: trained.lora, tokenRows: { ids: latentIds, rows: trained.rows! } },
    latentIds,
  };
}
