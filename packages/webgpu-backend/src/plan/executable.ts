/**
 * Runs a lowered plan: one command buffer with one compute pass, then the copies of outputs into their roots.
 *
 *   [clear status] → pass { dispatch … } → copies out → [copy status] → submit
 *
 * Bind groups are made once and kept until a buffer behind them changes: always for intermediates, and for weights and
 * donated state too, since a donated pair keeps the donor's buffer. Encoding and submission happen before `run` first
 * awaits, so runs reach the queue in the order they were called.
 */
import type { DeviceBuffer, Executable, Plan } from '@mindseye/tensor-core';
import type { Buffers } from '../buffers.js';
import { GpuBuffer, takeBytes } from '../buffers.js';
import { gpuBytesOf } from '../element.js';
import { WebGpuError } from '../errors.js';
import { faultOf, statusBytes } from '../status.js';
import type { Arena } from './arena.js';
import type { BoundRange, Command, LoweredPlan } from './lower.js';
import type { Location } from './slabs.js';

export interface ExecutionContext {
  readonly gpu: GPUDevice;
  readonly buffers: Buffers;
  readonly arena: Arena;
  readonly status: GPUBuffer;
  /** Read the status words and error scopes after each run. */
  readonly checked: boolean;
  /** Throws when the device is lost or has reported an error. */
  throwIfFailed(): void;
  /** Runs commands inside error scopes; the promise rejects when WebGPU refused any of them. */
  guarded<T>(what: string, work: () => T): { readonly value: T; readonly verdict: Promise<void> };
}

interface CachedGroup {
  readonly key: string;
  readonly group: GPUBindGroup;
}

/** Runs under way before `run` waits for the oldest: enough to keep the GPU busy, few enough to bound memory. */
const runsInFlight = 2;

export class PlanExecutable implements Executable {
  readonly #context: ExecutionContext;
  readonly #plan: Plan;
  readonly #lowered: LoweredPlan;
  readonly #groups: (CachedGroup | undefined)[];
  #flight: Promise<unknown>[] = [];

  constructor(context: ExecutionContext, plan: Plan, lowered: LoweredPlan) {
    this.#context = context;
    this.#plan = plan;
    this.#lowered = lowered;
    this.#groups = lowered.commands.map(() => undefined);
  }

  async run(given: readonly DeviceBuffer[]): Promise<readonly DeviceBuffer[]> {
    const { checked, gpu } = this.#context;
    this.#context.throwIfFailed();
    const inputs = given.map((buffer) => this.#own(buffer));
    const { value: submitted, verdict } = this.#context.guarded('running a plan', () => this.#submit(inputs));
    if (checked) {
      await Promise.all([verdict, submitted.fault]).catch((error: unknown) => {
        for (const output of submitted.outputs) if (!inputs.includes(output)) this.#context.buffers.release(output);
        throw error;
      });
    } else {
      this.#flight.push(gpu.queue.onSubmittedWorkDone());
      if (this.#flight.length > runsInFlight) await this.#flight.shift();
    }
    this.#context.throwIfFailed();
    return submitted.outputs;
  }

  #own(buffer: DeviceBuffer): GpuBuffer {
    if (buffer instanceof GpuBuffer) return buffer;
    throw new WebGpuError(
      'validation',
      'a plan on this device was given a buffer of another device: upload it here first',
    );
  }

  #submit(inputs: readonly GpuBuffer[]): { outputs: readonly GpuBuffer[]; fault: Promise<void> } {
    const { gpu, buffers, arena, status, checked } = this.#context;
    const { commands, layout, checksIndices } = this.#lowered;
    const slabs = arena.reserve(layout.slabBytes);
    const encoder = gpu.createCommandEncoder();
    if (checksIndices) encoder.clearBuffer(status);
    const pass = encoder.beginComputePass();
    commands.forEach((command, i) => {
      pass.setPipeline(command.pipeline.pipeline);
      pass.setBindGroup(0, this.#groupOf(i, command, inputs, slabs));
      pass.dispatchWorkgroups(...command.grid);
    });
    pass.end();
    const outputs = this.#copyOut(encoder, inputs, slabs);
    const readback = checksIndices && checked ? buffers.readback(statusBytes) : undefined;
    if (readback) encoder.copyBufferToBuffer(status, 0, readback, 0, statusBytes);
    buffers.submit([encoder.finish()]);
    for (const { input, output } of this.#plan.donations) {
      if (outputs[output] !== inputs[input]) buffers.release(inputs[input]!);
    }
    return { outputs, fault: readback ? throwFault(readback) : Promise.resolve() };
  }

  #groupOf(i: number, command: Command, inputs: readonly GpuBuffer[], slabs: readonly GPUBuffer[]): GPUBindGroup {
    const { arena, gpu, status } = this.#context;
    const key = command.ranges.map(({ location }) => keyOf(location, inputs, arena)).join();
    const known = this.#groups[i];
    if (known?.key === key) return known.group;
    const resourceOf = ({ location, size }: BoundRange): GPUBufferBinding => {
      if (location === 'status') return { buffer: status, size };
      return location.kind === 'input'
        ? { buffer: inputs[location.position]!.gpu, size }
        : { buffer: slabs[location.slab]!, offset: location.offset, size };
    };
    const { uniforms, ranges, pipeline } = command;
    const group = gpu.createBindGroup({
      layout: pipeline.layout,
      entries: [uniforms, ...ranges.map(resourceOf)].map((resource, binding) => ({ binding, resource })),
    });
    this.#groups[i] = { key, group };
    return group;
  }

  /**
   * Each output in a root: the donor's buffer of a donated pair, else a new one. An output that is an input of the plan, or
   * an output listed before, gets a copy of its own, taken before any donor is overwritten.
   */
  #copyOut(encoder: GPUCommandEncoder, inputs: readonly GpuBuffer[], slabs: readonly GPUBuffer[]): GpuBuffer[] {
    const { buffers } = this.#context;
    const { values, outputs, donations } = this.#plan;
    const { locations } = this.#lowered.layout;
    const donors = new Map(donations.map(({ input, output }) => [output, inputs[input]!]));
    const roots = outputs.map((value, i) => (locations[value]!.kind === 'input' ? undefined : donors.get(i)));
    const copy = (value: number, into: GpuBuffer): void => {
      const location = locations[value]!;
      const size = gpuBytesOf(values[value]!);
      if (size === 0) return;
      if (location.kind === 'input') encoder.copyBufferToBuffer(inputs[location.position]!.gpu, 0, into.gpu, 0, size);
      else encoder.copyBufferToBuffer(slabs[location.slab]!, location.offset, into.gpu, 0, size);
    };
    const results = outputs.map((value, i) => {
      if (roots[i]) return roots[i];
      const fresh = buffers.allocate(values[value]!);
      copy(value, fresh);
      return fresh;
    });
    outputs.forEach((value, i) => {
      if (roots[i]) copy(value, roots[i]);
    });
    return results;
  }
}

/** Names the buffer behind a location, so that a cached bind group is reused only while it is the same. */
function keyOf(location: Location | 'status', inputs: readonly GpuBuffer[], { generation }: Arena): string {
  if (location === 'status') return 's';
  return location.kind === 'input' ? `i${inputs[location.position]!.serial}` : `g${generation}`;
}

async function throwFault(readback: GPUBuffer): Promise<void> {
  const fault = faultOf(await takeBytes(readback));
  if (fault) throw fault;
}
