/**
 * Examples with their visual tokens, kept from epoch to epoch within a limit of bytes; those used longest ago go first.
 *
 * Where vision is frozen an example is rendered and encoded once for as long as it is kept: 3 MB for an image of 384 visual
 * tokens of width 2048. What does not fit is made again in each epoch.
 */
import type { TrainingExample } from './batch.js';

/** An example whose images have become visual tokens. */
export interface EncodedExample {
  /** Without its images. */
  readonly example: TrainingExample;
  /** Visual tokens, row-major [tokens, hidden]. */
  readonly features: Float32Array;
}

export interface ExampleCache {
  get(index: number): EncodedExample | undefined;
  set(index: number, entry: EncodedExample): void;
  /** Bytes held now. */
  readonly bytes: number;
}

const bytesOf = ({ example: { sequence }, features }: EncodedExample): number =>
  features.byteLength + sequence.inputIds.byteLength + sequence.roles.byteLength + sequence.labels.byteLength;

/** @param limit bytes; an entry above it is not kept */
export function exampleCache(limit: number): ExampleCache {
  // A map keeps the order of insertion: the first entry is the one used longest ago.
  const entries = new Map<number, EncodedExample>();
  let bytes = 0;
  const remove = (index: number): EncodedExample | undefined => {
    const entry = entries.get(index);
    if (entry) bytes -= bytesOf(entry);
    entries.delete(index);
    return entry;
  };
  const add = (index: number, entry: EncodedExample): void => {
    entries.set(index, entry);
    bytes += bytesOf(entry);
  };
  return {
    get bytes() {
      return bytes;
    },
    get(index) {
      const entry = remove(index);
      if (entry) add(index, entry);
      return entry;
    },
    set(index, entry) {
      remove(index);
      const size = bytesOf(entry);
      if (size > limit) return;
      for (const oldest of entries.keys()) {
        if (bytes + size <= limit) break;
        remove(oldest);
      }
      add(index, entry);
    },
  };
}
