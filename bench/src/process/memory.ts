/** Memory of this process and of its device. */
import type { Device } from '@mindseye/tensor-core';

const MEBIBYTE = 2 ** 20;
const inMebibytes = (bytes: number): number => Math.round((bytes / MEBIBYTE) * 100) / 100;

/** Collects garbage and lets finalizers release what it held. The process runs with `--expose-gc`. */
async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** All in MiB. A type, not an interface, so that it is plain JSON to the compiler too. */
export type MemoryReport = {
  readonly rootMiB: number;
  readonly workingMiB: number;
  /** Largest sum of both since the device was opened. */
  readonly peakMiB: number;
  /** JavaScript objects, and typed arrays outside the device's memory. */
  readonly heapMiB: number;
  readonly arrayMiB: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
};

/** What is held when all garbage is gone. */
export async function measureMemory(device: Device): Promise<MemoryReport> {
  await collectGarbage();
  const { rootBytes, arenaBytes, peakBytes } = device.memory();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return {
    rootMiB: inMebibytes(rootBytes),
    workingMiB: inMebibytes(arenaBytes),
    peakMiB: inMebibytes(peakBytes),
    heapMiB: inMebibytes(heapUsed),
    arrayMiB: inMebibytes(arrayBuffers),
    rssMiB: inMebibytes(rss),
    // resourceUsage counts kibibytes.
    peakRssMiB: inMebibytes(process.resourceUsage().maxRSS * 1024),
  };
}
