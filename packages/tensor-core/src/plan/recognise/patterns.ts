/**
 * Which fused ops are recognised when somebody wrote them in primitives, and how they may be spelled.
 *
 * A pattern is not written down here: it is the graph of a spelling (the op's own decomposition, or the usual textbook form)
 * over placeholders. A row says at which op a match may end and what its operands look like there.
 */
import { attentionPair } from '../../fused/attention.js';
import { geluPair } from '../../fused/gelu.js';
import { layerNormPair } from '../../fused/layer-norm.js';
import { linearOp } from '../../fused/linear.js';
import { rmsNormPair } from '../../fused/rms-norm.js';
import { softmax, softmaxPair } from '../../fused/softmax.js';
import { swigluPair } from '../../fused/swiglu.js';
import type { Op } from '../../op.js';
import { add } from '../../ops/add.js';
import { div } from '../../ops/div.js';
import { exp } from '../../ops/exp.js';
import { type MatmulAttributes, matmul } from '../../ops/matmul.js';
import { max } from '../../ops/max.js';
import { mul } from '../../ops/mul.js';
import { sub } from '../../ops/sub.js';
import { sum } from '../../ops/sum.js';
import { sameShape } from '../../shape.js';
import type { Tensor, TensorSpec } from '../../tensor.js';
import type { PlanStep } from '../program.js';

/** Looks at a program from one of its steps. */
export interface Surroundings {
  readonly values: readonly TensorSpec[];
  /** The step that writes a value; undefined for inputs. */
  writerOf(value: number): PlanStep | undefined;
}

export interface FusedPattern {
  readonly op: Op;
  /** Name of the op that a match ends in. */
  readonly root: string;
  /** Specs that the operands may have when the match ends in `root`. */
  operands(root: PlanStep, around: Surroundings): readonly (readonly TensorSpec[])[];
  /** A number of the attributes that the match finds; NaN-free and never written by anybody. */
  attributes(captured: number): object;
  /** Ways to write it in other ops; the first result is what is matched. */
  readonly spellings: readonly ((operands: readonly Tensor[], attributes: object) => readonly Tensor[])[];
}

const resultOf = ({ outputs }: PlanStep, { values }: Surroundings): TensorSpec => values[outputs[0]!]!;

const vectorAlong = ({ shape }: TensorSpec): TensorSpec => ({ shape: shape.slice(-1), dtype: 'f32' });

const isMatmulOf = (step: PlanStep | undefined, transposeB: boolean): step is PlanStep => {
  const attributes = step?.attributes as MatmulAttributes | undefined;
  return step?.op.name === 'matmul' && attributes!.transposeB === transposeB && !attributes!.transposeA;
};

const none = (): object => ({});
const own =
  (op: Op): FusedPattern['spellings'][number] =>
  (operands, attributes) =>
    op.decompose!(operands, attributes);

const elementwise = (op: object, operandCount: number): FusedPattern => ({
  op: op as Op,
  root: 'mul',
  operands: (root, around) => [Array.from({ length: operandCount }, () => resultOf(root, around))],
  attributes: none,
  spellings: [own(op as Op)],
});

/** In the order they are tried; larger patterns may contain fused ops that an earlier row recognised. */
export const fusedPatterns: readonly FusedPattern[] = [
  {
    op: softmaxPair.forward as Op,
    root: 'div',
    operands: (root, around) => (resultOf(root, around).shape.length === 0 ? [] : [[resultOf(root, around)]]),
    attributes: none,
    spellings: [
      own(softmaxPair.forward as Op),
      // The textbook form. It differs only in rows of -Infinity, where it gives NaN and the op gives 0.
      ([x]) => {
        const shifted = exp(sub(x!, max(x!, -1, true)));
        return [div(shifted, sum(shifted, -1, true))];
      },
      ([x]) => [div(exp(x!), sum(exp(x!), -1, true))],
    ],
  },
  {
    op: rmsNormPair.forward as Op,
    root: 'mul',
    operands: (root, around) => withRows(root, around, (x) => [x, vectorAlong(x)]),
    attributes: (epsilon) => ({ epsilon }),
    spellings: [own(rmsNormPair.forward as Op)],
  },
  {
    op: layerNormPair.forward as Op,
    root: 'add',
    operands: (root, around) => withRows(root, around, (x) => [x, vectorAlong(x), vectorAlong(x)]),
    attributes: (epsilon) => ({ epsilon }),
    spellings: [own(layerNormPair.forward as Op)],
  },
  elementwise(geluPair.forward, 1),
  elementwise(swigluPair.forward, 2),
  {
    op: linearOp as Op,
    root: 'add',
    operands: (root, { values, writerOf }) =>
      root.inputs.flatMap((value, i) => {
        const product = writerOf(value);
        if (!isMatmulOf(product, true) || values[value]!.shape.length !== 2) return [];
        const bias = values[root.inputs[1 - i]!]!;
        // A bias of another length would stretch the product.
        return sameShape(bias.shape, values[value]!.shape.slice(1))
          ? [[...product.inputs.map((input) => values[input]!), bias]]
          : [];
      }),
    attributes: none,
    spellings: [([x, weight, bias]) => [add(matmul(x!, weight!, { transposeB: true }), bias!)]],
  },
  {
    op: attentionPair.forward as Op,
    root: 'matmul',
    operands(root, { values, writerOf }) {
      const weights = writerOf(root.inputs[0]!);
      const scaled = weights?.op.name === 'softmax' ? writerOf(weights.inputs[0]!) : undefined;
      const scores = scaled?.inputs.map(writerOf).find((step) => isMatmulOf(step, true));
      if (!isMatmulOf(root, false) || !scores || values[root.inputs[1]!]!.shape.length !== 4) return [];
      return [[...scores.inputs, root.inputs[1]!].map((value) => values[value]!)];
    },
    attributes: (scale) => ({ scale, mask: null }),
    spellings: [
      ([q, k, v], attributes) => {
        const { scale } = attributes as { readonly scale: number };
        return [matmul(softmax(mul(matmul(q!, k!, { transposeB: true }), scale)), v!)];
      },
    ],
  },
];

function withRows(
  root: PlanStep,
  around: Surroundings,
  operands: (x: TensorSpec) => readonly TensorSpec[],
): readonly (readonly TensorSpec[])[] {
  const x = resultOf(root, around);
  return x.shape.length === 0 || x.dtype !== 'f32' ? [] : [operands(x)];
}
