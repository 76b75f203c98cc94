/**
 * Random graphs: a list of steps over a growing pool of values.
 *
 * A recipe is data (numbers only), so it shrinks well: steps drop out, operands move to the first input, rules to the
 * first rule. `buildGraph` interprets it, and makes every step fit: operands are taken modulo the size of the pool, shapes
 * that do not broadcast are averaged first, results that would grow too large are averaged after. All rules keep numbers
 * bounded and away from poles, so that two ways to compute one graph can be compared closely.
 */
import fc from 'fast-check';
import { checkpoint } from '../autograd/grad.js';
import { vectorJacobianProduct } from '../autograd/gradients.js';
import { type HostTensor, full } from '../op.js';
import { add } from '../ops/add.js';
import { mean } from '../ops/sum.js';
import { tanh } from '../ops/tanh.js';
import type { Tensor } from '../tensor.js';
import { arbitraryTensor } from './arbitrary-values.js';
import { type GraphRule, graphRules, smoothRules } from './graph-rules.js';

interface RuleStep {
  readonly rule: number;
  /** Places in the pool, counted back from its newest value. */
  readonly operands: readonly [number, number, number];
  /** A number for the rule's own choices. */
  readonly choice: number;
}

/** Several steps whose last value comes out; one `checkpoint` where that is asked for. */
interface BlockStep {
  readonly block: readonly RuleStep[];
  readonly operands: readonly [number, number, number];
}

export interface GraphRecipe {
  readonly inputs: readonly HostTensor[];
  readonly steps: readonly (RuleStep | BlockStep)[];
}

export interface GraphOptions {
  readonly maxSteps?: number;
  readonly maxInputs?: number;
}

const largestSize = 96;

/** A recipe with f32 inputs of rank 0 to 3. */
export function arbitraryGraph({ maxSteps = 12, maxInputs = 3 }: GraphOptions = {}): fc.Arbitrary<GraphRecipe> {
  const place = fc.nat(15);
  const operands = fc.tuple(place, place, place);
  const ruleStep = fc.record({ rule: fc.nat(graphRules.length - 1), operands, choice: fc.nat(7) });
  const blockStep = fc.record({ block: fc.array(ruleStep, { minLength: 1, maxLength: 4 }), operands });
  const input = arbitraryTensor('f32', 'ordinary', { minLength: 1, maxLength: 4, maxRank: 3, maxSize: 32 });
  return fc
    .record({
      inputs: fc.array(input, { minLength: 1, maxLength: maxInputs }),
      steps: fc.array(fc.oneof({ weight: 6, arbitrary: ruleStep }, { weight: 1, arbitrary: blockStep }), {
        minLength: 1,
        maxLength: maxSteps,
      }),
    })
    .map((recipe) => Object.defineProperty(recipe, fc.toStringMethod, { value: () => describe(recipe) }));
}

function describe({ inputs, steps }: GraphRecipe): string {
  const step = (entry: RuleStep | BlockStep): string =>
    'block' in entry
      ? `checkpoint(${entry.block.map(step).join('; ')})`
      : `${graphRules[entry.rule]!.name}(${entry.operands.join()})#${entry.choice}`;
  return `inputs ${inputs.map(({ shape }) => `[${shape.join()}]`).join(' ')}: ${steps.map(step).join('; ')}`;
}

export interface BuildOptions {
  /** Without kinks and stops, so that finite differences can be taken. */
  readonly smooth?: boolean;
  /** Build blocks with `checkpoint`; as plain calls otherwise. */
  readonly checkpoints?: boolean;
}

/** The values of all steps over `inputs`, which have the shapes of `recipe.inputs`; the newest last. */
export function buildGraph(
  { steps }: GraphRecipe,
  inputs: readonly Tensor[],
  { checkpoints = true, smooth = false }: BuildOptions = {},
): Tensor[] {
  const rules: readonly GraphRule[] = smooth ? smoothRules : graphRules;
  const interpret = (list: readonly (RuleStep | BlockStep)[], start: readonly Tensor[]): Tensor[] => {
    const pool = [...start];
    for (const step of list) {
      const [a, b, c] = step.operands.map((back) => pool[pool.length - 1 - (back % pool.length)]!) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const outer = [...pool];
      const block = (...given: Tensor[]): Tensor => interpret((step as BlockStep).block, [...outer, ...given]).at(-1)!;
      const wrapped = checkpoints ? checkpoint(block) : block;
      const value = 'block' in step ? wrapped(a, b, c) : rules[step.rule]!.build([a, b, c], step.choice);
      pool.push(value.size > largestSize ? mean(value) : value);
    }
    return pool;
  };
  return interpret(steps, inputs).slice(inputs.length);
}

/** A scalar that depends on every value: Σ mean(tanh v). */
export const graphLoss = (values: readonly Tensor[]): Tensor => values.map((value) => mean(tanh(value))).reduce(add);

/** Every value of the graph, its loss, and the gradient of the loss in every input. */
export function graphWithGradients(
  recipe: GraphRecipe,
  inputs: readonly Tensor[],
  options: BuildOptions = {},
): Tensor[] {
  const values = buildGraph(recipe, inputs, options);
  const loss = graphLoss(values);
  return [...values, loss, ...vectorJacobianProduct([loss], inputs, [full([], 1)])];
}
