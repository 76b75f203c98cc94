/**
 * The CPU device on WebAssembly: every value lives in one memory, kernels take byte offsets into it.
 *
 * Roots have heap ranges of their own; the intermediates of a plan lie at the offsets that the plan has computed. Every op
 * works: what has no kernel runs its own reference loops on views of the same memory.
 */
import { type Device, byteSizeOf, hostView, sizeOf } from '@mindseye/tensor-core';
import { createExpressions } from '../expressions/expressions.js';
import { type Kernels, type Tier, createKernels } from '../kernels/index.js';
import { DeviceMemory, type WasmBuffer } from './device-memory.js';
import { lowerPlan } from './executable.js';
import { isStep } from './step.js';

export interface WasmDeviceOptions {
  /** Forces an instruction tier; when left out, the best of this engine that passes its self-test. */
  readonly tier?: Tier;
  /**
   * Threads that kernels are divided over, the calling one among them; one per processor, at most 16, when left out. Results do
   * not depend on it. They start with the first large kernel, sleep when there is nothing to do and end with the process. There
   * is one thread where memory cannot be shared: in browsers on pages that are not cross-origin isolated.
   */
  readonly threads?: number;
  /**
   * The memory that values live in, for this device alone; one that grows up to 4 GiB when left out. Its maximum bounds
   * what the device can hold: beyond it, uploads and runs throw a `WasmMemoryError`.
   */
  readonly memory?: WebAssembly.Memory;
  /** Fills memory that holds no value with NaN, so that a kernel or plan that reads it shows. Slow; for tests. */
  readonly poison?: boolean;
}

export interface WasmDevice extends Device {
  readonly tier: Kernels['tier'];
  /** Threads that kernels may be divided over. */
  readonly threads: number;
}

export function createWasmDevice({ poison = false, ...options }: WasmDeviceOptions = {}): WasmDevice {
  const kernels = createKernels(options);
  const memory = new DeviceMemory(kernels.memory);
  const machine = { kernels, expressions: createExpressions(kernels), memory, poison };
  const view = (spec: Parameters<Device['upload']>[1], { pointer }: WasmBuffer): ReturnType<typeof hostView> =>
    hostView(kernels.memory.buffer, pointer, spec);
  return {
    name: `wasm ${kernels.tier}`,
    tier: kernels.tier,
    threads: kernels.engine.sharedMemory ? kernels.engine.threads.count : 1,
    canOverwrite: () => true,
    supports: isStep,
    upload(data, spec) {
      const buffer = memory.allocate(sizeOf(spec.shape) * byteSizeOf(spec.dtype));
      view(spec, buffer).set(data);
      return buffer;
    },
    read: (buffer, spec) => Promise.resolve(view(spec, buffer as WasmBuffer).slice()),
    release: (buffer) => memory.release(buffer as WasmBuffer),
    lower: (plan) => lowerPlan(plan, machine),
    memory: () => memory.report(),
  };
}
