/**
 * The CPU device on WebAssembly: kernels work on one memory and take byte offsets into it.
 *
 * Roots have heap ranges of their own, large ones also in banks beside that memory (banks.ts); the intermediates of a plan lie at the offsets that the plan has computed. Every op
 * works: what has no kernel runs its own reference loops on views of the same memory.
 */
import { type Device, byteSizeOf, sizeOf } from '@mindseye/tensor-core';
import { createExpressions } from '../expressions/expressions.js';
import { type Kernels, type Tier, createKernels } from '../kernels/index.js';
import { supportsBanks } from './banks.js';
import { DeviceMemory, type DeviceMemoryOptions, type WasmBuffer } from './device-memory.js';
import { lowerPlan } from './executable.js';
import { isStep } from './step.js';

export interface WasmDeviceOptions {
  /** Forces an instruction tier; when left out, the best of this engine that passes its self-test. */
  readonly tier?: Tier;
  /**
   * False: `revectorized`, which rests on an experiment of V8's, is not chosen even where its kernels pass their bit check.
   */
  readonly revectorize?: boolean;
  /**
   * Threads that kernels are divided over, the calling one among them; one per processor, at most 16, when left out. Results do
   * not depend on it. They start with the first large kernel, sleep when there is nothing to do and end with the process. There
   * is one thread where memory cannot be shared: in browsers on pages that are not cross-origin isolated.
   */
  readonly threads?: number;
  /**
   * Most bytes that the device holds, in memories of 4 GiB each; 64 GiB when left out. What one run computes with (its
   * intermediates, and what is not a large upload) lies in the first, whatever this is. Beyond it, uploads and runs throw a
   * `WasmMemoryError`; so they do beyond 4 GiB in engines that lack multi-memory.
   */
  readonly maximumBytes?: number;
  /** The one memory that values live in, for this device alone, instead of those: its maximum bounds what the device holds. */
  readonly memory?: WebAssembly.Memory;
  /** Fills memory that holds no value with NaN, so that a kernel or plan that reads it shows. Slow; for tests. */
  readonly poison?: boolean;
}

export interface WasmDevice extends Device {
  readonly tier: Kernels['tier'];
  /** Threads that kernels may be divided over, the calling one among them. */
  readonly threads: number;
  /** Threads that are running beside the calling one. */
  readonly runningThreads: number;
  /** What the device has found and been given. */
  report(): WasmReport;
}

/** What a device has found and been given. */
export interface WasmReport {
  readonly tier: Kernels['tier'];
  /** Why this tier, in words. */
  readonly tierReason: string;
  readonly threads: number;
  /** How often threads were started; more than once only where some were lost. */
  readonly threadStarts: number;
  /** Why threads were lost last, where some were. */
  readonly threadsLost: string | undefined;
  /** Whether the memory is shared between threads. */
  readonly sharedMemory: boolean;
  /** Milliseconds spent so far on emitting, checking and compiling kernels, most of them at first uses. */
  readonly preparingMilliseconds: number;
  /** Most bytes of all its memories; a memory that was given may end earlier. */
  readonly maximumBytes: number;
}

const MAXIMUM_BYTES = 64 * 2 ** 30;
/** What 32-bit addresses reach. */
const MEMORY_BYTES = 2 ** 32;

export function createWasmDevice(options: WasmDeviceOptions = {}): WasmDevice {
  const { poison = false, maximumBytes = MAXIMUM_BYTES, ...ofKernels } = options;
  return deviceOn(createKernels(ofKernels), { maximumBytes: options.memory ? 0 : maximumBytes }, poison);
}

/** A device on kernels and memories that are given; for tests of either. */
export function deviceOn(kernels: Kernels, limits: DeviceMemoryOptions, poison = false): WasmDevice {
  const memory = new DeviceMemory(kernels.engine, limits);
  const machine = { kernels, expressions: createExpressions(kernels), memory, poison };
  const { threads, sharedMemory } = kernels.engine;
  const count = (): number => (sharedMemory ? threads.count : 1);
  return {
    name: `wasm ${kernels.tier}`,
    tier: kernels.tier,
    get threads() {
      return count();
    },
    get runningThreads() {
      return threads.running;
    },
    report: () => ({
      tier: kernels.tier,
      tierReason: kernels.tierReason,
      threads: count(),
      threadStarts: threads.started,
      threadsLost: threads.lost,
      sharedMemory,
      preparingMilliseconds: kernels.engine.preparingMilliseconds,
      maximumBytes: Math.max(MEMORY_BYTES, supportsBanks() ? limits.maximumBytes : 0),
    }),
    canOverwrite: () => true,
    supports: isStep,
    upload(data, spec) {
      const buffer = memory.allocate(sizeOf(spec.shape) * byteSizeOf(spec.dtype));
      memory.view(buffer.pointer, spec).set(data);
      return buffer;
    },
    map(spec) {
      // A memory that is not shared leaves its views behind when it grows.
      if (!kernels.engine.sharedMemory) return undefined;
      const buffer = memory.allocate(sizeOf(spec.shape) * byteSizeOf(spec.dtype));
      return { buffer, data: memory.view(buffer.pointer, spec) };
    },
    read: (buffer, spec) => Promise.resolve(memory.view((buffer as WasmBuffer).pointer, spec).slice()),
    release: (buffer) => memory.release(buffer as WasmBuffer),
    lower: (plan) => lowerPlan(plan, machine),
    memory: () => memory.report(),
  };
}
