/** What the host gives to a request's steps, made from the request: masks, roles, positions, settings. */
import { type Device, type Tensor, evaluate, slice, tensor } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { languageRotary } from '../model/rotary.js';
import type { SequenceOperands, SequenceRow } from '../model/sequence.js';
import type { ChoiceOperands } from './choose.js';
import { type CacheOperands, sampleOperands } from './key-value-cache.js';
import type { RoleOperands, StepOperands } from './programs.js';
import type { DecodeRequest } from './request.js';
import type { SamplingOperands } from './sampling.js';

/** How the prompts of a request lie in the cache. */
export interface Layout {
  readonly prompts: number;
  readonly samples: number;
  /** P: rows of a prompt with its padding. */
  readonly promptLength: number;
  /** Padding of each prompt. */
  readonly padding: readonly number[];
  readonly capacity: number;
}

/** Operands of the masks once `length` rows are written. */
export function maskOperands(layout: Layout): (length: number) => CacheOperands {
  const { padding, samples, promptLength, capacity } = layout;
  const shared = {
    padding: tensor(Int32Array.from(padding)),
    ...(samples > 1 && { samples: sampleOperands(promptLength, samples, capacity) }),
  };
  return (length) => ({ length: tensor(Int32Array.of(length)), ...shared });
}

/** Roles of `count` tokens from row `from` on, one per sample beyond the prompt; null for a request without roles. */
export function roleOperands(
  roles: DecodeRequest['roles'],
  { prompts, padding, capacity }: Layout,
): (from: number, count: number) => RoleOperands | null {
  if (!roles) return () => null;
  const all = new Int32Array(prompts * capacity).fill(roles.generated);
  roles.prompts.forEach((own, b) => {
    const start = b * capacity + padding[b]!;
    all.fill(-1, b * capacity, start);
    all.set(Array.from(own), start);
  });
  const key = tensor(all, [prompts, capacity]);
  return (from, count) => {
    const query = new Int32Array(prompts * count);
    for (let b = 0; b < prompts; b++)
      query.set(all.subarray(b * capacity + from, b * capacity + from + count), b * count);
    return { query: tensor(query, [prompts, count]), key, table: roles.table };
  };
}

/** Columns from … to − 1 of the operands of whole prompts. */
export async function promptColumns(
  operands: SequenceOperands,
  from: number,
  to: number,
  device: Device,
): Promise<SequenceOperands> {
  const { inputIds, isVisual, visualIndex, cos, sin } = operands;
  if (from === 0 && to === inputIds.shape[1]) return operands;
  const cut = (x: Tensor): Tensor => slice(x, 1, from, to);
  const columns = {
    inputIds: cut(inputIds),
    isVisual: cut(isVisual),
    visualIndex: cut(visualIndex),
    cos: cut(cos),
    sin: cut(sin),
  };
  return evaluate(columns, { device });
}

/** Rotary tables [B, G, headDim / 2] of the tokens fed in a step: all axes stand at one position, samples stand alike. */
export function stepRotary(
  { textConfig }: Qwen2_5_VLConfig,
  positions: readonly number[],
  samples: number,
): Pick<StepOperands, 'cos' | 'sin'> {
  const row = positions.flatMap((position) => Array.from({ length: samples }, () => position));
  const { cos, sin } = languageRotary(textConfig, Int32Array.from([...row, ...row, ...row]));
  const shape = [positions.length, samples, textConfig.headDim / 2];
  return { cos: tensor(cos, shape), sin: tensor(sin, shape) };
}

/** What the choice of token `step` takes. */
export function choiceOperands(
  { seed = 0, stopIds, logProbs = false }: DecodeRequest,
  sampling: SamplingOperands,
  eosTokenIds: readonly number[],
  { prompts, samples }: Layout,
): (step: number, stopped: Uint8Array) => ChoiceOperands {
  const ids = Int32Array.from(stopIds ?? eosTokenIds);
  const stops = ids.length === 0 ? null : tensor(ids);
  return (step, stopped) => ({
    sampling,
    seed: tensor(Uint32Array.of(seed, step)),
    stopIds: stops,
    stopped: tensor(stopped.slice(), [prompts, samples]),
    logProbs,
  });
}

/**
 * The ids that a repetition penalty looks at, i32 [B, P] with −1 in the padding. transformers counts its padding token among
 * them, which makes an answer depend on what it is batched with.
 */
export function penalisedIds(rows: readonly SequenceRow[], { prompts, promptLength }: Layout): Tensor {
  const ids = new Int32Array(prompts * promptLength).fill(-1);
  rows.forEach(({ inputIds }, b) => ids.set(Array.from(inputIds), (b + 1) * promptLength - inputIds.length));
  return tensor(ids, [prompts, promptLength]);
}
