/** Elementwise ops and norms, forward and backward, by an engine of this project or, forward only, by a peer. */
import { engineNames } from '../engines.ts';
import { cacheEmptier } from '../limits/empty-caches.ts';
import { peerElementwise } from '../peers/elementwise.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { type Work, checkElements, timeAfter } from '../work.ts';
import {
  type ElementwiseOpName,
  type OperandValues,
  SIZE,
  elementwiseOpNames,
  elementwiseOps,
  operandValues,
  passes,
} from './elementwise-ops.ts';
import { ownElementwise } from './own-elementwise.ts';

export interface PreparedOp {
  readonly forward: Work;
  /** The gradients of all operands beside the result; absent where it is not compared. */
  readonly both?: Work;
  readonly facts?: Readonly<Record<string, Json>>;
}

/** Null for an op that the library does not have. */
export type PrepareOp = (op: ElementwiseOpName, values: OperandValues) => Promise<PreparedOp | null>;

interface ElementwiseOptions {
  readonly [key: string]: Json;
  readonly engine: string;
  /** Runs that one sample takes the median of. */
  readonly repetitions: number;
  /** Read before each run, so that the arrays come from memory. */
  readonly emptyingBytes: number;
}

export const open: OpenSubject<ElementwiseOptions> = async ({ engine, repetitions, emptyingBytes }) => {
  const own = engineNames.find((name) => name === engine);
  const prepare = own ? ownElementwise(own) : await peerElementwise(engine);
  const values = operandValues();
  const ready = new Map<ElementwiseOpName, PreparedOp>();
  for (const op of elementwiseOpNames) {
    const prepared = await prepare(op, values);
    if (!prepared) continue;
    await prepared.forward.run();
    const exact = (index: number): number => elementwiseOps[op].exact(values, index);
    // Fast approximations of gelu are off by this much in some libraries.
    checkElements(op, await prepared.forward.read(), exact, { size: SIZE, tolerance: 3e-3 });
    await prepared.both?.run();
    ready.set(op, prepared);
  }
  const empty = cacheEmptier(emptyingBytes);
  return {
    async sample() {
      const times: Record<string, number> = {};
      for (const [op, { forward, both }] of ready) {
        times[passes.forward(op)] = await timeAfter(empty, forward, repetitions);
        if (!both) continue;
        times[passes.both(op)] = await timeAfter(empty, both, repetitions);
        times[passes.backward(op)] = times[passes.both(op)]! - times[passes.forward(op)]!;
      }
      return times;
    },
    details: () => Promise.resolve(Object.fromEntries([...ready].map(([op, { facts }]) => [op, facts ?? null]))),
  };
};
