/**
 * Plans by structure: a graph that was planned before on the same device is replayed, whoever built it.
 *
 * The key is the graph's text with operands by number, the specs of its inputs, who is donated and which passes ran. The
 * plans used last are kept; what falls out is planned anew when it comes again.
 */
import type { Device, Executable } from '../device.js';
import { graphKey } from '../graph/key.js';
import type { Tensor } from '../tensor.js';
import { type Plan, type PlanPasses, buildPlan } from './plan.js';

export interface PreparedPlan {
  readonly plan: Plan;
  readonly executable: Executable;
}

export interface PrepareRequest {
  readonly outputs: readonly Tensor[];
  readonly inputs: readonly Tensor[];
  readonly donated?: ReadonlySet<Tensor>;
  readonly passes?: PlanPasses;
}

/** Plans kept for each device. */
const capacity = 256;

const caches = new WeakMap<Device, Map<string, PreparedPlan>>();

export function preparePlan(
  device: Device,
  { outputs, inputs, donated, passes = device.passes ?? {} }: PrepareRequest,
): PreparedPlan {
  let cache = caches.get(device);
  if (!cache) caches.set(device, (cache = new Map()));
  const given = donated ? inputs.map((input) => (donated.has(input) ? 1 : 0)).join('') : '';
  const key = `${graphKey(outputs, inputs)}|${given}|${JSON.stringify(passes)}`;
  let prepared = cache.get(key);
  if (prepared) {
    cache.delete(key); // and to the end: the most recently used
  } else {
    const plan = buildPlan({ outputs, inputs, device, passes, ...(donated && { donated }) });
    prepared = { plan, executable: device.lower(plan) };
    const [oldest] = cache.keys();
    if (cache.size >= capacity && oldest !== undefined) cache.delete(oldest);
  }
  cache.set(key, prepared);
  return prepared;
}
