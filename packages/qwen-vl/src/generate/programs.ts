/**
 * The compiled parts of decoding: a piece of the prompt, its last piece with the first token, and a step.
 *
 * Keys, values and the map of seen ids are donated: a step overwrites them where they lie. Lengths, positions, settings and
 * seeds are run-time operands, so all steps of a request, and of requests of the same sizes, replay one plan.
 */
import {
  type Device,
  type Tensor,
  add,
  broadcastTo,
  compile,
  mask,
  multiHot,
  reshape,
  select,
  slice,
} from '@mindseye/tensor-core';
import type { RoleTable } from '@mindseye/tensor-core';
import type { ModelContext } from '../model/context.js';
import { type KeyValueCache, embedTokens, headForward, languageForward } from '../model/language.js';
import type { SequenceOperands } from '../model/sequence.js';
import { type Choice, type ChoiceOperands, type ChoiceState, choose } from './choose.js';
import type { FeedbackRule } from './feedback.js';
import { type CacheOperands, promptMask, stepMask } from './key-value-cache.js';

/** Roles of the queries at hand, i32 [B, queries], and of every row of the cache, i32 [B, capacity]. */
export interface RoleOperands {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly table: RoleTable;
}

export interface PromptOperands {
  readonly sequence: SequenceOperands;
  readonly cache: CacheOperands;
  readonly roles: RoleOperands | null;
  /** Visual tokens [rows, hidden]. */
  readonly visualTokens: Tensor | null;
}

export interface StepOperands {
  /** f32 [B, G, headDim / 2]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly cache: CacheOperands;
  readonly roles: RoleOperands | null;
}

/** What is donated from step to step. */
export interface DonatedState {
  readonly cache: KeyValueCache;
  readonly seen: Tensor | null;
}

export interface StepResult extends Omit<Choice, 'seen'> {
  readonly donated: DonatedState;
}

export interface Programs {
  prefill(cache: KeyValueCache, prompt: PromptOperands): Promise<KeyValueCache>;
  /**
   * @param ids i32 [B, P] of the whole prompt, −1 in the padding: what a repetition penalty looks at; null without one
   * @param samples G
   */
  first(
    cache: KeyValueCache,
    prompt: PromptOperands,
    start: Pick<ChoiceState, 'finished' | 'rule'>,
    choice: ChoiceOperands,
    ids: Tensor | null,
    samples: number,
  ): Promise<StepResult>;
  step(donated: DonatedState, state: ChoiceState, operands: StepOperands, choice: ChoiceOperands): Promise<StepResult>;
}

export function compilePrograms(context: ModelContext, device: Device, rule: FeedbackRule | undefined): Programs {
  const { vocabSize, hiddenSize } = context.config.textConfig;

  const readPrompt = (
    cache: KeyValueCache,
    { sequence, cache: rows, roles, visualTokens }: PromptOperands,
  ): { readonly hidden: Tensor; readonly cache: KeyValueCache } => {
    const { inputIds, isVisual, visualIndex, cos, sin } = sequence;
    const outputs = languageForward(context, {
      inputsEmbeds: embedTokens(
        context,
        inputIds,
        visualTokens ? { rows: visualTokens, where: isVisual, index: visualIndex } : undefined,
      ),
      cos,
      sin,
      mask: withRoles(promptMask(rows), roles),
      cache,
      cacheLength: rows.length,
    });
    return { hidden: outputs.hidden, cache: outputs.cache! };
  };

  const result = ({ seen, ...choice }: Choice, cache: KeyValueCache): StepResult => ({
    ...choice,
    donated: { cache, seen },
  });

  const prefill = (cache: KeyValueCache, prompt: PromptOperands): KeyValueCache => readPrompt(cache, prompt).cache;

  const first = (
    cache: KeyValueCache,
    prompt: PromptOperands,
    start: Pick<ChoiceState, 'finished' | 'rule'>,
    choice: ChoiceOperands,
    ids: Tensor | null,
    samples: number,
  ): StepResult => {
    const read = readPrompt(cache, prompt);
    const prompts = read.hidden.shape[0]!;
    /** The same for all samples of a prompt: [B, n] → [B, G, n]. */
    const shared = (x: Tensor): Tensor =>
      broadcastTo(reshape(x, [prompts, 1, x.shape.at(-1)!]), [prompts, samples, x.shape.at(-1)!]);
    const last = slice(read.hidden, 1, -1);
    const perRow = (x: Tensor): Tensor => reshape(shared(x), [prompts * samples, vocabSize]);
    const seen = ids && perRow(multiHot(ids, vocabSize));
    const given = { logits: perRow(headForward(context, last)), hidden: shared(last), seen };
    return result(choose(given, start, choice, rule), read.cache);
  };

  const step = (
    { cache, seen }: DonatedState,
    { ids, feeds, embeds, ...before }: ChoiceState,
    { cos, sin, cache: rows, roles }: StepOperands,
    choice: ChoiceOperands,
  ): StepResult => {
    const [prompts, samples] = ids.shape as [number, number];
    const tokens = embedTokens(context, ids);
    const outputs = languageForward(context, {
      inputsEmbeds: feeds && embeds ? select(reshape(feeds, [prompts, samples, 1]), embeds, tokens) : tokens,
      cos,
      sin,
      mask: withRoles(stepMask(rows, add(rows.length, samples)), roles),
      cache,
      cacheLength: rows.length,
    });
    const hidden = reshape(outputs.hidden, [prompts, samples, hiddenSize]);
    const logits = reshape(headForward(context, hidden), [prompts * samples, vocabSize]);
    return result(choose({ logits, hidden, seen }, before, choice, rule), outputs.cache!);
  };

  return {
    prefill: compile(prefill, { device, donate: [0], name: 'a piece of the prompt' }),
    first: compile(first, { device, donate: [0], name: 'the end of the prompt' }),
    step: compile(step, { device, donate: [0], name: 'a decoding step' }),
  };
}

function withRoles(base: ReturnType<typeof promptMask>, roles: RoleOperands | null): ReturnType<typeof promptMask> {
  return roles ? mask.and(base, mask.roles(roles.query, roles.table, roles.key)) : base;
}
