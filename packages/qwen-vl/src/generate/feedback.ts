/**
 * Feeding hidden states back: the decode loop of latent visual reasoning, on the device.
 *
 * After each step a rule sees the token that was chosen and the hidden state behind it, for every sequence. It may write
 * another id in its place and say that the next input is not that id's embedding but a vector: by default the hidden state
 * after the final norm, which is what LVR, LanteRn, Mirage, Monet and SkiLa feed. A rule is graph, as is what it remembers,
 * so sequences enter and leave latent mode each for itself and nothing is read back in between.
 *
 * A rule with K latents after a start token S, on the input side:  … S h(S) h(1) … h(K−1) next …  where h(t) is the hidden
 * state at the input before. Ids that come out: … S l l … l next ….
 */
import {
  type Tensor,
  type Tree,
  equal,
  full,
  greater,
  logicalAnd,
  logicalNot,
  maximum,
  select,
  sub,
} from '@mindseye/tensor-core';

export interface FeedbackInputs<State extends Tree> {
  /** i32 [B, G]: the tokens chosen. */
  readonly ids: Tensor;
  /** f32 [B, G, hidden] after the final norm: what the head read to choose them. */
  readonly hidden: Tensor;
  readonly state: State;
}

export interface FeedbackOutputs<State extends Tree> {
  /** i32 [B, G]: the ids reported, and embedded where nothing is fed back. */
  readonly ids: Tensor;
  /** bool [B, G]: where the next input is a vector. Such a token ends no sequence. */
  readonly feeds: Tensor;
  /** f32 [B, G, hidden]: those vectors; the hidden states when left out. */
  readonly embeds?: Tensor;
  readonly state: State;
}

export interface FeedbackRule<State extends Tree = Tree> {
  readonly name: string;
  /** What the rule remembers of B prompts with G samples, before the first token: tensors with B and G as first axes. */
  initialState(prompts: number, samples: number): State;
  /** Graph, traced once; the same for every step. */
  apply(inputs: FeedbackInputs<State>): FeedbackOutputs<State>;
}

export interface FixedFeedback {
  /** Turns latent mode on. It is embedded as an ordinary token. */
  readonly startId: number;
  /** Written for each hidden state fed back. */
  readonly latentId: number;
  /** Hidden states fed back after each start token. */
  readonly steps: number;
  /** Written after the last of them; the model's own choice when left out. */
  readonly endId?: number;
}

/** Exactly `steps` hidden states after each start token: LVR's fixed-token decoding, and LanteRn's with an `endId`. */
export function fixedFeedback({ startId, latentId, steps, endId }: FixedFeedback): FeedbackRule<{ remaining: Tensor }> {
  return {
    name: `${steps} latents after token ${startId}`,
    initialState: (prompts, samples) => ({ remaining: full([prompts, samples], 0, 'i32') }),
    apply({ ids, state: { remaining } }) {
      // Counts down to 1 while latents are fed, and is 1 at the token that follows them.
      const feeds = greater(remaining, 1);
      const follows = equal(remaining, 1);
      const chosen = endId === undefined ? ids : select(follows, endId, ids);
      const starts = logicalAnd(equal(chosen, startId), logicalNot(feeds));
      return {
        ids: select(feeds, latentId, chosen),
        feeds,
        state: { remaining: select(starts, steps + 1, maximum(sub(remaining, 1), 0)) },
      };
    },
  };
}
