/**
 * From logits to the next token of every sequence, as graph: processors, the draw, the feedback rule, and who has ended.
 */
import {
  type Tensor,
  type Tree,
  add,
  any,
  argmax,
  bitcast,
  cast,
  concat,
  equal,
  logicalAnd,
  logicalNot,
  logicalOr,
  markSeen,
  mul,
  processLogits,
  reshape,
  sampleCategorical,
  select,
  suppressTokens,
  tokenLogProbabilities,
} from '@mindseye/tensor-core';
import type { FeedbackRule } from './feedback.js';
import type { SamplingOperands } from './sampling.js';

/** What changes from step to step and is given by the host. */
export interface ChoiceOperands {
  readonly sampling: SamplingOperands;
  /** u32 [2]; another one for every step. */
  readonly seed: Tensor;
  /** i32 [K]: ids that end a sequence; null for none. */
  readonly stopIds: Tensor | null;
  /** bool [B, G]: sequences that the host has ended. */
  readonly stopped: Tensor;
  readonly logProbs: boolean;
}

/** What a step hands to the next one, beside the cache. Small; all [B, G] or [B, G, …]. */
export interface ChoiceState {
  /** i32: the tokens to feed. */
  readonly ids: Tensor;
  /** bool: who had ended before them. */
  readonly finished: Tensor;
  /** With a feedback rule: bool, where `embeds` f32 [B, G, hidden] are fed instead. */
  readonly feeds?: Tensor;
  readonly embeds?: Tensor;
  readonly rule?: Tree;
}

export interface Choice {
  readonly state: ChoiceState;
  /** bool [R, classes]: ids so far, where a repetition penalty reads them. */
  readonly seen: Tensor | null;
  /**
   * i32 [2, R]: ids and flags. With log-probabilities [4, R]: the words of those by the model, and by the distribution drawn
   * from, so that a step is read in one piece.
   */
  readonly record: Tensor;
}

/** Bits of the flags. */
export const flag = { active: 1, ends: 2, fedBack: 4 } as const;

const bit = (condition: Tensor, value: number): Tensor => mul(cast(condition, 'i32'), value);

/**
 * @param logits f32 [R, classes]
 * @param hidden f32 [B, G, hidden], what the logits were made of
 * @param finished bool [B, G], and the rule's memory: from the step before
 */
export function choose(
  { logits, hidden, seen }: { readonly logits: Tensor; readonly hidden: Tensor; readonly seen: Tensor | null },
  { finished: before, rule: memory }: Pick<ChoiceState, 'finished' | 'rule'>,
  { sampling: { doSample, settings, suppressed }, seed, stopIds, stopped, logProbs }: ChoiceOperands,
  rule: FeedbackRule | undefined,
): Choice {
  const shape = hidden.shape.slice(0, 2);
  const rows = logits.shape[0]!;
  const finished = logicalOr(before, stopped);
  const possible = suppressed ? suppressTokens(logits, suppressed) : logits;
  const processed = processLogits(possible, { doSample, ...settings, ...(seen && { seen }) });
  const drawn = doSample ? sampleCategorical(processed, seed) : argmax(processed);
  const ruled = rule?.apply({ ids: reshape(drawn, shape), hidden, state: memory! });
  const feeds = ruled && logicalAnd(ruled.feeds, logicalNot(finished));
  const ids = select(finished, 0, ruled?.ids ?? reshape(drawn, shape));
  const isStop = stopIds && any(equal(reshape(ids, [...shape, 1]), stopIds), -1);
  const untouchable = feeds ? logicalOr(finished, feeds) : finished;
  const ends = isStop && logicalAnd(isStop, logicalNot(untouchable));
  const flags = [
    bit(logicalNot(finished), flag.active),
    ...(ends ? [bit(ends, flag.ends)] : []),
    ...(feeds ? [bit(feeds, flag.fedBack)] : []),
  ].reduce(add);
  const flat = (x: Tensor): Tensor => reshape(x, [1, rows]);
  return {
    state: {
      ids,
      finished: ends ? logicalOr(finished, ends) : finished,
      ...(ruled && { feeds: feeds!, embeds: ruled.embeds ?? hidden, rule: ruled.state }),
    },
    seen: seen && markSeen(seen, reshape(ids, [rows])),
    record: concat(
      [
        flat(ids),
        flat(flags),
        ...(logProbs ? [logits, processed].map((of) => flat(bitcast(tokenLogProbabilities(of, drawn), 'i32'))) : []),
      ],
      0,
    ),
  };
}
