/** What a resumed run must have in common with the run it goes on with, so that it ends in the same weights to the bit. */
import type { Method, RunIdentity } from '@mindseye/latent-reasoning';
import { openSafetensorsFile } from '@mindseye/tensor-core/node';
import { CommandError } from '../shared/errors.js';

export interface TrainingIdentity extends RunIdentity {
  readonly questions: number;
  readonly task: string;
  readonly trains: string;
  readonly latents: number;
  readonly lora: string;
  readonly weightDecay: number;
  readonly warmupRatio: number;
  readonly microBatchSize: number;
  readonly validate: number;
  readonly device: string;
  /** Storage of the base weights. */
  readonly dtype: string;
  /** Fingerprint of the model that is trained. */
  readonly base: string;
}

export interface IdentitySources {
  readonly method: Method;
  readonly seed: number;
  readonly examples: number;
  readonly questions: number;
  readonly task: string;
  readonly microBatchSize: number;
  readonly validate: number;
  readonly device: string;
  readonly dtype: string;
  readonly base: string;
}

export function identityOf({ method, ...rest }: IdentitySources): TrainingIdentity {
  return {
    method: method.name,
    ...rest,
    batchSize: method.batchSize,
    learningRate: method.learningRate,
    stages: method.stages.map(({ name, epochs }) => `${name} ${epochs}`).join(', '),
    trains: method.trains,
    latents: method.latentTokens,
    lora:
      method.trains === 'lora'
        ? `rank ${method.lora.rank}, alpha ${method.lora.alpha}, dropout ${method.lora.dropout}`
        : 'none',
    weightDecay: method.weightDecay,
    warmupRatio: method.warmupRatio,
  };
}

/** @throws CommandError naming the first setting in which the checkpoint's run differs from this one */
export async function checkSameRun(file: string, identity: TrainingIdentity): Promise<void> {
  const source = await openSafetensorsFile(file);
  await source.close();
  const saved = parsed(source.metadata.get('identity'));
  for (const [field, value] of Object.entries(identity)) {
    if (saved[field] === value) continue;
    throw new CommandError(
      `${file} cannot be resumed: its run has ${field} ${JSON.stringify(saved[field])}, this one ${JSON.stringify(value)}; give the options of that run, or start afresh with --force`,
    );
  }
}

/** Fields of the identity in a checkpoint; none when it has no readable one. */
function parsed(text: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
