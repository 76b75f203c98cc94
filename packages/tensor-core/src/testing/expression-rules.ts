/** The rules of random fused expressions: each adds a node or two to a section under construction, whatever is there. */
import type { DType } from '../dtype.js';
import type { ExpressionNode } from '../fuse/expression.js';
import { scalarOps } from '../fuse/scalar-ops.js';

/**
 * What the numbers in an expression may be.
 *
 * `ordinary`: bounded and away from poles, and only exact numbers are compared, cut or counted, so that two engines agree
 * closely. `extreme`: also NaN, infinities and all magnitudes; f32 arithmetic is then one op deep. `smooth`: f32 only,
 * without kinks. `anything`: no care at all; for two ways to run the same functions.
 */
export type ExpressionValues = 'ordinary' | 'extreme' | 'smooth' | 'anything';

/** A section while nodes are added to it. */
export interface SectionBuilder {
  readonly values: ExpressionValues;
  readonly constants: number[];
  readonly nodes: ExpressionNode[];
  /** For each node, whether every engine computes the very same bits. */
  readonly isExact: boolean[];
  /** Nodes that no rule may read any more: steps on the way to a bounded number that are not bounded themselves. */
  readonly hidden: Set<number>;
}

export type ExpressionRule = (builder: SectionBuilder, places: readonly number[], choice: number) => void;

type Wanted = 'any' | 'exact';

function push(builder: SectionBuilder, node: ExpressionNode, exact: boolean): number {
  builder.isExact.push(exact);
  return builder.nodes.push(node) - 1;
}

const constantsOf: Readonly<Record<'ordinary' | 'special' | 'whole', readonly number[]>> = {
  ordinary: [0.5, -1.25, 2, 0],
  special: [0.1, -Infinity, NaN, -0],
  whole: [1, 0, 1, 1],
};

/** A constant node of an arithmetic dtype. */
export function addConstant(builder: SectionBuilder, dtype: DType, choice: number): number {
  const isFree = builder.values === 'extreme' || builder.values === 'anything';
  const kind = dtype !== 'f32' ? 'whole' : isFree && choice % 8 > 3 ? 'special' : 'ordinary';
  const constant = builder.constants.push(constantsOf[kind][choice % 4]!) - 1;
  return push(builder, { kind: 'constant', constant, dtype }, true);
}

/** An op on nodes that fit it. */
function addApply(builder: SectionBuilder, name: string, inputs: readonly number[], attributes: object = {}): number {
  const op = scalarOps().get(name)!;
  const specs = inputs.map((input) => ({ shape: [], dtype: builder.nodes[input]!.dtype }));
  const { dtype } = op.infer(specs, attributes)[0]!;
  const isWhole = specs.every((spec) => spec.dtype !== 'f32');
  const keepsBits = exactOps.has(name) || (exactButForZeros.has(name) && builder.values !== 'extreme');
  const exact = inputs.every((input) => builder.isExact[input]!) && (isWhole || keepsBits);
  return push(builder, { kind: 'apply', op: name, attributes, inputs, dtype }, exact);
}

export const addCast = (builder: SectionBuilder, x: number, dtype: DType): number =>
  addApply(builder, 'cast', [x], { dtype });

/** The simplest node that is computed from another of any dtype. */
export const addCopy = (builder: SectionBuilder, x: number): number =>
  builder.nodes[x]!.dtype === 'f32' ? addApply(builder, 'neg', [x]) : addCast(builder, x, 'f32');

/** Ops that round nothing, and those of them that may give either zero: the one divides to Infinity, the other to −Infinity. */
const exactOps = new Set(['neg', 'abs', 'select', 'cast', 'bitcast', 'equal', 'less', 'lessEqual']);
const exactButForZeros = new Set(['floor', 'maximum', 'minimum']);

/** A node of `dtype`: counted back from the newest that fits, or a new constant. */
function pick(builder: SectionBuilder, dtype: DType, place: number, wanted: Wanted = 'any'): number {
  const needsExact = wanted === 'exact' && builder.values !== 'anything';
  const fitting = builder.nodes.flatMap((node, i) =>
    node.dtype === dtype && !builder.hidden.has(i) && (!needsExact || builder.isExact[i]!) ? [i] : [],
  );
  return fitting.length > 0
    ? fitting[fitting.length - 1 - (place % fitting.length)]!
    : addConstant(builder, dtype, place);
}

/** What f32 arithmetic may read: with extreme values only numbers that are the same everywhere. */
const arithmetic = ({ values }: SectionBuilder): Wanted => (values === 'extreme' ? 'exact' : 'any');
const isBounded = ({ values }: SectionBuilder): boolean => values === 'ordinary' || values === 'smooth';

function hide(builder: SectionBuilder, node: number): number {
  builder.hidden.add(node);
  return node;
}

function squarePlusTwo(builder: SectionBuilder, x: number): number {
  const square = hide(builder, addApply(builder, 'mul', [x, x]));
  return hide(builder, addApply(builder, 'add', [square, addConstant(builder, 'f32', 2)]));
}

/** `guard` keeps the operand bounded or away from poles where the values ask for that. */
const float =
  (name: string, guard?: (builder: SectionBuilder, x: number) => number): ExpressionRule =>
  (builder, [place]) => {
    const x = pick(builder, 'f32', place!, arithmetic(builder));
    addApply(builder, name, [guard && isBounded(builder) ? guard(builder, x) : x]);
  };

/** A f32 op that is defined everywhere but not where `extreme` has no agreement between engines. */
const boundedFloat =
  (name: string): ExpressionRule =>
  (builder, places, choice) =>
    float(builder.values === 'extreme' ? 'tanh' : name)(builder, places, choice);

