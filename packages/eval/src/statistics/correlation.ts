/** Pearson's correlation. */
import { mean } from './bootstrap.js';

/** Pearson's r of two equally long lists; 0 where either does not vary. Throws a RangeError where the lengths differ. */
export function correlation(x: readonly number[], y: readonly number[]): number {
  if (x.length !== y.length) {
    throw new RangeError(`correlation: ${x.length} values against ${y.length}; give two lists of one length`);
  }
  const meanX = mean(x);
  const meanY = mean(y);
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (let i = 0; i < x.length; i++) {
    const dx = (x[i] ?? 0) - meanX;
    const dy = (y[i] ?? 0) - meanY;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}
