/** Progress comes with every chunk of a network; a page is drawn again only so often. */
import type { LoadProgress } from './protocol.js';

const LEAST_MILLISECONDS = 100;

/** Passes progress on at most ten times a second; the beginning and the end of a step always. */
export function throttled(tell: (progress: LoadProgress) => void): (progress: LoadProgress) => void {
  let last: LoadProgress | undefined;
  let toldAt = -Infinity;
  return (progress) => {
    const now = performance.now();
    const isTurn = progress.step !== last?.step || progress.done >= progress.total;
    last = progress;
    if (!isTurn && now - toldAt < LEAST_MILLISECONDS) return;
    toldAt = now;
    tell(progress);
  };
}
