/**
 * Keys and values that outlive a request: the next prompt, where it begins with the same tokens and pictures, is computed
 * from the first difference on. A conversation that grows turn by turn so costs each turn once.
 *
 * One prompt, one sample. What is kept after a request: its prompt, and the tokens that were generated and fed.
 */
import type { Device } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import type { KeyValueCache } from '../model/language.js';
import { type CacheDType, emptyCache, grownCache } from './key-value-cache.js';
import type { Layout } from './operands.js';

/** A picture or video of a prompt, known by its pixels. */
export interface CachedVisual {
  readonly start: number;
  readonly end: number;
  readonly pixelValues: Float32Array;
}

/** What a cache holds. */
export interface CachedPrompt {
  /** The model whose keys and values these are; another one, or another adapter on it, has others. */
  readonly owner: object;
  readonly rows: KeyValueCache;
  readonly capacity: number;
  /** Rows of padding before the first token. */
  readonly padding: number;
  readonly inputIds: readonly number[];
  /** Time, height and width position of each token. */
  readonly positions: readonly PositionTriple[];
  readonly visuals: readonly CachedVisual[];
}

export type PositionTriple = readonly [time: number, height: number, width: number];

/** A prompt as a cache compares it. */
export type ComparedPrompt = Pick<CachedPrompt, 'owner' | 'positions' | 'visuals'> & {
  readonly inputIds: ArrayLike<number>;
};

/** What a request has taken out of a cache. */
export interface Reuse {
  readonly held: CachedPrompt;
  /** Tokens that its prompt begins with and that are held. */
  readonly length: number;
}

export class PromptCache {
  #held: CachedPrompt | undefined;

  /** Tokens whose keys and values are held. */
  get length(): number {
    return this.#held?.inputIds.length ?? 0;
  }

  /** Forgets everything; its memory is given back. */
  clear(): void {
    this.#held = undefined;
  }

  /** @internal What is held, for a request to write to: the cache is empty until something is put into it. */
  take(prompt: ComparedPrompt): Reuse | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held && { held, length: reusableLength(held, prompt) };
  }

  /** @internal */
  put(held: CachedPrompt): void {
    this.#held = held;
  }
}

/** Position triples [3, length] as one triple per token. */
export function positionTriples(positions: Int32Array): PositionTriple[] {
  const length = positions.length / 3;
  return Array.from({ length }, (_, at) => [positions[at]!, positions[length + at]!, positions[2 * length + at]!]);
}

/** Room for a request: what is held, in a larger cache if need be, or an empty one. */
export async function openCache(
  held: CachedPrompt | undefined,
  config: Qwen2_5_VLConfig,
  { prompts, capacity }: Layout,
  dtype: CacheDType,
  device: Device,
): Promise<KeyValueCache> {
  if (!held) return emptyCache(config, prompts, capacity, dtype, device);
  return capacity > held.capacity ? grownCache(held.rows, capacity, device) : held.rows;
}

/** How many tokens of a prompt a cache holds already: never all of them, since the last one gives the first new token. */
function reusableLength(held: CachedPrompt, { owner, inputIds, positions, visuals }: ComparedPrompt): number {
  if (held.owner !== owner) return 0;
  const limit = Math.min(held.inputIds.length, inputIds.length - 1);
  const isSameToken = (at: number): boolean =>
    held.inputIds[at] === inputIds[at] && held.positions[at]!.every((place, axis) => place === positions[at]![axis]);
  let length = 0;
  while (length < limit && isSameToken(length)) length++;
  for (const [i, visual] of visuals.entries()) {
    if (visual.start >= length) break;
    const known = held.visuals[i];
    const isSame = known?.end === visual.end && sameValues(known.pixelValues, visual.pixelValues);
    if (!isSame || visual.end > length) return visual.start;
  }
  return length;
}

const sameValues = (a: Float32Array, b: Float32Array): boolean =>
  a === b || (a.length === b.length && a.every((value, i) => value === b[i]));
