/** Chooses the tier of this process: the best one that the engine has and whose kernels compute what they should. */
import { type Tier, probeTier } from './tier.js';

let chosen: Tier | undefined;

/**
 * The best tier of this engine, found out once.
 *
 * @throws Error if the engine has no WebAssembly SIMD at all.
 */
export function chooseTier(): Tier {
  return (chosen ??= probeTier());
}
