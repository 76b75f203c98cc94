/**
 * One dispatch: a compute shader, what it binds, its uniform block, and how many workgroups run.
 *
 * Bindings, all in group 0: 0 the uniform block `u`, then the operands in order, then `status` for kernels that check
 * indices (see `status.ts`). Inputs are read-only, outputs read-write.
 *
 * An input that an output lies on is no operand: the body reads it out of the output (see `Kernel.inPlace`).
 *
 * Workgroups are numbered in one dimension, `block`. The executable folds them into a two-dimensional grid, because a
 * dimension holds at most 65,535; so there may be more blocks than asked for, and every body ends the surplus ones.
 */
import type { WgslScalar } from '../element.js';
import { statusType } from '../status.js';
import { type Declaration, declare } from './functions.js';
import type { Uniforms } from './uniforms.js';

/** What a binding of a dispatch is: an operand of the op, or the device's status words. */
export type BindingSource = { readonly kind: 'input' | 'output'; readonly index: number } | { readonly kind: 'status' };

export const input = (index = 0): BindingSource => ({ kind: 'input', index });
export const output = (index = 0): BindingSource => ({ kind: 'output', index });

export interface Operand {
  /** Its name in the shader, an array of `type`. */
  readonly name: string;
  readonly type: WgslScalar;
  readonly from: BindingSource;
}

export interface Dispatch {
  /** Name of the kernel, for error messages and captures. */
  readonly name: string;
  readonly source: string;
  readonly bindings: readonly BindingSource[];
  /** Words of the uniform block. */
  readonly uniforms: readonly number[];
  readonly workgroups: number;
}

export interface DispatchDefinition {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly uniforms: Uniforms;
  /** Module-scope declarations: functions, workgroup memory. */
  readonly declarations?: readonly Declaration[];
  /** True to bind the status words. */
  readonly status?: boolean;
  /** Invocations per workgroup. */
  readonly invocations: number;
  readonly workgroups: number;
  /** May use `block` (which workgroup) and `lane` (which invocation in it). */
  readonly body: string;
}

export function dispatch(definition: DispatchDefinition): Dispatch {
  const { name, operands, uniforms, declarations = [], status = false, invocations, workgroups, body } = definition;
  const bound = operands.map(({ name: operand, type, from }, i) => {
    const access = from.kind === 'input' ? 'read' : 'read_write';
    return `@group(0) @binding(${i + 1}) var<storage, ${access}> ${operand}: array<${type}>;`;
  });
  if (status) bound.push(`@group(0) @binding(${operands.length + 1}) var<storage, read_write> status: ${statusType};`);
  const source = `@group(0) @binding(0) var<uniform> u: array<vec4u, ${uniforms.vectors}>;
${bound.join('\n')}
${declare(declarations)}

@compute @workgroup_size(${invocations})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let block = group.y * groups.x + group.x;
${body}
}
`;
  const bindings = operands.map(({ from }) => from);
  return {
    name,
    source,
    bindings: status ? [...bindings, { kind: 'status' }] : bindings,
    uniforms: uniforms.words,
    workgroups,
  };
}

/** Invocations of a workgroup that has no use for neighbours. */
export const loneInvocations = 64;

export type ElementDefinition = Omit<DispatchDefinition, 'invocations' | 'workgroups'> & { readonly count: number };

/** A dispatch with one invocation per element, or per word; the body sees its number as `i`. */
export function elementDispatch(definition: ElementDefinition): Dispatch {
  const { count, uniforms, body } = definition;
  return dispatch({
    ...definition,
    invocations: loneInvocations,
    workgroups: Math.ceil(count / loneInvocations),
    body: `  let i = block * ${loneInvocations}u + lane;
  if (i >= ${uniforms.u32(count)}) { return; }
${body}`,
  });
}

/** The grid of at least `workgroups` blocks with no dimension above `limit`, with little waste. */
export function foldGrid(workgroups: number, limit: number): readonly [x: number, y: number] {
  const y = Math.max(1, Math.ceil(workgroups / limit));
  return [Math.ceil(workgroups / y), y];
}
