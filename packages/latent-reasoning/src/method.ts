/**
 * A method is a recipe: what an example becomes, what is trained, under which mask, and for how long.
 *
 * The trainer, the evaluation and the command read recipes and know no method by name.
 */
import type { LoraConfig } from './lora/config.js';
import type { MaskName } from './roles.js';

export interface Stage {
  readonly name: string;
  readonly mask: MaskName;
  readonly epochs: number;
}

export interface Method {
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Where the method is described. */
  readonly source: string;
  /** K: latent tokens appended to the question; 0 for none. */
  readonly latentTokens: number;
  /** `lora`: adapters on the language model, plus the latent rows; vision frozen. `full`: every weight, vision included. */
  readonly trains: 'lora' | 'full';
  readonly lora: LoraConfig;
  /** Stages follow one another; the optimiser and its schedule start afresh in each. */
  readonly stages: readonly Stage[];
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Part of each stage's steps spent warming up. */
  readonly warmupRatio: number;
  /** Examples per optimiser step. */
  readonly batchSize: number;
  /** Largest global gradient norm. */
  readonly maxGradNorm: number;
}
