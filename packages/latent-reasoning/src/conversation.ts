/**
 * A whole conversation as one training sequence: every assistant turn is labelled, from its first token through its
 * end-of-turn marker; everything else is context. Several questions about one image cost its visual tokens once.
 *
 * Source: the label mask of Qwen's own fine-tuning code.
 */
import type { GridThw } from '@mindseye/qwen-vl';
import { ignoredLabel } from '@mindseye/tensor-core';
import { role } from './roles.js';
import type { LatentSequence } from './sequence.js';

export interface ConversationTokens {
  readonly imageTokenId: number;
  /** `<|im_end|>` */
  readonly endOfTurnId: number;
  /** What opens an assistant turn: `<|im_start|>`, then the ids of "assistant" and the line break. */
  readonly assistantHeader: readonly number[];
}

export function conversationSequence(
  inputIds: ArrayLike<number>,
  grids: readonly GridThw[],
  { imageTokenId, endOfTurnId, assistantHeader }: ConversationTokens,
): LatentSequence {
  const ids = Int32Array.from(inputIds);
  const roles = ids.map((id) => (id === imageTokenId ? role.image : role.prompt));
  const labels = new Int32Array(ids.length).fill(ignoredLabel);
  const opensTurn = (at: number): boolean => assistantHeader.every((id, i) => ids[at + i] === id);
  for (let at = 0; at < ids.length; at++) {
    if (!opensTurn(at)) continue;
    const end = ids.indexOf(endOfTurnId, at + assistantHeader.length);
    for (let token = at + assistantHeader.length; token <= end; token++) {
      roles[token] = role.answer;
      labels[token] = ids[token]!;
    }
  }
  return { inputIds: ids, roles, labels, grids };
}
