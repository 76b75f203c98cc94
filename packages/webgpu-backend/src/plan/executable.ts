/**
 * Runs a lowered plan: one command buffer with one compute pass, then the copies of outputs that do not lie in their roots.
 *
 *   [clear status] → pass { dispatch … } → copies → [copy status] → submit
 *
 * Encoding and submission happen before `run` first awaits, so runs reach the queue in the order they were called. Nothing is
 * left behind in the slabs, so runs under way at once may share them.
 */
import { type DeviceBuffer, type Executable, type Place, type Plan, checkGuard, sizeOf } from '@mindseye/tensor-core';
import type { Buffers } from '../buffers.js';
import { GpuBuffer, takeBytes } from '../buffers.js';
import { gpuBytesOf } from '../element.js';
import { WebGpuError } from '../errors.js';
import { faultOf, statusBytes } from '../status.js';
import type { Arena } from './arena.js';
import { BindGroups, type RunBuffers, gpuBufferOf } from './bind.js';
import { type LoweredPlan, isUnchecked } from './lower.js';
import type { Poison } from './poison.js';

export interface ExecutionContext {
  readonly gpu: GPUDevice;
  readonly buffers: Buffers;
  readonly arena: Arena;
  readonly status: GPUBuffer;
  /** Read the status words and error scopes after each run. */
  readonly checked: boolean;
  /** Fills memory before each run, in tests. */
  readonly poison?: Poison;
  /** Throws when the device is lost or has reported an error. */
  throwIfFailed(): void;
  /** Runs commands inside error scopes; the promise rejects when WebGPU refused any of them. */
  guarded<T>(what: string, work: () => T): { readonly value: T; readonly verdict: Promise<void> };
}

/** Runs under way before `run` waits for the oldest: enough to keep the GPU busy, few enough to bound memory. */
const runsInFlight = 2;

interface SubmittedRun {
  readonly outputs: readonly GpuBuffer[];
  /** Roots that did not exist before. */
  readonly fresh: readonly GpuBuffer[];
  readonly fault: Promise<void>;
}

export class PlanExecutable implements Executable {
  readonly workingBytes: number;
  readonly #context: ExecutionContext;
  readonly #plan: Plan;
  readonly #lowered: LoweredPlan;
  readonly #groups: BindGroups;
  #flight: Promise<unknown>[] = [];

  constructor(context: ExecutionContext, plan: Plan, lowered: LoweredPlan) {
    this.#context = context;
    this.#plan = plan;
    this.#lowered = lowered;
    this.#groups = new BindGroups(context.gpu, lowered.commands);
    this.workingBytes = lowered.slabBytes.reduce((sum, bytes) => sum + bytes, lowered.standInBytes);
  }

