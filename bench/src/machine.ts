/** The machine and the versions a result was measured with. No names or paths of it. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { peerVersions } from './peers/load.ts';

const GIBIBYTE = 2 ** 30;
const packages = ['tensor-core', 'wasm-backend', 'qwen-vl', 'latent-reasoning', 'eval'];

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
  readonly v8: string;
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGiB: Math.round((os.totalmem() / GIBIBYTE) * 10) / 10,
    os: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    v8: process.versions.v8,
  };
}

export function packageVersions(): Readonly<Record<string, string>> {
  const own = packages.map((name) => {
    const { version } = JSON.parse(
      readFileSync(new URL(`../../packages/${name}/package.json`, import.meta.url), 'utf8'),
    ) as { version: string };
    return [`@mindseye/${name}`, version] as const;
  });
  return { ...Object.fromEntries(own), ...peerVersions() };
}

/** Processes that want to run, averaged over 1, 5 and 15 minutes: times with more of them than cores are no absolute figures. */
export const loadAverage = (): number[] => os.loadavg().map((value) => Math.round(value * 100) / 100);
