import { customGrad } from '../autograd/grad.js';
import { full } from '../op.js';
import { div } from '../ops/div.js';
import { exp } from '../ops/exp.js';
import { log } from '../ops/log.js';
import { mul } from '../ops/mul.js';
import { rsqrt } from '../ops/rsqrt.js';
import { sqrt } from '../ops/sqrt.js';
import type { Tensor } from '../tensor.js';

/** x^n for a whole n ≥ 1 by repeated squaring: about 2 log₂ n products, exact signs, a gradient everywhere. */
function wholePower(x: Tensor, exponent: number): Tensor {
  let result: Tensor | undefined;
  for (let [factor, rest] = [x, exponent]; ; factor = mul(factor, factor)) {
    if (rest % 2 === 1) result = result ? mul(result, factor) : factor;
    rest = Math.floor(rest / 2);
    if (rest === 0) return result!;
  }
}

const known = new Map<number, (x: Tensor) => Tensor>([
  [0, (x) => full(x.shape, 1, x.dtype)],
  [0.5, sqrt],
  [-0.5, rsqrt],
]);

/**
 * y = x^exponent, element by element (torch.pow with a number); dy/dx = exponent · x^(exponent − 1).
 *
 * Whole exponents take any x; others take x ≥ 0 and give NaN below, as in PyTorch. i32 and u32 take whole exponents ≥ 0.
 *
 * @throws RangeError for an exponent that is not finite.
 */
export function pow(x: Tensor, exponent: number): Tensor {
  if (!Number.isFinite(exponent)) throw new RangeError(`pow: the exponent is ${exponent}, it must be a finite number`);
  const special = known.get(exponent);
  if (special) return special(x);
  if (Number.isInteger(exponent)) {
    const power = wholePower(x, Math.abs(exponent));
    return exponent > 0 ? power : div(1, power);
  }
  // Through the logarithm; its own chain rule would give 0/0 at x = 0.
  return customGrad(
    (base) => exp(mul(log(base), exponent)),
    ([base], _y, dy) => [mul(dy, mul(pow(base!, exponent - 1), exponent))],
  )(x);
}
