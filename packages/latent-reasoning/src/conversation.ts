/**
 * A whole conversation as one training sequence: every assistant turn is labelled, from its first token through its
 * end-of-turn marker; everything else is context. Several questions about one image cost its visual tokens once.
 *
 * Source: the label mask of Qwen's own fine-tuning code, which labels the line break after the marker too: see `afterTurn`.
 */
import type { GridThw } from '@mindseye/qwen-vl';
import { ignoredLabel } from '@mindseye/tensor-core';
import { role } from './roles.js';
import type { LatentSequence } from './sequence.js';

export interface ConversationTokens {
  readonly imageTokenId: number;
  /** Visual tokens of videos have the role of image tokens. */
  readonly videoTokenId?: number;
  /** `<|im_end|>` */
  readonly endOfTurnId: number;
  /** What opens an assistant turn: `<|im_start|>`, then the ids of "assistant" and the line break. */
  readonly assistantHeader: readonly number[];
  /** What the template writes after an end-of-turn marker, a line break: labelled with the turn when given. */
  readonly afterTurn?: readonly number[];
}

export function conversationSequence(
  inputIds: ArrayLike<number>,
  grids: readonly GridThw[],
  { imageTokenId, videoTokenId, endOfTurnId, assistantHeader, afterTurn = [] }: ConversationTokens,
): LatentSequence {
  const ids = Int32Array.from(inputIds);
  const roles = ids.map((id) => (id === imageTokenId || id === videoTokenId ? role.image : role.prompt));
  const labels = new Int32Array(ids.length).fill(ignoredLabel);
  const has = (list: readonly number[], at: number): boolean => list.every((id, i) => ids[at + i] === id);
  for (let at = 0; at < ids.length; at++) {
    if (!has(assistantHeader, at)) continue;
    const end = ids.indexOf(endOfTurnId, at + assistantHeader.length);
    const last = end >= 0 && has(afterTurn, end + 1) ? end + afterTurn.length : end;
    for (let token = at + assistantHeader.length; token <= last; token++) {
      roles[token] = role.answer;
      labels[token] = ids[token]!;
    }
  }
  return { inputIds: ids, roles, labels, grids };
}
