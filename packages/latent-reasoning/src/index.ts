export {
  type LayerSettings,
  type LoraConfig,
  type ModuleNames,
  languageTargets,
  layerSettings,
  livrLora,
} from './lora/config.js';
export { type LoraPair, type LoraParameters, initializeLora, loraHook } from './lora/lora.js';
export { fullMatch } from './lora/python-pattern.js';
export { linearLayers, loraTargets } from './lora/targets.js';
export type { KeyLayout, PeftAdapter, TrainedRows } from './lora/adapter.js';
export { type PeftEntriesOptions, peftEntries, readPeftAdapter } from './lora/peft.js';
export { peftConfig } from './lora/peft-config.js';
export { isMlxAdapter, readMlxAdapter } from './lora/mlx.js';
export { readAdapter } from './lora/read-adapter.js';
export { withAdapter } from './lora/with-adapter.js';
export { type AdapterSelection, type AdapterSet, type WeightedAdapter, adapterSet } from './lora/adapter-set.js';
export {
  type MergePlan,
  type MergeStep,
  type MergedCheckpoint,
  mergeAdapter,
  mergeCheckpoint,
  mergePlan,
} from './lora/merge.js';
export { type AdapterCheck, type AdapterReport, checkAdapterFits } from './lora/report.js';
export type { Method, Stage } from './method.js';
export { methods } from './methods/index.js';
export { livr } from './methods/livr.js';
export { sft } from './methods/sft.js';
export { type MaskName, bottleneckTable, maskTable, role, severedTable } from './roles.js';
export { type LatentSequence, type Prompt, type SequenceTokens, latentSequence } from './sequence.js';
export { type BatchOperands, type TrainingExample, batchOperands, labelCount } from './train/batch.js';
export { answerLoss, batchHidden } from './train/loss.js';
export { type TrainableSetup, type Trainables, initializeTrainables, modelOf } from './train/trainables.js';
export {
  type LossMean,
  type StepEvent,
  Trainer,
  type TrainerOptions,
  type TrainingProgress,
  type TrainingSet,
  type TrainingState,
} from './train/trainer.js';
export {
  type AnswerCondition,
  type AnswerOptions,
  type AttentionMap,
  LatentModel,
  type LatentModelOptions,
  type Question,
} from './latent-model.js';
export { type RunIdentity, checkpointEntries, restoreCheckpoint } from './train/checkpoint.js';
export { latentIdsOf, latentTokenName } from './latent-tokens.js';
export { type ConversationTokens, conversationSequence } from './conversation.js';
