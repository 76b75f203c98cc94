/** tensor-core's `Device` contract on a GPUDevice. */
import type { DeviceBuffer, HostArray, TensorSpec } from '@mindseye/tensor-core';
import { Buffers, type GpuBuffer } from './buffers.js';
import { WebGpuError, asWebGpuError } from './errors.js';
import { kernelOf } from './kernels/table.js';
import type { Profile, WebGpuDevice } from './open.js';
import { PipelineCache } from './pipelines.js';
import { Arena } from './plan/arena.js';
import { type ExecutionContext, PlanExecutable } from './plan/executable.js';
import { lowerPlan } from './plan/lower.js';
import { Poison } from './plan/poison.js';
import { StepCache } from './plan/prepare.js';
import { bindingAlignment } from './plan/slabs.js';
import type { AdapterReport } from './report.js';
import { createStatus } from './status.js';
import { UniformPool } from './uniform-pool.js';

export interface DeviceOptions {
  readonly profile: Profile;
  /** Fill slabs and new roots with NaN words before each run; for tests. */
  readonly poisons?: boolean;
}

/** The contract on a GPUDevice that is open already. */
export function createDevice(
  gpu: GPUDevice,
  adapter: AdapterReport,
  { profile, poisons = false }: DeviceOptions,
): WebGpuDevice {
  const { limits } = adapter;
  let failure: WebGpuError | undefined;
  let isLost = false;
  const lost = gpu.lost.then(({ reason, message }) => {
    isLost = true;
    failure = new WebGpuError(
      'device-lost',
      `the GPU device was lost (${reason}): ${message || 'no detail'}; open a new device`,
    );
    return failure;
  });
  gpu.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    failure ??= asWebGpuError(event.error, 'an earlier command');
  });

  const throwIfFailed = (): void => {
    if (!failure) return;
    const error = failure;
    if (!isLost) failure = undefined; // reported once; the device lives
    throw error;
  };

  const popScopes = (): Promise<readonly (GPUError | null)[]> =>
    Promise.all([gpu.popErrorScope(), gpu.popErrorScope()]);
  const guarded: ExecutionContext['guarded'] = (what, work) => {
    if (profile === 'fast') return { value: work(), verdict: Promise.resolve() };
    gpu.pushErrorScope('validation');
    gpu.pushErrorScope('out-of-memory');
    try {
      const value = work();
      return { value, verdict: verdictOf(popScopes(), what) };
    } catch (error) {
      popScopes().catch(() => undefined);
      throw error;
    }
  };

  /** `promise`, rejecting with the first cause: the loss of the device, or the failure of an earlier command. */
  const explained = async <T>(promise: Promise<T>): Promise<T> => {
    try {
      return await promise;
    } catch (error) {
      if (!(error instanceof WebGpuError)) throw error;
      if (!isLost) await Promise.race([lost, gpu.queue.onSubmittedWorkDone().catch(() => lost)]);
      throwIfFailed();
      throw error;
    }
  };

  const buffers = new Buffers(gpu, limits);
  const arena = new Arena(gpu, buffers);
  const pipelines = new PipelineCache(gpu);
  const lowering = {
    steps: new StepCache({
      pipelines,
      uniforms: new UniformPool(gpu),
      largestGrid: limits.maxComputeWorkgroupsPerDimension,
    }),
    limits,
    rejectsFaults: profile === 'checked',
  };
  const context: ExecutionContext = {
    gpu,
    buffers,
    arena,
    status: createStatus(gpu),
    checked: profile === 'checked',
    ...(poisons && { poison: new Poison(gpu) }),
    throwIfFailed,
    guarded,
  };

  return {
    name: `webgpu ${adapter.vendor} ${adapter.architecture}`.trim(),
    adapter,
    profile,
    lost,
    get pipelineCount() {
      return pipelines.size;
    },
    limits: { bindingBytes: buffers.bindingBytes, viewAlignment: bindingAlignment },
    // A run that turns out bad must leave its donors as they were, so the checked profile writes over nothing.
    canOverwrite: (op) => profile === 'fast' && kernelOf(op.name)?.inPlace === true,
    supports: (op, inputs, attributes) =>
      kernelOf(op.name)?.accepts(inputs, attributes, limits.maxStorageBuffersPerShaderStage) ?? false,
    upload(data: HostArray, spec: TensorSpec): DeviceBuffer {
      throwIfFailed();
      return buffers.upload(data, spec);
    },
    read(buffer: DeviceBuffer, spec: TensorSpec): Promise<HostArray> {
      return explained(
        (async () => {
          throwIfFailed();
          return buffers.read(buffer as GpuBuffer, spec);
        })(),
      );
    },
    release: (buffer: DeviceBuffer) => buffers.release(buffer as GpuBuffer),
    lower(plan) {
      throwIfFailed();
      const { value, verdict } = guarded('compiling a plan', () => lowerPlan(plan, lowering));
      verdict.catch((error: WebGpuError) => (failure ??= error));
      const executable = new PlanExecutable(context, plan, value);
      return { workingBytes: executable.workingBytes, run: (inputs) => explained(executable.run(inputs)) };
    },
    memory: () => ({ rootBytes: buffers.rootBytes, arenaBytes: buffers.arenaBytes, peakBytes: buffers.peakBytes }),
  };
}

async function verdictOf(scopes: Promise<readonly (GPUError | null)[]>, what: string): Promise<void> {
  const errors = await scopes.catch((error: unknown) => [error]);
  const error = errors.find((found) => found !== null);
  if (error !== undefined) throw asWebGpuError(error, what);
}
