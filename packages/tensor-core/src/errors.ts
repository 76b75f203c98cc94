/** Shapes or dtypes that an operation cannot take. The message names the operation, every operand and the cure. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** A gradient that does not exist was asked for. Thrown while the gradient graph is built, never as silent zeros. */
export class GradientError extends Error {
  override readonly name = 'GradientError';
}

/** A tensor handle was used in a way its state forbids: donated, on another device, or only a placeholder. */
export class TensorStateError extends Error {
  override readonly name = 'TensorStateError';
}
