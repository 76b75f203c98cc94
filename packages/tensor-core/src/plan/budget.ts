/**
 * A byte budget for the roots of a device.
 *
 * Roots whose handles nobody holds are released when the engine collects them, and it does not collect because bytes outside
 * its heap are scarce. With a budget, passing it makes a collection happen (Node: `collectGarbage` of the `node` entry); where
 * that is impossible or does not help, the application is told how much is held and which lines allocated most of it.
 */
import type { Device } from '../device.js';
import { formatBytes } from './explain.js';
import { allocationSites } from './roots.js';

export interface MemoryBudget {
  /** Bytes of roots beyond which a collection is triggered. */
  readonly bytes: number;
  /** Collects garbage and lets finalizers run. */
  readonly collect?: () => Promise<void>;
  /** Told when the budget is still exceeded afterwards; once for each doubling. */
  readonly warn?: (message: string) => void;
}

interface BudgetState extends MemoryBudget {
  /** Held bytes at which to look again: what survived a collection is not collected again at once. */
  next: number;
}

const budgets = new WeakMap<Device, BudgetState>();

/** Sets, replaces or (with undefined) removes the budget of a device. */
export function setMemoryBudget(device: Device, budget: MemoryBudget | undefined): void {
  if (budget) budgets.set(device, { ...budget, next: budget.bytes });
  else budgets.delete(device);
}

/** Called after every run. */
export async function keepWithinBudget(device: Device): Promise<void> {
  const budget = budgets.get(device);
  if (!budget || device.memory().rootBytes <= budget.next) return;
  await budget.collect?.();
  const held = device.memory().rootBytes;
  budget.next = Math.max(budget.bytes, held * (held > budget.bytes ? 2 : 1));
  if (held > budget.bytes) budget.warn?.(describeHeld(device, budget.bytes, held));
}

function describeHeld(device: Device, bytes: number, held: number): string {
  const sites = allocationSites(device)
    .slice(0, 5)
    .map(({ site, byteLength, count }) => `  ${formatBytes(byteLength)} in ${count} tensors from ${site}`);
  const cure = 'donate the inputs of loops (compile with `donate`), or drop handles you no longer need';
  return [
    `${device.name} holds ${formatBytes(held)} of tensors, the budget is ${formatBytes(bytes)}: ${cure}`,
    ...sites,
  ].join('\n');
}
