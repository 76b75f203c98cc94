/**
 * LIVR: latent implicit visual reasoning (arXiv 2512.21218).
 *
 * K new tokens after the question. Stage 1: the bottleneck mask lets only latents see the image, so they have to learn what
 * the answer needs. Stage 2: the plain causal mask. The answer alone is supervised. Schedule and optimiser: appendix B,
 * single task (4 + 6 epochs). The paper does not state a gradient clip; 1.0 is the usual one.
 */
import { livrLora } from '../lora/config.js';
import type { Method } from '../method.js';

export const livr: Method = {
  name: 'livr',
  summary: 'latent tokens learn through a visual bottleneck, then answer with the image in view',
  source: 'arXiv 2512.21218',
  latentTokens: 16,
  trains: 'lora',
  lora: livrLora,
  stages: [
    { name: 'bottleneck', mask: 'bottleneck', epochs: 4 },
    { name: 'causal', mask: 'causal', epochs: 6 },
  ],
  learningRate: 1e-4,
  weightDecay: 0.01,
  warmupRatio: 0.05,
  batchSize: 8,
  maxGradNorm: 1,
};
