/**
 * One step of a plan, ready to run: a handwritten kernel where a row of `kernelTable` takes it, a generated one where the
 * step is a fused expression or an expression of one node, and else the op's own reference loops on views of the memory.
 */
import {
  type FusedExpression,
  type HostTensor,
  type Op,
  type Plan,
  type PlanStep,
  type TensorSpec,
  fusedExpressionOp,
  hostView,
} from '@mindseye/tensor-core';
import { canEmit } from '../expressions/emit-expression.js';
import type { ExpressionApplication, Expressions } from '../expressions/expressions.js';
import { expressionOf } from '../expressions/single-op.js';
import type { Kernels } from '../kernels/index.js';
import type { DeviceMemory } from './device-memory.js';
import type { KeptForm } from './kept-forms.js';
import type { KernelCall, KernelOperand, KernelRow } from './kernel-row.js';
import { type Application, kernelFor, loopOps } from './kernel-table.js';

/** What a run gives its steps. */
export interface StepContext {
  /** Byte offset of every value of the plan. */
  readonly pointers: readonly number[];
  /** Byte offset of the scratch of the plan. */
  readonly scratch: number;
  readonly memo: Map<string, Uint8Array>;
  /** The kept form that the step at hand has been given. */
  kept: KeptForm | undefined;
}

export interface Step {
  /** Bytes of scratch that the step needs at most. */
  readonly scratchBytes: number;
  /** Values that may lie in a bank. */
  readonly readsBanks?: ReadonlySet<number>;
  /** The form of an input that the step would have kept. */
  readonly keeps?: { readonly value: number; readonly key: string; readonly byteLength: number } | undefined;
  run(context: StepContext): void;
}

/** The expression that an application is computed as; undefined for what no code is generated for. */
function generatedFor(application: Application): FusedExpression | undefined {
  const { op, attributes } = application;
  const expression = op.name === fusedExpressionOp.name ? (attributes as FusedExpression) : expressionOf(application);
  return expression && canEmit(expression) ? expression : undefined;
}

/** False for fused ops that are better planned as the ops they are made of, most of which have a kernel. */
export function isStep(op: Op, inputs: readonly TensorSpec[], attributes: object): boolean {
  if (op.name === fusedExpressionOp.name) return canEmit(attributes as FusedExpression);
  if (op.decompose === undefined) return op.reference !== undefined;
  return loopOps.has(op.name) || hasKernel({ op, inputs, outputs: op.infer(inputs, attributes), attributes });
}

const hasKernel = (application: Application): boolean =>
  kernelFor(application) !== undefined || generatedFor(application) !== undefined;

export interface StepMachine {
  readonly kernels: Kernels;
  readonly expressions: Expressions;
  readonly memory: Pick<DeviceMemory, 'transfer'>;
}

/** All steps of a plan. The expressions among them are made in one module. */
export function prepareSteps(plan: Plan, { kernels, expressions, memory }: StepMachine): Step[] {
  const chosen = plan.steps.map((step) => ({ step, ...implementationOf(step, plan.values) }));
  expressions.prepare(chosen.flatMap(({ generated }) => generated ?? []));
  return chosen.map(({ step, row, generated }) => {
    if (row) return rowStep(row, step, plan.values, kernels, memory);
    if (!generated) return { scratchBytes: 0, run: ({ pointers }) => runLoops(step, plan.values, kernels, pointers) };
    const used = [...step.outputs, ...step.inputs];
    const kernel = expressions.bind(generated.expression, generated.operands);
    return { scratchBytes: 0, run: ({ pointers }) => kernel(pointers, used) };
  });
}

/** What runs a step: a row, a generated expression, or with neither the op's own loops. */
interface Implementation {
  readonly row?: KernelRow;
  readonly generated?: ExpressionApplication;
}

function implementationOf(
  { op, inputs, outputs, attributes }: PlanStep,
  values: readonly TensorSpec[],
): Implementation {
  const specs = (list: readonly number[]): TensorSpec[] => list.map((value) => values[value]!);
  const application = { op, inputs: specs(inputs), outputs: specs(outputs), attributes };
  const row = kernelFor(application);
  if (row) return { row };
  const expression = generatedFor(application);
  return expression ? { generated: { expression, operands: application.inputs } } : {};
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** An operand whose pointer is set before each run. */
type PlacedOperand = Mutable<KernelOperand>;
type PlacedCall = Mutable<KernelCall<object>>;

function rowStep(
  row: KernelRow,
  { op, inputs, outputs, attributes }: PlanStep,
  values: readonly TensorSpec[],
  kernels: Kernels,
  memory: StepMachine['memory'],
): Step {
  const placed = (list: readonly number[]): PlacedOperand[] =>
    list.map((value) => ({ ...values[value]!, value, pointer: 0 }));
  const operands = { inputs: placed(inputs), outputs: placed(outputs) };
  const all = [...operands.inputs, ...operands.outputs];
  const scratchBytes = row.scratchBytes?.({ kernels, ...operands, attributes }) ?? 0;
  // One call serves all runs: they do not overlap.
  let reserved = 0;
  const call: PlacedCall = {
    kernels,
    ...operands,
    attributes,
    memo: new Map(),
    kept: undefined,
    fetch: (into, from, byteLength) => memory.transfer(into, from, byteLength),
    scratch(byteLength) {
      if (byteLength > scratchBytes)
        throw new Error(
          `the kernel of ${op.name} asks for ${byteLength} bytes of scratch, its row said ${scratchBytes}`,
        );
      return reserved;
    },
  };
  const keeps = row.keeps?.({ kernels, ...operands, attributes });
  return {
    scratchBytes,
    readsBanks: new Set(row.readsBanks?.(attributes).map((position) => inputs[position]!)),
    keeps: keeps && { ...keeps, value: inputs[keeps.input]! },
    run({ pointers, scratch, memo, kept }) {
      for (const operand of all) operand.pointer = pointers[operand.value]!;
      reserved = scratch;
      call.memo = memo;
      call.kept = kept;
      row.run(call);
    },
  };
}

/** The op's own loops. Outputs are zeroed for them, but not where an operand still lies there (`op.overwrites`). */
function runLoops(
  { op, inputs, outputs, attributes }: PlanStep,
  values: readonly TensorSpec[],
  { memory }: Kernels,
  pointers: readonly number[],
): void {
  const views = (list: readonly number[]): HostTensor[] =>
    list.map((value) => {
      const spec = values[value]!;
      return { ...spec, data: hostView(memory.buffer, pointers[value]!, spec) };
    });
  const occupied = new Set(inputs.map((value) => pointers[value]!));
  const results = views(outputs);
  for (const { data } of results) if (!occupied.has(data.byteOffset)) data.fill(0);
  op.reference!({ inputs: views(inputs), outputs: results, attributes });
}
