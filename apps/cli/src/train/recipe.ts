/** The method of a run: a recipe of the method table with the options of the command in place of its fields. */
import { type Method, methods } from '@mindseye/latent-reasoning';
import { UsageError } from '../shared/errors.js';

/** Options that replace a field of the recipe; what is left out stays as the recipe has it. */
export interface RecipeOptions {
  readonly method: string;
  readonly trains?: 'lora' | 'full';
  readonly epochs?: readonly number[];
  readonly batchSize?: number;
  readonly learningRate?: number;
  readonly weightDecay?: number;
  readonly warmupRatio?: number;
  readonly latents?: number;
  readonly loraRank?: number;
  readonly loraAlpha?: number;
  readonly loraDropout?: number;
}

export function recipeOf(options: RecipeOptions): Method {
  const base = methods[options.method]!;
  const { epochs = base.stages.map((stage) => stage.epochs) } = options;
  if (epochs.length !== base.stages.length) {
    const names = base.stages.map((stage) => stage.name).join(', ');
    throw new UsageError(
      `--epochs ${epochs.join(',')}: ${base.name} has ${base.stages.length} stages (${names}); give as many numbers`,
    );
  }
  if (epochs.every((count) => count === 0)) throw new UsageError('--epochs: at least one stage needs an epoch');
  if (base.latentTokens === 0 && options.latents !== undefined && options.latents > 0) {
    throw new UsageError(
      `--latents ${options.latents}: the method ${base.name} has no latent tokens; leave the option out, or use --method livr`,
    );
  }
  return {
    ...base,
    trains: options.trains ?? base.trains,
    stages: base.stages.map((stage, i) => ({ ...stage, epochs: epochs[i]! })),
    batchSize: options.batchSize ?? base.batchSize,
    learningRate: options.learningRate ?? base.learningRate,
    weightDecay: options.weightDecay ?? base.weightDecay,
    warmupRatio: options.warmupRatio ?? base.warmupRatio,
    latentTokens: options.latents ?? base.latentTokens,
    lora: {
      ...base.lora,
      rank: options.loraRank ?? base.lora.rank,
      alpha: options.loraAlpha ?? base.lora.alpha,
      dropout: options.loraDropout ?? base.lora.dropout,
    },
  };
}
