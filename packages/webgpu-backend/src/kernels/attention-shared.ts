/** What the shaders of attention have in common: sizes, places, the columns that an invocation owns, and the mask's operands. */
import type { AttentionAttributes, TensorSpec } from '@mindseye/tensor-core';
import { type Operand, input } from '../wgsl/dispatch.js';
import { reduceLanes } from '../wgsl/fold.js';
import type { Uniforms } from '../wgsl/uniforms.js';
import { acceptsMask, maskOperands } from './mask.js';

/** Invocations of a workgroup, and keys of a chunk. */
export const lanes: number = reduceLanes;

/** Columns are owned by invocations in rounds of 64; so many rounds are kept in registers. */
const mostRounds = 4;

export const f32 = (name: string, from: Operand['from']): Operand => ({ name, type: 'f32', from });

export interface Heads {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly width: number;
  readonly keyHeads: number;
  readonly keys: number;
}

export function headsOf([q, k]: readonly TensorSpec[]): Heads {
  const [batch, heads, queries, width] = q!.shape as readonly [number, number, number, number];
  return { batch, heads, queries, width, keyHeads: k!.shape[1]!, keys: k!.shape[2]! };
}

/** Whether the shaders take heads of this width under this mask, with so many buffers. */
export const fits = (q: TensorSpec, mask: AttentionAttributes['mask'], buffers: number, limit: number): boolean =>
  q.shape[3]! <= lanes * mostRounds && acceptsMask(mask) && buffers <= limit;

/** Declares the sizes that all three shaders share. */
export const sizes = (uniforms: Uniforms, { heads, queries, width, keyHeads, keys }: Heads, scale: number): string => `
  let heads = ${uniforms.u32(heads)};
  let keyHeads = ${uniforms.u32(keyHeads)};
  let groupSize = heads / keyHeads;
  let queries = ${uniforms.u32(queries)};
  let keys = ${uniforms.u32(keys)};
  let width = ${uniforms.u32(width)};
  let scale = ${uniforms.f32(scale)};`;

/** Where the workgroup's query row, its head and its keys lie. */
export const queryRow: string = `
  let query = block % queries;
  let head = (block / queries) % heads;
  let batch = block / (queries * heads);
  let keyStart = (batch * keyHeads + head / groupSize) * keys * width;
  let queryStart = block * width;`;

/** Statements for each column this invocation owns; they see `column` and its round as a constant. */
export const ownColumns = (rounds: number, statements: (round: number) => string): string =>
  Array.from(
    { length: rounds },
    (_, round) => `
    { let column = lane + ${round * lanes}u; if (column < width) { ${statements(round)} } }`,
  ).join('');

export const roundsOf = (width: number): number => Math.ceil(width / lanes);

export const registers = (name: string, rounds: number): string => `  var ${name}: array<f32, ${rounds}>;`;

export function masksOf(specs: readonly TensorSpec[]): Operand[] {
  return maskOperands(specs).map((operand, i) => ({ ...operand, from: input(3 + i) }));
}
