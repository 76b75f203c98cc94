/**
 * The error function to double precision, so that the f64 engine can check gradients through GELU.
 *
 * |x| < 2.5: Maclaurin series erf x = 2/√π Σ (-1)^n x^(2n+1) / (n! (2n+1)), summed until terms vanish.
 * Beyond: erfc x = e^(-x²)/(x√π) · 1/(1 + (1/2x²)/(1 + (2/2x²)/(1 + …))), Laplace's continued fraction, evaluated bottom up.
 * Both are textbook formulas (Abramowitz & Stegun 7.1.5 and 7.1.14); absolute error below 1e-13 where they meet.
 */
export function errorFunction(x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  return magnitude < 2.5 ? series(x) : Math.sign(x) * (1 - complement(magnitude));
}

function series(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total) && n < 100; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

function complement(x: number): number {
  let fraction = 0;
  for (let k = 60; k >= 1; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
