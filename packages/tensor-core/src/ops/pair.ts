import { asTensor } from '../op.js';
import { Tensor, type TensorLike } from '../tensor.js';

/** Two operands as tensors; a number takes the dtype of the other operand. */
export function pairOf(a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const dtype = a instanceof Tensor ? a.dtype : b instanceof Tensor ? b.dtype : 'f32';
  return [asTensor(a, dtype), asTensor(b, dtype)];
}