const numericDtypes: readonly DType[] = ['f32', 'f32', 'i32', 'u32'];
const comparedDtypes: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
const chooseFrom = (dtypes: readonly DType[], { values }: SectionBuilder, choice: number): DType =>
  values === 'smooth' ? 'f32' : dtypes[choice % dtypes.length]!;

const binary =
  (name: string, guard?: (builder: SectionBuilder, right: number) => number, dtypes = numericDtypes): ExpressionRule =>
  (builder, [left, right], choice) => {
    const dtype = chooseFrom(dtypes, builder, choice);
    const a = pick(builder, dtype, left!, arithmetic(builder));
    const b = pick(builder, dtype, right!, arithmetic(builder));
    addApply(builder, name, [a, guard && dtype === 'f32' && isBounded(builder) ? guard(builder, b) : b]);
  };

/** Rules that have a jump or a kink; `smooth` takes a product in their place. */
const kinked =
  (rule: ExpressionRule): ExpressionRule =>
  (builder, places, choice) =>
    (builder.values === 'smooth' ? product : rule)(builder, places, choice);

const tanhOf = (builder: SectionBuilder, x: number): number => addApply(builder, 'tanh', [x]);
const product = binary('mul', tanhOf);

const larger = (name: string): ExpressionRule =>
  kinked((builder, [left, right], choice) => {
    const dtype = chooseFrom(numericDtypes, builder, choice);
    addApply(builder, name, [pick(builder, dtype, left!), pick(builder, dtype, right!)]);
  });

const comparison = (name: string): ExpressionRule =>
  kinked((builder, [left, right], choice) => {
    const dtype = chooseFrom(comparedDtypes, builder, choice);
    addApply(builder, name, [pick(builder, dtype, left!, 'exact'), pick(builder, dtype, right!, 'exact')]);
  });

const exactFloat = (name: string): ExpressionRule =>
  kinked((builder, [place]) => void addApply(builder, name, [pick(builder, 'f32', place!, 'exact')]));

const logical = (name: string): ExpressionRule =>
  kinked((builder, places) => {
    const inputs = places.slice(0, name === 'logicalNot' ? 1 : 2).map((place) => pick(builder, 'bool', place));
    addApply(builder, name, inputs);
  });

const select = kinked((builder, [place, left, right], choice) => {
  const dtype = chooseFrom(comparedDtypes, builder, choice);
  const condition = pick(builder, 'bool', place!);
  addApply(builder, 'select', [condition, pick(builder, dtype, left!), pick(builder, dtype, right!)]);
});

const shiftRight = kinked((builder, [place], choice) => {
  addApply(builder, 'shiftRight', [pick(builder, 'u32', place!)], { bits: choice % 32 });
});

const castPairs: readonly (readonly [DType, DType])[] = [
  ['f32', 'bool'],
  ['f32', 'f16'],
  ['f32', 'bf16'],
  ['i32', 'f32'],
  ['u32', 'f32'],
  ['bool', 'f32'],
  ['bool', 'i32'],
  ['i32', 'u32'],
  ['f32', 'i32'],
  ['f32', 'u32'],
];

const cast = kinked((builder, [place], choice) => {
  const [from, to] = castPairs[choice % castPairs.length]!;
  const isCount = from === 'f32' && (to === 'i32' || to === 'u32');
  // Out of range, engines differ; a negative number is out of the range of u32.
  if (isCount && builder.values === 'extreme') return;
  let x = pick(builder, from, place!, 'exact');
  if (to === 'u32' && from === 'f32' && isBounded(builder)) x = addApply(builder, 'abs', [x]);
  const result = addCast(builder, x, to);
  if (to === 'f16' || to === 'bf16') addCast(builder, result, 'f32');
  else if (to === 'f32' && from !== 'bool' && isBounded(builder)) tanhOf(builder, hide(builder, result));
});

/** Which word a NaN is differs, so f32 is only reinterpreted where it is an operand without any. */
const bitcast = kinked((builder, [place], choice) => {
  const operand = builder.nodes.findIndex(({ kind, dtype }) => kind === 'operand' && dtype === 'f32');
  if (isBounded(builder) && operand >= 0) addApply(builder, 'bitcast', [operand], { dtype: 'u32' });
  else if (!isBounded(builder)) addApply(builder, 'bitcast', [pick(builder, 'u32', place!)], { dtype: 'f32' });
  addApply(builder, 'bitcast', [pick(builder, 'u32', choice)], { dtype: 'i32' });
});

const widen: ExpressionRule = (builder, places, choice) => {
  const narrow = builder.nodes.findIndex(({ dtype }) => dtype === 'f16' || dtype === 'bf16');
  if (narrow < 0) product(builder, places, choice);
  else addCast(builder, narrow, 'f32');
};

export const expressionRules: readonly ExpressionRule[] = [
  product,
  binary('add'),
  binary('sub'),
  binary('div', squarePlusTwo, ['f32']),
  larger('maximum'),
  larger('minimum'),
  float('neg'),
  float('exp', tanhOf),
  float('log', squarePlusTwo),
  float('sqrt', squarePlusTwo),
  float('rsqrt', squarePlusTwo),
  boundedFloat('sin'),
  boundedFloat('cos'),
  float('tanh'),
  float('sigmoid'),
  float('erf'),
  exactFloat('abs'),
  exactFloat('floor'),
  comparison('equal'),
  comparison('less'),
  comparison('lessEqual'),
  logical('logicalAnd'),
  logical('logicalOr'),
  logical('logicalNot'),
  select,
  shiftRight,
  cast,
  cast,
  bitcast,
  widen,
  (builder, [place], choice) => void addConstant(builder, 'f32', place! + choice),
];
