/** What the table says about one op, from the op itself, its test cases and the kernel lists of the backends. */
import type { Op } from '../../packages/tensor-core/dist/index.js';
import { type Application, describeDTypes, dtypesOf } from './dtypes.ts';

/** A device as far as the table is concerned. */
export interface Backend {
  readonly name: string;
  readonly kernelNames: ReadonlySet<string>;
  /** Whether the device runs an op without a kernel by the op's own loops. */
  readonly runsLoops: (op: Op, application: Application) => boolean;
}

export interface OpFacts {
  readonly op: Op;
  readonly summary: string;
  readonly applications: readonly Application[];
  /** True when the table has the op whose gradient this one is. */
  readonly backwardOf: string | undefined;
}

export interface OpRow {
  readonly fused: boolean;
  readonly cells: readonly string[];
}

/** Name of the op of fused expressions: a backend with this kernel runs every op that has a `scalar`. */
const expressionOp = 'fusedExpression';

export const columns = (backends: readonly Backend[]): readonly string[] => [
  'op',
  'meaning',
  'dtypes',
  'gradient',
  'fusible',
  'in place',
  'view',
  ...backends.map(({ name }) => name),
];

function gradientOf({ vjp, stopsGradient, decompose }: Op, hasOperands: boolean): string {
  if (!hasOperands) return '';
  if (stopsGradient) return 'stops';
  if (vjp) return 'yes';
  return decompose ? 'by decomposition' : 'none';
}

function kernelIn({ kernelNames, runsLoops }: Backend, op: Op, application: Application): string {
  if (kernelNames.has(op.name)) return 'kernel';
  if (op.scalar && kernelNames.has(expressionOp)) return 'fused expression';
  if (runsLoops(op, application)) return 'reference loops';
  return op.decompose ? 'decomposed' : 'none';
}

function dtypeText({ op, applications, backwardOf }: OpFacts): string {
  // The derived backward ops refuse nothing: they are only ever built from an application of their forward op.
  if (backwardOf !== undefined) return `as \`${backwardOf}\``;
  // The attributes of an expression name the dtypes of its operands, so there is nothing to try.
  if (op.name === expressionOp) return 'any → any';
  return describeDTypes(dtypesOf(op, applications));
}

const yes = (holds: boolean): string => (holds ? 'yes' : '');

export function rowOf(facts: OpFacts, backends: readonly Backend[]): OpRow {
  const { op, summary, applications } = facts;
  const [first] = applications;
  if (!first) throw new Error(`${op.name}: no application to look at`);
  const hasOperands = applications.some(({ inputs }) => inputs.length > 0);
  return {
    fused: op.decompose !== undefined,
    cells: [
      `\`${op.name}\``,
      summary,
      dtypeText(facts),
      gradientOf(op, hasOperands),
      yes(op.scalar !== undefined),
      yes(op.overwrites !== undefined),
      yes(op.view !== undefined),
      ...backends.map((backend) => kernelIn(backend, op, first)),
    ],
  };
}
