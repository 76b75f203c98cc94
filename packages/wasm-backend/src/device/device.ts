/**
 * The CPU device on WebAssembly: every value lives in one memory, kernels take byte offsets into it.
 *
 * Roots have heap ranges of their own; intermediates share one arena at the offsets of the plan, as large as the largest
 * plan lowered so far. A step runs a kernel of `kernelTable` where one takes it, and else the op's own reference loops on
 * views of the same memory, so every op works and the table only makes it faster.
 */
import type { Device, DeviceBuffer, Executable, HostArray, HostTensor, MemoryReport, Plan, PlanStep, TensorSpec } from '@mindseye/tensor-core';
import { byteSizeOf, hostView, sizeOf } from '@mindseye/tensor-core';
import { type Kernels, type Tier, createKernels } from '../kernels/index.js';
import { Heap } from './heap.js';
import type { KernelOperand } from './kernel-row.js';
import { kernelFor } from './kernel-table.js';

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

  const allocate = (byteLength: number): WasmBuffer => {
    const buffer = new WasmBuffer(heap.allocate(byteLength), byteLength);
    rootBytes += byteLength;
    peakBytes = Math.max(peakBytes, rootBytes + arena.byteLength);
    return buffer;
  };
  const view = (spec: TensorSpec, pointer: number): HostArray => hostView(kernels.memory.buffer, pointer, spec);
  const copy = (from: number, to: number, byteLength: number): void => {
    new Uint8Array(kernels.memory.buffer).copyWithin(to, from, from + byteLength);
  };

  const lower = (plan: Plan): Executable => {
    arena.reserve(plan.arena.byteLength);
    const steps = plan.steps.map((step) => prepare(step, plan));
    return {
      run(inputs) {
        arena.reserve(plan.arena.byteLength);
        const pointers = plan.arena.offsets.map((offset) => (offset === undefined ? 0 : arena.pointer + offset));
        plan.inputs.forEach((value, i) => (pointers[value] = (inputs[i] as WasmBuffer).pointer));
        const memo = new Map<string, Uint8Array>();
        for (const step of steps) step(pointers, memo);
        const donors = new Map(plan.donations.map(({ input, output }) => [output, inputs[input] as WasmBuffer]));
        // Donated outputs are written last: until then a donor may still be an output itself.
        const order = plan.outputs.map((_, i) => i).sort((a, b) => Number(donors.has(a)) - Number(donors.has(b)));
        const results: WasmBuffer[] = [];
        for (const i of order) {
          const value = plan.outputs[i]!;
          const byteLength = byteLengthOf(plan.values[value]!);
          const target = donors.get(i) ?? allocate(byteLength);
          copy(pointers[value]!, target.pointer, byteLength);
          results[i] = target;
        }
        return Promise.resolve(results);
      },
    };
  };

  const prepare = ({ op, inputs, outputs, attributes }: PlanStep, plan: Plan): ((pointers: readonly number[], memo: Map<string, Uint8Array>) => void) => {
    const specs = (values: readonly number[]): TensorSpec[] => values.map((value) => plan.values[value]!);
    const operands = (values: readonly number[], pointers: readonly number[]): KernelOperand[] => values.map((value) => ({ ...plan.values[value]!, pointer: pointers[value]! }));
    const kernel = kernelFor(op, specs(inputs), specs(outputs), attributes);
    if (kernel) {
      return (pointers, memo) => {
        kernel({ kernels, memo, inputs: operands(inputs, pointers), outputs: operands(outputs, pointers), attributes, scratch: (byteLength) => scratch.reserve(byteLength) });
      };
    }
    const views = (values: readonly number[], pointers: readonly number[]): HostTensor[] => values.map((value) => ({ ...plan.values[value]!, data: view(plan.values[value]!, pointers[value]!) }));
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
    release(buffer) {
      heap.free((buffer as WasmBuffer).pointer, buffer.byteLength);
      rootBytes -= buffer.byteLength;
    },
    lower,
    memory: (): MemoryReport => ({ rootBytes, arenaBytes: arena.byteLength, peakBytes }),
  };
}

/** One range of the heap that is replaced by a larger one when asked for more. */
class ReusedRange {
  readonly #heap: Heap;
  pointer = 0;
  byteLength = 0;

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** The address of at least `byteLength` bytes; earlier contents are lost when the range grows. */
  reserve(byteLength: number): number {
    if (byteLength > this.byteLength) {
      if (this.byteLength > 0) this.#heap.free(this.pointer, this.byteLength);
      this.pointer = this.#heap.allocate(byteLength);
      this.byteLength = byteLength;
    }
    return this.pointer;
  }
}
