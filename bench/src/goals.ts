/**
 * What each benchmark is asked to reach. A goal on speed is a ratio of times: of the other, or of what the hardware would
 * take, to this project's own.
 */
import { scaleNames } from './benchmarks/scale.ts';
import { readLimitName } from './benchmarks/matvec.ts';
import { torchName } from './benchmarks/training.ts';
import type { EngineName } from './engines.ts';
import type { Bound, Goal } from './judge.ts';
import { attentionMetrics } from './subjects/attention.ts';
import { type ElementwiseOpName, elementwiseOpNames, passes } from './subjects/elementwise-ops.ts';
import type { MatmulShapeName } from './subjects/matmul-shapes.ts';
import { DECODING } from './subjects/scale.ts';

const [REVECTORIZED, RELAXED, SIMD128]: readonly EngineName[] = ['wasm revectorized', 'wasm relaxed', 'wasm simd128'];
const [REVECTORIZED_2, RELAXED_2]: readonly EngineName[] = ['wasm revectorized, 2 threads', 'wasm relaxed, 2 threads'];
/** Pairs of the same tier on one thread and on two. */
const TIERS = [
  [REVECTORIZED!, REVECTORIZED_2!],
  [RELAXED!, RELAXED_2!],
] as const;

/** `own` is at least so many times as fast as `other` at a metric. */
const faster = (own: string, other: string, metric: string, atLeast: number): Goal => ({
  name: `${metric}: ${own}, times as fast as ${other}`,
  value: { subject: other, metric },
  per: { subject: own, metric },
  bound: { atLeast },
});

/** A figure of one subject on its own. */
const alone = (subject: string, metric: string, bound: Bound): Goal => ({
  name: `${metric}: ${subject}`,
  value: { subject, metric },
  bound,
});

/** Two metrics of one subject. */
const within = (subject: string, value: string, per: string, bound: Bound): Goal => ({
  name: `${value}: ${subject}, to ${per}`,
  value: { subject, metric: value },
  per: { subject, metric: per },
  bound,
});

/** Products bound by arithmetic. One row is bound by reading, see `matvec`. */
const PRODUCTS: readonly MatmulShapeName[] = ['512³', '1024³', '2048³', 'prompt 512×2048×2048'];
const PRODUCTS_IN_CACHE: readonly MatmulShapeName[] = ['512³', '1024³'];

const productGoals: readonly (readonly [own: EngineName, other: string, atLeast: number])[] = [
  [RELAXED!, 'tfjs-backend-wasm', 1.8],
  [RELAXED!, 'jax-js', 1.5],
  [RELAXED!, 'limit of 128-bit multiply-adds', 0.75],
  [REVECTORIZED!, 'tfjs-backend-wasm', 3],
  [REVECTORIZED!, 'jax-js', 3],
  [REVECTORIZED!, 'onnxruntime-web', 3.3],
  [REVECTORIZED!, 'onnxruntime-node', 0.75],
  [REVECTORIZED!, 'OpenBLAS (AVX2)', 0.9],
];

const matmul: readonly Goal[] = [
  ...productGoals.flatMap(([own, other, atLeast]) => PRODUCTS.map((shape) => faster(own, other, shape, atLeast))),
  ...TIERS.flatMap(([one, two]) => PRODUCTS_IN_CACHE.map((shape) => faster(two, one, shape, 1.8))),
];

const matvec: readonly Goal[] = TIERS.flatMap((tier) =>
  tier.flatMap((engine, i) => [
    faster(engine, readLimitName(i + 1), 'f32', 0.85),
    faster(engine, readLimitName(i + 1), 'int8', 0.7),
    within(engine, 'f32', 'int4', { atLeast: 2.2 }),
  ]),
);

const attention: readonly Goal[] = [
  faster(REVECTORIZED!, 'onnxruntime-node', attentionMetrics.forward, 1.3),
  faster(REVECTORIZED!, 'onnxruntime-web', attentionMetrics.forward, 6),
  within(REVECTORIZED!, attentionMetrics.backward, attentionMetrics.forward, { atMost: 2.2 }),
];

const FLOOR = 'limit of copying';
/** Softmax reads each row twice by its nature; it has a goal against other libraries. */
const AT_FLOOR: readonly ElementwiseOpName[] = elementwiseOpNames.filter((op) => op !== 'softmax');
const AGAINST_NATIVE: readonly ElementwiseOpName[] = ['gelu', 'softmax', 'rmsNorm'];

const elementwise: readonly Goal[] = [
  ...AT_FLOOR.map((op): Goal => ({
    name: `${passes.forward(op)}: ${REVECTORIZED}, times the time of copying as many bytes`,
    value: { subject: REVECTORIZED!, metric: passes.forward(op) },
    per: { subject: FLOOR, metric: passes.forward(op) },
    bound: { atMost: 1.6 },
  })),
  ...AGAINST_NATIVE.map((op) => faster(REVECTORIZED!, 'onnxruntime-node', passes.forward(op), 1.8)),
  ...elementwiseOpNames
    .filter((op) => op !== 'add')
    .map((op) => within(REVECTORIZED!, passes.backward(op), passes.forward(op), { atMost: 2.2 })),
];

const STEP = 'ms per step';
const training: readonly Goal[] = [
  faster(REVECTORIZED!, 'reference', STEP, 20),
  faster(REVECTORIZED!, torchName(1), STEP, 0.35),
  faster(REVECTORIZED_2!, torchName(2), STEP, 0.35),
];

const planning: readonly Goal[] = [
  alone('wasm', 'decode plan, first in a process: ms', { atMost: 400 }),
  alone('wasm', 'decode plan, known structure: ms', { atMost: 50 }),
  alone('wasm', 'training arena, all kept: × minimum', { atMost: 1.3 }),
  alone('wasm', 'training arena, checkpointed: × minimum', { atMost: 1.3 }),
];

const startUp: readonly Goal[] = [REVECTORIZED!, RELAXED!, SIMD128!].map((engine) =>
  alone(engine, 'kernels emitted and compiled: ms', { atMost: 150 }),
);

/** By benchmark. */
export const goals: Readonly<Record<string, readonly Goal[]>> = {
  'training-livr': training,
  matmul,
  matvec,
  attention,
  elementwise,
  'start-up': startUp,
  planning,
  scale: [faster(scaleNames.mixed, scaleNames.limit, DECODING, 0.6)],
};
