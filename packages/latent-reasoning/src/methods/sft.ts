/**
 * Direct supervised fine-tuning: the baseline of LIVR (arXiv 2512.21218, table 1), the same examples, adapters and budget
 * without latents or masks. With `trains: 'full'` it is also how a base model is trained from nothing.
 */
import type { Method } from '../method.js';
import { livr } from './livr.js';

export const sft: Method = {
  ...livr,
  name: 'sft',
  summary: 'direct fine-tuning on question and answer, without latents',
  latentTokens: 0,
  stages: [{ name: 'causal', mask: 'causal', epochs: 10 }],
};
