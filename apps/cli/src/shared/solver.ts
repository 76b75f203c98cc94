/** A latent model as a solver of the evaluation harness. */
import { CONDITIONS, type LatentSolver, type Split, type TaskDefinition } from '@mindseye/eval';
import type { LatentModel } from '@mindseye/latent-reasoning';
import type { Tokenizer } from '@mindseye/qwen-vl';

export interface SolverOptions {
  readonly name: string;
  readonly fingerprint?: string;
  readonly maxNewTokens: number;
}

export function latentSolver(model: LatentModel, { name, fingerprint, maxNewTokens }: SolverOptions): LatentSolver {
  return {
    name,
    ...(fingerprint !== undefined && { fingerprint }),
    conditions: CONDITIONS,
    answer: async ({ image }, { prompt, condition, signal }) => ({
      text: await model.answer({
        question: prompt,
        images: [image],
        condition,
        maxNewTokens,
        ...(signal && { signal }),
      }),
    }),
  };
}

const PROBED_ANSWERS = 64;
const SPARE_TOKENS = 4;

/** Tokens that an answer of the task may take: those of the longest of its first gold answers, and a few to spare. */
export function answerBudget(task: TaskDefinition, split: Split, tokenizer: Tokenizer): number {
  let longest = 0;
  for (let index = 0; index < Math.min(PROBED_ANSWERS, task.splits[split]); index++) {
    longest = Math.max(longest, tokenizer.encode(task.describe(split, index).answer).length);
  }
  return longest + SPARE_TOKENS;
}
