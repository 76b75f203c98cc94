/**
 * Milliseconds from a function to a decoding step that is ready to run: tracing, planning and lowering for the device.
 *
 * Run as a program it prints the time of the first plan of a process, in which no code is compiled yet.
 */
import { type Device, type Plan, compile } from '@mindseye/tensor-core';
import { bestEngine, openEngine } from '../engines.ts';
import { decodeArguments, decodeStep } from './model-3b.ts';

export interface TimedPlan {
  readonly milliseconds: number;
  readonly plan: Plan;
}

/** A new compiled function each time, so that only plans of the same structure on the same device are found again. */
export function planDecoding(device: Device): TimedPlan {
  const args = decodeArguments();
  const start = performance.now();
  const plan = compile(decodeStep, { device, donate: [0] }).plan(...args);
  return { milliseconds: performance.now() - start, plan };
}

if (import.meta.main) process.stdout.write(String(planDecoding(openEngine(bestEngine)).milliseconds));
