// For the tests of every package: arbitraries, tolerances, and checks of ops, gradients and engines. Needs fast-check.
export { type HostTensor } from '../op.js';
export { readBack, runReference, toTensor, widen } from './host.js';
export {
  type Mismatch,
  MismatchError,
  type Tolerance,
  allClose,
  assertClose,
  defaultTolerances,
  exact,
  findMismatch,
  ulpDistance,
} from './tolerance.js';
export {
  type ShapeOptions,
  type ValueRange,
  arbitraryBroadcastPair,
  arbitraryBroadcastShapes,
  arbitraryDistinct,
  arbitraryIndices,
  arbitraryLength,
  arbitrarySeed,
  arbitrarySeedWords,
  arbitraryShape,
  arbitraryTensor,
  arbitraryValue,
  seededValue,
} from './arbitrary-values.js';
export { type HostMask, type MaskSizes, arbitraryMask } from './arbitrary-mask.js';
export {
  type BuildOptions,
  type GraphOptions,
  type GraphRecipe,
  arbitraryGraph,
  buildGraph,
  graphLoss,
  graphWithGradients,
} from './arbitrary-graph.js';
export { type ExpressionOptions, arbitraryExpression } from './arbitrary-expression.js';
export type { ExpressionValues } from './expression-rules.js';
export { type LoopOptions, type LoopReport, decodingLoop, trainingLoop } from './check-memory.js';
export { type ArenaDeviceOptions, createArenaDevice } from './arena-device.js';
export type { CaseOptions, OpCase, OpInvocation } from './op-cases/case.js';
export { opCases } from './op-cases/index.js';
export { type GradientCheckOptions, checkGradients } from './check-gradients.js';
export {
  type DeviceCheckOptions,
  type DeviceCheckReport,
  checkDeviceAgainstReference,
  compareWithReference,
} from './check-device.js';
