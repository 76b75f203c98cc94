/** The generated expression that the self-test computes: arithmetic, functions, a stored map, and a reduction of rows. */
import type { ExpressionNode, FusedExpression } from '@mindseye/tensor-core';

export const SELF_TEST_ROWS = 5;
export const SELF_TEST_COLUMNS = 75;

const operand = (index: number): ExpressionNode => ({ kind: 'operand', operand: index, dtype: 'f32' });
const apply = (op: string, ...inputs: readonly number[]): ExpressionNode => ({
  kind: 'apply',
  op,
  attributes: {},
  inputs,
  dtype: 'f32',
});

/** exp(tanh(a * b) + b), and what it is of. */
const MAP = [operand(0), operand(1), apply('mul', 0, 1), apply('tanh', 2), apply('add', 3, 1), apply('exp', 4)];
/** One module: compiling is what takes time here. */
export const SELF_TEST_EXPRESSION: FusedExpression = {
  shape: [SELF_TEST_ROWS, SELF_TEST_COLUMNS],
  constants: [],
  map: MAP,
  results: [3, 5],
  reduction: {
    kind: 'sum',
    axes: [1],
    keepDimensions: false,
    of: 5,
    epilogue: [{ kind: 'reduced', dtype: 'f32' }, apply('sqrt', 0)],
    results: [1],
  },
};
