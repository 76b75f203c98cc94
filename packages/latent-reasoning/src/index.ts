export {
  type LoraConfig,
  type LoraPair,
  type LoraParameters,
  initializeLora,
  livrLora,
  loraHook,
  loraTargets,
} from './lora/lora.js';
export {
  type PeftAdapter,
  type TrainedRows,
  checkAdapterFits,
  peftConfig,
  peftEntries,
  readPeftAdapter,
} from './lora/peft.js';
export type { Method, Stage } from './method.js';
export { methods } from './methods/index.js';
export { livr } from './methods/livr.js';
export { sft } from './methods/sft.js';
export { type MaskName, bottleneckTable, maskTable, role, severedTable } from './roles.js';
export { type LatentSequence, type Prompt, type SequenceTokens, latentSequence } from './sequence.js';
export { type BatchOperands, type ImageGroup, type TrainingExample, batchOperands, labelCount } from './train/batch.js';
export { answerLoss, batchHidden } from './train/loss.js';
export { type TrainableSetup, type Trainables, initializeTrainables, modelOf } from './train/trainables.js';
export {
  type StepEvent,
  Trainer,
  type TrainerOptions,
  type TrainingProgress,
  type TrainingSet,
  type TrainingState,
} from './train/trainer.js';
export {
  type AnswerCondition,
  type AttentionMap,
  LatentModel,
  type LatentModelOptions,
  type Question,
} from './latent-model.js';
export { type RunIdentity, checkpointEntries, restoreCheckpoint } from './train/checkpoint.js';
export { latentIdsOf, latentTokenName } from './latent-tokens.js';
export { type ConversationTokens, conversationSequence } from './conversation.js';
