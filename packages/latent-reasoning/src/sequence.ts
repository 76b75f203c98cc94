/**
 * From a prompt and its answer to a training sequence: ids, roles and labels.
 *
 * The K latent tokens go to the end of the user turn, before its end-of-turn marker:
 *   … question l_1 … l_K <|im_end|> ⏎ <|im_start|>assistant ⏎ answer <|im_end|>
 * Only the answer and its end-of-turn marker are labelled; latents are inputs, never targets.
 */
import { InvalidInputError, type GridThw } from '@mindseye/qwen-vl';
import { ignoredLabel } from '@mindseye/tensor-core';
import { role } from './roles.js';

/** A question about images, tokenised up to where the assistant's answer begins. */
export interface Prompt {
  readonly inputIds: ArrayLike<number>;
  /** Of images and videos, in order. */
  readonly grids: readonly GridThw[];
  /** Beside `grids`: seconds from one temporal patch of a video to the next. */
  readonly secondsPerGrid?: readonly (number | undefined)[];
}

export interface LatentSequence {
  readonly inputIds: Int32Array;
  readonly roles: Int32Array;
  /** Target of each position, `ignoredLabel` where there is none; position p is predicted by the logits at p − 1. */
  readonly labels: Int32Array;
  readonly grids: readonly GridThw[];
  readonly secondsPerGrid?: readonly (number | undefined)[];
}

export interface SequenceTokens {
  readonly imageTokenId: number;
  /** Visual tokens of videos have the role of image tokens. */
  readonly videoTokenId?: number;
  /** `<|im_end|>` */
  readonly endOfTurnId: number;
  /** In order; empty for methods without latents. */
  readonly latentIds: readonly number[];
}

/** @param answerIds without the end-of-turn marker; left out when the model is to answer. */
export function latentSequence(prompt: Prompt, tokens: SequenceTokens, answerIds?: ArrayLike<number>): LatentSequence {
  const ids = Array.from(prompt.inputIds);
  const endOfUserTurn = ids.lastIndexOf(tokens.endOfTurnId);
  if (endOfUserTurn < 0)
    throw new InvalidInputError(
      `the prompt has no end-of-turn token ${tokens.endOfTurnId} after the question: render it with the chat template`,
    );
  const withLatents = [...ids.slice(0, endOfUserTurn), ...tokens.latentIds, ...ids.slice(endOfUserTurn)];
  const isLatent = (at: number): boolean => at >= endOfUserTurn && at < endOfUserTurn + tokens.latentIds.length;
  const roles = withLatents.map((id, at): number =>
    isLatent(at) ? role.latent : id === tokens.imageTokenId || id === tokens.videoTokenId ? role.image : role.prompt,
  );
  const answer = answerIds ? [...Array.from(answerIds), tokens.endOfTurnId] : [];
  return {
    inputIds: Int32Array.from([...withLatents, ...answer]),
    roles: Int32Array.from([...roles, ...answer.map(() => role.answer)]),
    labels: Int32Array.from([...withLatents.map(() => ignoredLabel), ...answer]),
    grids: prompt.grids,
    ...(prompt.secondsPerGrid && { secondsPerGrid: prompt.secondsPerGrid }),
  };
}
