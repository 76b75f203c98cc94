/**
 * The CPU device on WebAssembly: every value lives in one memory, kernels take byte offsets into it.
 *
 * Roots have heap ranges of their own; intermediates share one arena at the offsets of the plan, as large as the largest
 * plan lowered so far. A step runs a kernel of `kernelTable` where one takes it, and else the op's own reference loops on
 * views of the same memory, so every op works and the table only makes it faster.
 */
import type {
  Device,
  DeviceBuffer,
  Executable,
  HostArray,
  HostTensor,
  MemoryReport,
  Plan,
  PlanStep,
  TensorSpec,
} from '@mindseye/tensor-core';
import { byteSizeOf, hostView, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type Tier, createKernels } from '../kernels/index.js';
import { Heap } from './heap.js';
import type { KernelOperand } from './kernel-row.js';
import { kernelFor } from './kernel-table.js';
import { ReusedRange } from './reused-range.js';

class WasmBuffer implements DeviceBuffer {
  readonly pointer: number;
  readonly byteLength: number;
  constructor(pointer: number, byteLength: number) {
    this.pointer = pointer;
    this.byteLength = byteLength;
  }
}

export interface WasmDeviceOptions {
  /** Forces an instruction tier; the best of this engine when left out. */
  readonly tier?: Tier;
  /**
   * The memory that values live in, for this device alone; one that grows up to 4 GiB when left out. Its maximum bounds
   * what the device can hold: beyond it, uploads and runs throw a `WasmMemoryError`.
   */
  readonly memory?: WebAssembly.Memory;
}

export interface WasmDevice extends Device {
  readonly tier: Kernels['tier'];
}

const byteLengthOf = (spec: TensorSpec): number => sizeOf(spec.shape) * byteSizeOf(spec.dtype);

export function createWasmDevice(options: WasmDeviceOptions = {}): WasmDevice {
  const kernels = createKernels(options);
  const heap = new Heap(kernels.memory);
  const arena = new ReusedRange(heap);
  const scratch = new ReusedRange(heap);
  let rootBytes = 0;
  let peakBytes = 0;
  const workingBytes = (): number => arena.byteLength + scratch.byteLength;
  const notePeak = (): void => {
    peakBytes = Math.max(peakBytes, rootBytes + workingBytes());
  };

  const allocate = (byteLength: number): WasmBuffer => {
    const buffer = new WasmBuffer(heap.allocate(byteLength), byteLength);
    rootBytes += byteLength;
    notePeak();
    return buffer;
  };
  const release = ({ pointer, byteLength }: WasmBuffer): void => {
    heap.free(pointer, byteLength);
    rootBytes -= byteLength;
  };
  /** As many buffers as there are sizes, or none of them. */
  const allocateAll = (byteLengths: readonly number[]): WasmBuffer[] => {
    const buffers: WasmBuffer[] = [];
    try {
      for (const byteLength of byteLengths) buffers.push(allocate(byteLength));
    } catch (error) {
      buffers.forEach(release);
      throw error;
    }
    return buffers;
  };
  const view = (spec: TensorSpec, pointer: number): HostArray => hostView(kernels.memory.buffer, pointer, spec);
  const copy = (from: number, to: WasmBuffer): void => {
    if (from !== to.pointer) new Uint8Array(kernels.memory.buffer).copyWithin(to.pointer, from, from + to.byteLength);
  };

  const lower = (plan: Plan): Executable => {
    arena.reserve(plan.arena.byteLength);
    notePeak();
    const steps = plan.steps.map((step) => prepare(step, plan));
    const donorOf = assignDonors(plan);
    const places = plan.outputs.map((_, place) => place);
    const fresh = places.filter((place) => !donorOf.has(place));
    const donated = places.filter((place) => donorOf.has(place));
    const freshBytes = fresh.map((place) => byteLengthOf(plan.values[plan.outputs[place]!]!));
    return {
      run(inputs) {
        arena.reserve(plan.arena.byteLength);
        const pointers = plan.arena.offsets.map((offset) => (offset === undefined ? 0 : arena.pointer + offset));
        plan.inputs.forEach((value, i) => (pointers[value] = (inputs[i] as WasmBuffer).pointer));
        const memo = new Map<string, Uint8Array>();
        for (const step of steps) step(pointers, memo);
        const results: WasmBuffer[] = [];
        allocateAll(freshBytes).forEach((buffer, i) => (results[fresh[i]!] = buffer));
        for (const place of donated) results[place] = inputs[donorOf.get(place)!] as WasmBuffer;
        // Donors are written last: until then their old values may still be outputs.
        for (const place of [...fresh, ...donated]) copy(pointers[plan.outputs[place]!]!, results[place]!);
        notePeak();
        return Promise.resolve(results);
      },
    };
  };

  const prepare = (
    { op, inputs, outputs, attributes }: PlanStep,
    plan: Plan,
  ): ((pointers: readonly number[], memo: Map<string, Uint8Array>) => void) => {
    const specs = (values: readonly number[]): TensorSpec[] => values.map((value) => plan.values[value]!);
    const operands = (values: readonly number[], pointers: readonly number[]): KernelOperand[] =>
      values.map((value) => ({ ...plan.values[value]!, value, pointer: pointers[value]! }));
    const kernel = kernelFor(op, specs(inputs), specs(outputs), attributes);
    if (kernel) {
      return (pointers, memo) => {
        kernel({
          kernels,
          memo,
          inputs: operands(inputs, pointers),
          outputs: operands(outputs, pointers),
          attributes,
          scratch: (byteLength) => scratch.reserve(byteLength),
        });
      };
    }
    const views = (values: readonly number[], pointers: readonly number[]): HostTensor[] =>
      values.map((value) => ({ ...plan.values[value]!, data: view(plan.values[value]!, pointers[value]!) }));
    return (pointers) => {
      const results = views(outputs, pointers);
      for (const { data } of results) data.fill(0);
      op.reference!({ inputs: views(inputs, pointers), outputs: results, attributes });
    };
  };

  return {
    name: `wasm ${kernels.tier}`,
    tier: kernels.tier,
    supports: (op) => op.reference !== undefined,
    upload(data, spec) {
      const buffer = allocate(byteLengthOf(spec));
      view(spec, buffer.pointer).set(data);
      return buffer;
    },
    read: (buffer, spec) => Promise.resolve(view(spec, (buffer as WasmBuffer).pointer).slice()),
    release: (buffer) => release(buffer as WasmBuffer),
    lower,
    memory: (): MemoryReport => ({ rootBytes, arenaBytes: workingBytes(), peakBytes }),
  };
}

/**
 * Position in `plan.inputs` of the donor whose buffer each donated output takes over. An output that is itself a donated
 * input keeps its own buffer; so no buffer is overwritten while an output still has to be read from it.
 */
function assignDonors({ inputs, outputs, donations }: Plan): ReadonlyMap<number, number> {
  const donorOf = new Map(donations.map(({ input, output }) => [output, input]));
  for (const { output } of donations) {
    const own = inputs.indexOf(outputs[output]!);
    const [holder] = [...donorOf].find(([, donor]) => donor === own) ?? [];
    if (holder === undefined) continue;
    donorOf.set(holder, donorOf.get(output)!);
    donorOf.set(output, own);
  }
  return donorOf;
}
