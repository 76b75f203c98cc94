/**
 * `compile`: a function of tensors traced once per signature and replayed as a plan.
 *
 * The signature is the shapes and dtypes of all tensors in the arguments plus the value of everything else in them
 * (numbers, strings: static). Numbers that change from call to call — a learning rate, a position — are passed as scalar
 * tensors. The tensors that the function closes over when it is traced stay operands of the plan, read afresh on each
 * call; lazy arguments are evaluated first.
 */
import { type Device, type DeviceBuffer, type Executable, defaultDevice } from '../device.js';
import { TensorStateError } from '../errors.js';
import { Tensor, placeholder, tensor } from '../tensor.js';
import { flatten, treeSignature, unflatten } from '../tree.js';
import { evaluate, leavesOf } from './evaluate.js';
import { keepWithinBudget } from './budget.js';
import { preparePlan } from './cache.js';
import type { Plan, PlanPasses } from './plan.js';
import { bufferOn, markDonated, materialize } from './roots.js';

export interface CompileOptions {
  /** Device to run on; the default device when left out. */
  readonly device?: Device;
  /** Positions of arguments whose tensors are given up: outputs take over their buffers, reading them later throws. */
  readonly donate?: readonly number[];
  /**
   * Positions of arguments that are plain numbers and change from call to call (a learning rate, a step): the function gets
   * each as an f32 scalar tensor, and one plan serves all values.
   */
  readonly scalars?: readonly number[];
  /** Passes of the plan compiler to switch off, to find out whether one is at fault. */
  readonly passes?: PlanPasses;
  /** Name in error messages. */
  readonly name?: string;
}

export interface CompiledFunction<Arguments extends readonly unknown[], Result> {
  (...args: Arguments): Promise<Result>;
  /** The plan that a call with these arguments replays. Nothing runs. */
  plan(...args: Arguments): Plan;
}

interface Traced<Result> {
  readonly plan: Plan;
  readonly executable: Executable;
  readonly captured: readonly Tensor[];
  readonly result: Result;
}

export function compile<Arguments extends readonly unknown[], Result>(
  fn: (...args: Arguments) => Result,
  { device, donate = [], scalars = [], passes, name = fn.name || 'a compiled function' }: CompileOptions = {},
): CompiledFunction<Arguments, Result> {
  const caches = new WeakMap<Device, Map<string, Traced<Result>>>();
  const withScalars = (args: Arguments): Arguments =>
    args.map((argument, i) => {
      if (!scalars.includes(i)) return argument;
      if (typeof argument !== 'number')
        throw new TypeError(`${name}: argument ${i} is declared a scalar, it is a ${typeof argument}: pass a number`);
      return tensor(Float32Array.of(argument), []);
    }) as unknown as Arguments;

  const traceFor = (args: Arguments, on: Device): Traced<Result> => {
    const cache = caches.get(on) ?? new Map<string, Traced<Result>>();
    caches.set(on, cache);
    const key = treeSignature(args);
    const known = cache.get(key);
    if (known) return known;
    const leaves = flatten(args);
    const parameters = leaves.map(placeholder);
    const result = fn(...unflatten(args, parameters));
    if (result instanceof Promise)
      throw new TypeError(`${name} is async: a compiled function only builds a graph, await its call instead`);
    const outputs = flatten(result);
    const isParameter = new Set(parameters);
    const captured = leavesOf(outputs).filter((leaf) => !isParameter.has(leaf));
    const given = new Set(donate.flatMap((position) => flatten(args[position])));
    const donated = new Set(parameters.filter((_, i) => given.has(leaves[i]!)));
    const prepared = preparePlan(on, {
      outputs,
      inputs: [...parameters, ...captured],
      donated,
      ...(passes && { passes }),
    });
    const traced = { ...prepared, captured, result };
    cache.set(key, traced);
    return traced;
  };

  const call = async (...called: Arguments): Promise<Result> => {
    const args = withScalars(called);
    const on = device ?? defaultDevice();
    const { plan, executable, captured, result } = traceFor(args, on);
    const leaves = flatten(args);
    const operands = [...leaves, ...captured];
    const given = new Set(donate.flatMap((position) => flatten(args[position])));
    const seen = new Set<Tensor>();
    for (const tensor of operands) {
      if (given.has(tensor) && seen.has(tensor)) {
        throw new TensorStateError(
          `${name}: ${tensor.toString()} is donated and also passed a second time, or closed over`,
        );
      }
      seen.add(tensor);
    }
    await evaluate(operands, { device: on });
    const buffers = operands.map((tensor) => bufferOn(tensor, on));
    for (const tensor of given) markDonated(tensor, name);
    let results: readonly DeviceBuffer[];
    try {
      results = await executable.run(buffers);
    } catch (error) {
      // Nothing was taken over: the donors still hold their values, and a loop can go on from them. (After a failure of the
      // device itself they may be partly overwritten; its error says so.)
      operands.forEach((tensor, i) => {
        if (given.has(tensor)) materialize(tensor, on, buffers[i]!);
      });
      throw error;
    }
    const taken = new Set(plan.donations.map(({ input }) => input));
    leaves.forEach((tensor, i) => {
      if (given.has(tensor) && !taken.has(i)) on.release(buffers[i]!);
    });
    const outputs = flatten(result).map((output, i) => {
      const tensor = new Tensor(output.shape, output.dtype);
      materialize(tensor, on, results[i]!);
      return tensor;
    });
    await keepWithinBudget(on);
    return unflatten(result, outputs);
  };
  return Object.assign(call, {
    plan: (...args: Arguments) => traceFor(withScalars(args), device ?? defaultDevice()).plan,
  });
}
