/**
 * Solvers without a model. Their accuracies are known beforehand, so they test the harness: the oracle must score 1, a constant
 * must score its answer's share, random must score chance.
 */
import type { Solver } from '../harness/solver.js';
import { namedStream } from '../random/item-stream.js';

/** Answers with the gold answer. */
export const oracleSolver: Solver = {
  name: 'oracle',
  answer: async (sample) => ({ text: sample.answer }),
};

/** Always answers the same. */
export function constantSolver(text: string): Solver {
  return { name: `constant ${text}`, fingerprint: text, answer: async () => ({ text }) };
}

/** Answers one of `answers` at random, by the seed and the sample's id, so that order and shards do not matter. */
export function randomSolver(answers: readonly string[], seed: string): Solver {
  return {
    name: 'random',
    fingerprint: seed,
    answer: async (sample) => ({ text: namedStream(seed, sample.id).choice(answers) }),
  };
}
