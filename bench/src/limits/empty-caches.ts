/**
 * Empties the caches of what was worked on, by reading other memory: so that a large array comes from memory whatever ran
 * before, and however much of a shared cache this process happens to have.
 */
import { readBandwidth } from './read-bandwidth.ts';

/** On machines whose caches are larger some of it may stay, for every engine alike. */
export const EMPTYING_BYTES = 256 * 2 ** 20;

export function cacheEmptier(bytes: number): () => void {
  const bandwidth = readBandwidth(bytes);
  return () => {
    bandwidth.read(0, bytes);
  };
}
