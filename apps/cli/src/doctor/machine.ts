/** What a machine has to offer, each part looked at so that its absence is a finding and not a failure. */
import os from 'node:os';
import { type Device, createReferenceDevice } from '@mindseye/tensor-core';

/** A part of the machine: what it is, and what to do where something useful is missing. */
export interface Finding {
  readonly name: string;
  readonly found: boolean;
  readonly detail: string;
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

export async function inspectMachine(commandVersion: string): Promise<Finding[]> {
  const [cpu] = os.cpus();
  return [
    { name: 'mindseye', found: true, detail: commandVersion },
    { name: 'Node', found: true, detail: `${process.version} on ${process.platform} ${process.arch}` },
    { name: 'CPU', found: true, detail: `${cpu?.model.trim() ?? 'unknown'}, ${os.availableParallelism()} threads` },
    { name: 'memory', found: true, detail: `${gibibytes(os.totalmem())}, ${gibibytes(os.freemem())} free` },
    await imageLibrary(),
  ];
}

async function imageLibrary(): Promise<Finding> {
  try {
    const { default: sharp } = await import('sharp');
    return { name: 'images', found: true, detail: `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}` };
  } catch (error) {
    return {
      name: 'images',
      found: false,
      detail: `sharp cannot be loaded (${message(error)}); install it to read image files`,
    };
  }
}

/** A device that was looked for, and the device where there is one. */
export interface DeviceFinding extends Finding {
  readonly device?: Device;
}

const searches: Readonly<Record<string, () => Promise<{ readonly device: Device; readonly detail: string }>>> = {
  reference: () => Promise.resolve({ device: createReferenceDevice(), detail: 'plain loops' }),
  wasm: async () => {
    const device = (await import('@mindseye/wasm-backend')).createWasmDevice();
    const { tier, tierReason, threads, maximumBytes } = device.report();
    const parts = [
      `WebAssembly, instruction tier ${tier}: ${tierReason}`,
      `${threads} thread${threads === 1 ? '' : 's'}`,
      `at most ${gibibytes(maximumBytes)}`,
    ];
    return { device, detail: parts.join('; ') };
  },
  webgpu: async () => {
    const device = await (await import('@mindseye/webgpu-backend')).openDevice();
    const { vendor, architecture, description, isFallback } = device.adapter;
    const names = [description, vendor, architecture].filter((name) => name !== '').join(', ');
    return { device, detail: `${names}${isFallback ? ' (software)' : ''}` };
  },
};

export async function findDevices(): Promise<DeviceFinding[]> {
  const findings: DeviceFinding[] = [];
  for (const [name, search] of Object.entries(searches)) {
    try {
      findings.push({ name, found: true, ...(await search()) });
    } catch (error) {
      findings.push({ name, found: false, detail: message(error) });
    }
  }
  return findings;
}
