/** Causal attention, forward and backward, by an engine of this project or, forward only, by a peer. */
import { attention, mask, tensor, vectorJacobianProduct } from '@mindseye/tensor-core';
import { type EngineName, engineNames, openEngine } from '../engines.ts';
import { compiledWork, stepNames } from '../own-work.ts';
import { peerAttention } from '../peers/attention.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { checkElements, meanTime } from '../work.ts';
import { type Layout, attentionOperand, elementsOf, exactAttention, layouts, operandNames } from './attention-sizes.ts';
import type { PreparedOp } from './elementwise.ts';

export interface PreparedAttention extends PreparedOp {
  readonly layout: Layout;
  readonly isCausal: boolean;
}

interface AttentionOptions {
  readonly [key: string]: Json;
  readonly engine: string;
  /** Queries and keys. */
  readonly length: number;
  /** Milliseconds to repeat it for in one sample. */
  readonly milliseconds: number;
}

export const attentionMetrics = { forward: 'forward', both: 'forward and backward', backward: 'backward' } as const;

async function ownAttention(
  engine: EngineName,
  length: number,
  values: readonly Float32Array[],
): Promise<PreparedAttention> {
  const device = openEngine(engine);
  const layout = layouts.headsApart;
  const shape = layout.shape(length);
  const operands = values.map((value) => tensor(value, shape));
  const causal = { mask: mask.causal() };
  const forward = await compiledWork(device, operands, [shape], ([q, k, v]) => [attention(q!, k!, v!, causal)]);
  const cotangent = tensor(attentionOperand(2, length), shape);
  const both = await compiledWork(device, [...operands, cotangent], [shape, shape, shape, shape], (given) => {
    const [q, k, v, upstream] = given;
    const result = attention(q!, k!, v!, causal);
    return [result, ...vectorJacobianProduct([result], [q!, k!, v!], [upstream!])];
  });
  const facts = { both: stepNames(both.plan), arenaBytes: both.plan.arena.byteLength };
  return { forward, both, facts, layout, isCausal: true };
}

export const open: OpenSubject<AttentionOptions> = async ({ engine, length, milliseconds }) => {
  const own = engineNames.find((name) => name === engine);
  const values = operandNames.map((_, i) => attentionOperand(i, length));
  const prepared = await (own ? ownAttention(own, length, values) : peerAttention(engine, length, values));
  const { forward, both, facts, layout, isCausal } = prepared;
  await forward.run();
  const exact = (index: number): number => exactAttention(values, layout, length, isCausal, index);
  checkElements('attention', await forward.read(), exact, { size: elementsOf(length) });
  await both?.run();
  return {
    async sample() {
      const times: Record<string, number> = { [attentionMetrics.forward]: await meanTime(forward, milliseconds) };
      if (both) {
        times[attentionMetrics.both] = await meanTime(both, milliseconds);
        times[attentionMetrics.backward] = times[attentionMetrics.both]! - times[attentionMetrics.forward]!;
      }
      return times;
    },
    details: () => Promise.resolve(facts ?? {}),
  };
};
