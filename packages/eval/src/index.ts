/**
 * Evaluation for vision-language models that reason in latents: generated perception tasks, the harness, statistics, and the tests
 * that say whether the latents cause the answer. Everything here runs in a browser; files are in './node.js'.
 */
export * from './harness/evaluate.js';
export {
  checkSameRun,
  inputHash,
  parseHeader,
  parseRecord,
  promptOf,
  recordOf,
  runHeader,
  type RunHeader,
  type SampleRecord,
} from './harness/record.js';
export * from './harness/solver.js';
export * from './harness/summary.js';
export * from './mechanism/bottleneck.js';
export {
  compareRecords,
  conditionResult,
  runConditions,
  type ConditionRecords,
  type ConditionResult,
  type MechanismOptions,
} from './mechanism/condition-result.js';
export * from './mechanism/latent-removal.js';
export * from './probes/ink.js';
export type { ProbeOptions, ProbeResult } from './probes/probe.js';
export * from './probes/shortcuts.js';
export { greyImage, renderScene, type RgbImage } from './raster/render.js';
export * from './scene/scene.js';
export * from './scene/vocabulary.js';
export * from './solvers/scripted.js';
export * from './statistics/bootstrap.js';
export * from './statistics/correlation.js';
export { wilsonInterval, type Interval } from './statistics/interval.js';
export * from './statistics/mcnemar.js';
export * from './statistics/normal.js';
export * from './tasks/counting.js';
export type { Question } from './tasks/generated.js';
export * from './tasks/parse.js';
export * from './tasks/perception.js';
export { PERCEPTION_TEMPLATES, type PerceptionTemplate } from './tasks/perception-templates.js';
export * from './tasks/registry.js';
export * from './tasks/splits.js';
export * from './tasks/task.js';
