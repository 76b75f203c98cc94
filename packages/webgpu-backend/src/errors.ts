/** What can go wrong on a GPU that is not the caller's arithmetic. */
export type WebGpuErrorCode =
  /** There is no WebGPU here, or it offers no adapter. */
  | 'no-adapter'
  /** The device is gone (driver reset, watchdog, destroyed). Its buffers are gone too: open a new device. */
  | 'device-lost'
  | 'out-of-memory'
  /** A tensor is larger than the adapter can hold or bind; the message names the limit. */
  | 'limit-exceeded'
  /** WebGPU refused a shader or a command: a defect of this package. */
  | 'validation';

export class WebGpuError extends Error {
  override readonly name = 'WebGpuError';
  readonly code: WebGpuErrorCode;

  constructor(code: WebGpuErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A `GPUError` or a rejection of the WebGPU API as this package's error. */
export function asWebGpuError(error: unknown, doing: string): WebGpuError {
  if (error instanceof WebGpuError) return error;
  const isMemory = (error as object | null)?.constructor.name === 'GPUOutOfMemoryError';
  const detail = error instanceof Error || isGpuError(error) ? error.message : String(error);
  return isMemory
    ? new WebGpuError(
        'out-of-memory',
        `${doing}: the GPU is out of memory (${detail}); use smaller batches or donate state`,
      )
    : new WebGpuError('validation', `${doing}: WebGPU refused it: ${detail}`);
}

const isGpuError = (error: unknown): error is { readonly message: string } =>
  typeof error === 'object' && error !== null && 'message' in error;
