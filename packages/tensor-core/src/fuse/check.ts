/** What makes a fused expression well-formed for given operands. */
import type { DType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { fullOp } from '../op.js';
import { formatShape } from '../shape.js';
import type { TensorSpec } from '../tensor.js';
import {
  type ExpressionNode,
  type ExpressionSection,
  type FusedExpression,
  type NodeOf,
  sectionsOf,
  stretches,
} from './expression.js';
import { reductionOp, scalarOps } from './scalar-ops.js';

const isNarrow = (dtype: DType): boolean => dtype === 'f16' || dtype === 'bf16';

/** Throws a ShapeError that names the node unless the expression keeps the rules of `expression.ts` on these operands. */
export function checkExpression(expression: FusedExpression, operands: readonly TensorSpec[]): void {
  const { shape, map, results, reduction } = expression;
  if (results.length + (reduction?.results.length ?? 0) === 0)
    throw new ShapeError('fusedExpression writes nothing: name a node in results');
  if (reduction && !map[reduction.of])
    throw new ShapeError(`fusedExpression reduces node ${reduction.of}, the map has ${map.length} nodes`);
  if (reduction?.axes.some((axis, i) => !(axis in shape) || axis <= (reduction.axes[i - 1] ?? -1)))
    throw new ShapeError(
      `fusedExpression reduces axes ${formatShape(reduction.axes)} of ${formatShape(shape)}: name axes that exist, rising`,
    );
  for (const section of sectionsOf(expression)) checkSection(expression, section, operands);
  const read = new Set([...map, ...(reduction?.epilogue ?? [])].map((node) => (node as { operand?: number }).operand));
  operands.forEach((_, operand) => {
    if (!read.has(operand)) throw new ShapeError(`fusedExpression: operand ${operand} is not read: leave it out`);
  });
  if (reduction) reductionOp(reduction.kind).infer([{ shape, dtype: map[reduction.of]!.dtype }], reduction);
}

function checkSection(expression: FusedExpression, section: ExpressionSection, operands: readonly TensorSpec[]): void {
  const { name, nodes, results } = section;
  const seen = new Set<number>();
  nodes.forEach((node, i) => {
    const refuse = (what: string): never => {
      throw new ShapeError(`fusedExpression: node ${i} of the ${name} ${what}`);
    };
    checks[node.kind]({ node: node as never, place: i, expression, section, operands, refuse });
    if (node.kind !== 'operand') return;
    if (seen.has(node.operand)) refuse(`reads operand ${node.operand} a second time: use the node that reads it`);
    seen.add(node.operand);
  });
  if (new Set(results).size < results.length)
    throw new ShapeError(`fusedExpression writes a node of the ${name} twice`);
  for (const result of results) {
    const kind = nodes[result]?.kind;
    if (kind !== 'apply' && kind !== 'reduced')
      throw new ShapeError(
        `fusedExpression: result ${result} of the ${name} is ${kind ?? 'no node'}, not computed there`,
      );
  }
}

interface NodeCheck<Kind extends ExpressionNode['kind']> {
  readonly node: NodeOf<Kind>;
  readonly place: number;
  readonly expression: FusedExpression;
  readonly section: ExpressionSection;
  readonly operands: readonly TensorSpec[];
  readonly refuse: (what: string) => never;
}

const checks: { readonly [Kind in ExpressionNode['kind']]: (check: NodeCheck<Kind>) => void } = {
  operand({ node: { operand, dtype }, section: { shape }, operands, refuse }) {
    const spec = operands[operand] ?? refuse(`reads operand ${operand} of ${operands.length}`);
    if (spec.dtype !== dtype) refuse(`reads operand ${operand} as ${dtype}, it is ${spec.dtype}`);
    if (!stretches(spec.shape, shape))
      refuse(
        `reads operand ${operand} of shape ${formatShape(spec.shape)}, which does not stretch to ${formatShape(shape)}`,
      );
  },
  constant({ node: { constant, dtype }, expression: { constants }, refuse }) {
    const value = constants[constant] ?? refuse(`is constant ${constant} of ${constants.length}`);
    if (isNarrow(dtype)) refuse(`is a constant of ${dtype}: only casts make those`);
    fullOp.infer([], { shape: [], dtype, value } as never);
  },
  reduced({ node: { dtype }, expression: { map, reduction }, section, refuse }) {
    if (section.name === 'map') refuse('is the result of a reduction: only an epilogue reads it');
    const actual = map[reduction!.of]?.dtype;
    if (actual !== dtype) refuse(`reads the reduction as ${dtype}, it is ${actual}`);
  },
  apply({ node, place, section: { nodes }, refuse }) {
    const { op: name, attributes, inputs, dtype } = node;
    const op = scalarOps().get(name) ?? refuse(`applies ${name}, which is no op on single elements`);
    if (inputs.some((input) => !(input >= 0 && input < place)))
      refuse(`reads nodes ${inputs.join()}: only earlier ones exist`);
    const dtypes = inputs.map((input) => nodes[input]!.dtype);
    if (name !== 'cast' && [...dtypes, dtype].some(isNarrow))
      refuse(`computes ${name} in f16 or bf16: cast to f32 first`);
    const [result] = op.infer(
      dtypes.map((type) => ({ shape: [], dtype: type })),
      attributes,
    );
    if (result!.dtype !== dtype) refuse(`is ${dtype}, ${name} gives ${result!.dtype}`);
  },
};