  async run(given: readonly DeviceBuffer[]): Promise<readonly DeviceBuffer[]> {
    const { checked, gpu } = this.#context;
    this.#context.throwIfFailed();
    const inputs = given.map((buffer) => this.#own(buffer));
    const { value: submitted, verdict } = this.#context.guarded('running a plan', () => this.#submit(inputs));
    const { outputs, fresh, fault } = submitted;
    try {
      if (checked) await Promise.all([verdict, fault]);
      else {
        this.#flight.push(gpu.queue.onSubmittedWorkDone());
        if (this.#flight.length > runsInFlight) await this.#flight.shift();
      }
      this.#context.throwIfFailed();
    } catch (error) {
      for (const root of fresh) this.#context.buffers.release(root);
      throw error;
    }
    for (const { input, output } of this.#plan.donations) {
      if (outputs[output] !== inputs[input]) this.#context.buffers.release(inputs[input]!);
    }
    return outputs;
  }

  #own(buffer: DeviceBuffer): GpuBuffer {
    if (buffer instanceof GpuBuffer) return buffer;
    throw new WebGpuError(
      'validation',
      'a plan on this device was given a buffer of another device: upload it here first',
    );
  }

  #submit(inputs: readonly GpuBuffer[]): SubmittedRun {
    const { gpu, buffers, arena, status, checked, poison } = this.#context;
    const { commands, slabBytes, roots, checksIndices } = this.#lowered;
    const slabs = arena.reserve(slabBytes);
    const fresh: GpuBuffer[] = [];
    const outputs = this.#plan.outputs.map((value, i) => {
      const { donor } = roots[i]!;
      if (donor !== undefined) return inputs[donor]!;
      const root = buffers.allocate(this.#plan.values[value]!);
      fresh.push(root);
      return root;
    });
    const run: RunBuffers = { inputs, outputs, slabs, generation: arena.generation, status };
    const encoder = gpu.createCommandEncoder();
    poison?.fill(encoder, [...slabs, ...fresh.flatMap(({ parts }) => parts)]);
    if (checksIndices) encoder.clearBuffer(status);
    const pass = encoder.beginComputePass();
    commands.forEach((command, i) => {
      pass.setPipeline(command.pipeline.pipeline);
      pass.setBindGroup(0, this.#groups.groupOf(i, run));
      pass.dispatchWorkgroups(...command.grid);
    });
    pass.end();
    this.#copyOut(encoder, run);
    const readback = checksIndices && checked ? buffers.readback(statusBytes) : undefined;
    if (readback) encoder.copyBufferToBuffer(status, 0, readback, 0, statusBytes);
    buffers.submit([encoder.finish()]);
    const checks = checked ? [...(readback ? [throwFault(readback)] : []), ...this.#checkGuards(inputs)] : [];
    return { outputs, fresh, fault: Promise.all(checks).then(() => undefined) };
  }

  /** Reads the operands of guards that no kernel checks. Inputs still hold their values: such a plan overwrites no donor. */
  #checkGuards(inputs: readonly GpuBuffer[]): Promise<void>[] {
    const plan = this.#plan;
    return plan.guards.filter(isUnchecked).map(async (guard) => {
      const looked = guard.op.guard!.operands.map((operand) => guard.inputs[operand]!);
      const read = looked.map(async (value) => {
        const place = plan.places[value] as Extract<Place, { kind: 'input' }>;
        const whole = plan.values[plan.inputs[place.position]!]!;
        const data = await this.#context.buffers.read(inputs[place.position]!, whole);
        const start = place.byteOffset / data.BYTES_PER_ELEMENT;
        return data.subarray(start, start + sizeOf(plan.values[value]!.shape));
      });
      const contents = new Map((await Promise.all(read)).map((data, i) => [looked[i]!, data]));
      checkGuard(plan, guard, (value) => contents.get(value)!);
    });
  }

  /** Copies outputs that lie elsewhere to their roots: first those in new roots, so that no donor is overwritten too early. */
  #copyOut(encoder: GPUCommandEncoder, run: RunBuffers): void {
    const { values, outputs } = this.#plan;
    const { locations, roots } = this.#lowered;
    const copies = outputs.flatMap((value, position) => (roots[position]!.isCopied ? [{ value, position }] : []));
    const toDonors = copies.filter(({ position }) => roots[position]!.donor !== undefined);
    const toNew = copies.filter(({ position }) => roots[position]!.donor === undefined);
    for (const { value, position } of [...toNew, ...toDonors]) {
      const into = run.outputs[position]!;
      const location = locations[value]!;
      if (into.parts.length > 1) {
        // Only inputs that come out unchanged are larger than one binding.
        const from = run.inputs[(location as { position: number }).position]!;
        into.parts.forEach((part, i) => encoder.copyBufferToBuffer(from.parts[i]!, 0, part, 0, part.size));
        continue;
      }
      const size = gpuBytesOf(values[value]!);
      if (size > 0) encoder.copyBufferToBuffer(gpuBufferOf(location, run), location.offset, into.parts[0]!, 0, size);
    }
  }
}

async function throwFault(readback: GPUBuffer): Promise<void> {
  const fault = faultOf(await takeBytes(readback));
  if (fault) throw fault;
}
