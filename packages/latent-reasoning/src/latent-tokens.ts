/** Latent tokens in a tokenizer: `<|latent_1|>`, `<|latent_2|>` and so on, as `mindseye train` names them. */
import type { Tokenizer } from '@mindseye/qwen-vl';

/** @param number counted from 1 */
export const latentTokenName = (number: number): string => `<|latent_${number}|>`;

/** The ids of those that a tokenizer has, in order. */
export function latentIdsOf(tokenizer: Tokenizer): number[] {
  const ids: number[] = [];
  for (let id = tokenizer.tokenToId(latentTokenName(1)); id !== undefined;) {
    ids.push(id);
    id = tokenizer.tokenToId(latentTokenName(ids.length + 1));
  }
  return ids;
}
