/**
 * Muon (Jordan 2024): momentum whose direction is made orthogonal, for the matrices of hidden layers (torch.optim.Muon):
 *
 *   b ← μb + (1 − μ)g;   u = (1 − μ)g + μb with Nesterov momentum, else b;   p ← p(1 − lr·λ) − lr·r·orthogonalize(u)
 *
 * r makes up for the shape [m, n]: √max(1, m/n) (`original`), or 0.2·√max(m, n) (`match_rms_adamw`, with which the learning
 * rate and weight decay of AdamW can be kept). State: one f32 matrix for each parameter.
 *
 * Embeddings, output heads, norms and biases are not for Muon: give them to AdamW with `parameterGroups`.
 */
import { ShapeError } from '../errors.js';
import { add } from '../ops/add.js';
import { mul } from '../ops/mul.js';
import { sub } from '../ops/sub.js';
import { formatShape } from '../shape.js';
import { type NewtonSchulzOptions, newtonSchulzDefaults, orthogonalize } from './newton-schulz.js';
import { type Optimizer, leafwiseOptimizer, rateAt, requireOption } from './optimizer.js';

export interface MuonOptions {
  /** μ, 0.95 when left out. */
  readonly momentum?: number;
  /** On when left out. */
  readonly nesterov?: boolean;
  /** λ, 0.1 when left out. Decoupled, as in AdamW. */
  readonly weightDecay?: number;
  /** How the learning rate is adjusted to the shape; `original` when left out. */
  readonly adjustLearningRate?: LearningRateAdjustment;
  /** Of the orthogonalisation; those of PyTorch when left out. */
  readonly newtonSchulz?: Partial<NewtonSchulzOptions>;
}

export interface MuonState<Parameters> {
  readonly momentumBuffer: Parameters;
}

/** Factor r of the learning rate for a matrix of m rows and n columns. */
const adjustments = {
  original: (m: number, n: number): number => Math.sqrt(Math.max(1, m / n)),
  match_rms_adamw: (m: number, n: number): number => 0.2 * Math.sqrt(Math.max(m, n)),
} as const;

/** PyTorch's names for `adjust_lr_fn`. */
export type LearningRateAdjustment = keyof typeof adjustments;

/**
 * @throws RangeError for options out of range, ShapeError (from `init` and `update`) for a parameter that is no matrix.
 */
export function muon<Parameters>({
  momentum = 0.95,
  nesterov = true,
  weightDecay = 0.1,
  adjustLearningRate = 'original',
  newtonSchulz = {},
}: MuonOptions = {}): Optimizer<Parameters, MuonState<Parameters>> {
  const iteration = { ...newtonSchulzDefaults, ...newtonSchulz };
  requireOption('muon', 'momentum', momentum, 0, Infinity);
  requireOption('muon', 'weightDecay', weightDecay, 0, Infinity);
  requireOption('muon', 'epsilon', iteration.epsilon, 0, Infinity);
  if (!Number.isInteger(iteration.iterations) || iteration.iterations < 0 || iteration.iterations >= 100)
    throw new RangeError(`muon: iterations is ${iteration.iterations}; pass a whole number from 0 to 99`);
  if (!Object.hasOwn(adjustments, adjustLearningRate))
    throw new RangeError(
      `muon: adjustLearningRate is ${JSON.stringify(adjustLearningRate)}; use one of ${Object.keys(adjustments).join(', ')}`,
    );
  return leafwiseOptimizer<Parameters, 'momentumBuffer'>({
    name: 'muon',
    moments: ['momentumBuffer'],
    rates: (_step, learningRate) => [learningRate],
    check(path, { shape }) {
      if (shape.length !== 2)
        throw new ShapeError(
          `muon: ${path} has shape ${formatShape(shape)}, and only matrices can be made orthogonal: put it in a group of another optimiser with parameterGroups`,
        );
    },
    update({ parameter, gradient, moments: { momentumBuffer }, rates }) {
      const [m, n] = parameter.shape as [number, number];
      const share = mul(gradient, 1 - momentum);
      const buffer = add(mul(momentumBuffer, momentum), share);
      const direction = orthogonalize(nesterov ? add(share, mul(buffer, momentum)) : buffer, iteration);
      const adjusted = mul(direction, adjustments[adjustLearningRate](m, n));
      // As in AdamW: a rounded factor 1 − lr·λ would err the same way in every step.
      const step = weightDecay === 0 ? adjusted : add(mul(parameter, weightDecay), adjusted);
      return [sub(parameter, mul(step, rateAt(rates, 0))), { momentumBuffer: buffer }];
    },
  });
}
