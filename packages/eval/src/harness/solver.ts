/**
 * Solvers: whatever answers samples. A model, a baseline, or a script with a known truth.
 */
import type { Sample } from '../tasks/task.js';

/**
 * Under which restriction a solver answers:
 *
 *   standard               as trained: latents in the sequence, causal mask
 *   no-latents             the latent tokens are left out of the sequence
 *   bottleneck             only the latents see the image; the question and the answer see it through them (LIVR, stage 1)
 *   bottleneck-no-latents  that mask without latents: nothing of the image can reach the answer
 */
export const CONDITIONS = ['standard', 'no-latents', 'bottleneck', 'bottleneck-no-latents'] as const;

/** One of {@link CONDITIONS}. */
export type Condition = (typeof CONDITIONS)[number];

/** What a solver is told beside the sample. */
export interface AnswerOptions {
  /** The question with the task's suffix. */
  readonly prompt: string;
  readonly condition: Condition;
  readonly signal?: AbortSignal;
}

/** A solver's answer. */
export interface Answer {
  /** The response as it was produced; the task's parser reads it. */
  readonly text: string;
  /** Anything worth keeping in the record. Plain JSON; it must not hold times, or a resumed run would differ from a whole one. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Something that answers. It must not look at `sample.answer` or `sample.metadata`, unless it is an oracle and says so. */
export interface Solver {
  readonly name: string;
  /** Identity of what answers, such as a hash of weights and settings: records of another identity are not resumed from. */
  readonly fingerprint?: string;
  answer(sample: Sample, options: AnswerOptions): Promise<Answer>;
}

/** A solver whose latents can be removed and masked. */
export interface LatentSolver extends Solver {
  /** The conditions that it honours; a mechanism test that needs another refuses to run. */
  readonly conditions: readonly Condition[];
}
