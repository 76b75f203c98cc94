/**
 * The contract between the core and an engine: hold buffers, lower a plan, run it, read back.
 *
 * The core owns graphs, gradients, plans and lifetimes; a device owns bytes and kernels. A device may refuse a fused op
 * (`supports`), and the core then plans its decomposition instead. Buffers have no public dispose: the core releases one
 * when it is donated, or when its last handle has been collected.
 */
import type { HostArray } from './dtype.js';
import type { Op } from './op.js';
import type { Plan, PlanPasses } from './plan/plan.js';
import type { TensorSpec } from './tensor.js';

/** A value on a device. What is inside is the device's own business. */
export interface DeviceBuffer {
  readonly byteLength: number;
}

export interface MemoryReport {
  /** Bytes held by materialised tensors that handles (or the collector) still keep. */
  readonly rootBytes: number;
  /** Bytes of the arena that intermediates share. */
  readonly arenaBytes: number;
  /** Largest sum of both so far. */
  readonly peakBytes: number;
}

export interface Executable {
  /** Bytes of the arena and scratch that a run needs beside inputs and outputs, known before it. */
  readonly workingBytes: number;
  /**
   * Runs the plan once. `inputs` are in the order of `plan.inputs`. The result is in the order of `plan.outputs`; for a
   * donated pair the output takes over the donor's buffer, whose old value is gone afterwards. When it rejects because of
   * an operand's contents (`plan.guards`), every input still holds its value.
   */
  run(inputs: readonly DeviceBuffer[]): Promise<readonly DeviceBuffer[]>;
}

/** What bounds the plans of a device. */
export interface DeviceLimits {
  /** Largest number of bytes that a kernel can be given of one value; larger inputs are held in shards of whole rows. */
  readonly bindingBytes?: number;
  /** A view into another value starts at a multiple of this many bytes; 1 when left out. */
  readonly viewAlignment?: number;
}

export interface Device {
  readonly name: string;
  /** `f64` for the reference engine in 64 bits: numbers known when a plan is built are then not rounded to f32. */
  readonly precision?: 'f32' | 'f64';
  readonly limits?: DeviceLimits;
  /** Passes of the plan compiler that are off for this device; all are on when left out. */
  readonly passes?: PlanPasses;
  /** True when the kernel of `op` may be given outputs that lie on its inputs as `op.overwrites` says; never when left out. */
  canOverwrite?(op: Op): boolean;
  /** False when the device has no kernel for this application of a fused op; the core then decomposes it. */
  supports(op: Op, inputs: readonly TensorSpec[], attributes: object): boolean;
  upload(data: HostArray, spec: TensorSpec): DeviceBuffer;
  /**
   * A buffer whose elements the caller writes, in the device's own memory, before anything else is done with the buffer. `data` stays
   * good while other buffers come and go. Undefined where the host cannot see that memory, or where it may move.
   */
  map?(spec: TensorSpec): { readonly buffer: DeviceBuffer; readonly data: HostArray } | undefined;
  /** A copy of the buffer's elements. */
  read(buffer: DeviceBuffer, spec: TensorSpec): Promise<HostArray>;
  /** Gives the bytes back. Only the core calls this. */
  release(buffer: DeviceBuffer): void;
  lower(plan: Plan): Executable;
  memory(): MemoryReport;
}

let chosen: Device | undefined;

/** The device that `data()` and `evaluate` use when none is named. */
export function defaultDevice(): Device {
  if (!chosen)
    throw new Error(
      'no default device: pass { device }, or call setDefaultDevice(createReferenceDevice()) once at start-up',
    );
  return chosen;
}

/** Chooses the device that `data()` and `evaluate` use when none is named. Applications call this, libraries do not. */
export function setDefaultDevice(device: Device | undefined): void {
  chosen = device;
}
