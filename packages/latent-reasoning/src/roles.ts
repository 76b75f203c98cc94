/**
 * Roles of the tokens of a latent-reasoning sequence, and the attention tables built on them.
 *
 * I: visual tokens of all images and videos. L: latent tokens. A: answer tokens. Q: every other token — system, question, chat markers,
 * vision start and end markers, assistant header. Source: LIVR (arXiv 2512.21218), section on the visual bottleneck.
 */
import { type Mask, type RoleTable, type Tensor, mask } from '@mindseye/tensor-core';

export const role = { image: 0, prompt: 1, latent: 2, answer: 3 } as const;

const [yes, no] = [true, false];

/**
 * The bottleneck of LIVR stage 1: a query that is neither an image nor a latent token sees no image key, so that what the
 * answer needs of the image has to pass through the latents. Rows are queries, columns keys, in the order I, Q, L, A.
 */
export const bottleneckTable: RoleTable = [
  [yes, yes, yes, yes],
  [no, yes, yes, yes],
  [yes, yes, yes, yes],
  [no, yes, yes, yes],
];

/** The bottleneck with the latents cut off from the image too: nothing of the image reaches the answer. */
export const severedTable: RoleTable = [
  [yes, yes, yes, yes],
  [no, yes, yes, yes],
  [no, yes, yes, yes],
  [no, yes, yes, yes],
];

export type MaskName = 'causal' | 'bottleneck' | 'severed';

/** Masks by name, over roles i32 [B, S]; all of them causal. */
export const maskTable: Readonly<Record<MaskName, (roles: Tensor) => Mask>> = {
  causal: () => mask.causal(),
  bottleneck: (roles) => mask.and(mask.causal(), mask.roles(roles, bottleneckTable)),
  severed: (roles) => mask.and(mask.causal(), mask.roles(roles, severedTable)),
};
