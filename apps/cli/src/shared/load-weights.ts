/** Weights onto a device, with progress where there are many, and with a cure where they do not fit. */
import type { LoadedWeights, ModelFolder } from '@mindseye/qwen-vl';
import type { Device } from '@mindseye/tensor-core';
import { WasmMemoryError } from '@mindseye/wasm-backend';
import { CommandError } from './errors.js';
import type { WeightDType } from './options.js';
import { type Progress, startProgress } from './progress.js';
import type { Terminal } from './terminal.js';

/** Fewer bytes than these are loaded before a bar is drawn. */
const SHOWN_FROM = 256e6;

const megabytes = (bytes: number): number => Math.ceil(bytes / 1e6);

/**
 * @param device where the weights go as they are read; left out, they stay on the host
 * @throws CommandError when they do not fit, with their size and what to do; as `ModelFolder.loadWeights`
 */
export async function loadFolderWeights(
  folder: ModelFolder,
  device: Device | undefined,
  dtype: WeightDType,
  terminal: Terminal,
): Promise<LoadedWeights> {
  let progress: Progress | undefined;
  let size = 0;
  try {
    return await folder.loadWeights({
      dtype,
      ...(device && { device }),
      onProgress(_done, _total, bytes) {
        size = bytes.total;
        if (bytes.total > SHOWN_FROM)
          progress ??= startProgress(terminal, 'loading weights, MB', megabytes(bytes.total));
        progress?.update(megabytes(bytes.done));
      },
    });
  } catch (error) {
    if (!device || !isOutOfMemory(error)) throw error;
    const smaller = dtype === 'int4' ? '' : 'load them smaller with --dtype int4, or ';
    throw new CommandError(
      `${folder.location}: its weights, ${(size / 1e9).toFixed(1)} GB in the files, do not fit the memory of ${device.name} ` +
        `in the storage ${dtype}; ${smaller}use --device webgpu`,
      { cause: error },
    );
  } finally {
    progress?.stop();
  }
}

const isOutOfMemory = (error: unknown): boolean =>
  error instanceof WasmMemoryError || (error instanceof RangeError && /allocation/i.test(error.message));
