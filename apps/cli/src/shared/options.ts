/** Parsers of option values. What they refuse is a usage error that names the option and what it takes. */
import { InvalidArgumentError, Option } from 'commander';
import { quantizationNames } from '@mindseye/qwen-vl';
import { deviceNames, tierNames } from './device.js';

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`Give a whole number ${range}.`);
  };
}

/** A number from `least` to `most`. */
export function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number from ${least} to ${most}.`);
  };
}

/** Whole numbers of at least 0, separated by commas. */
export function integerList(text: string): number[] {
  return text.split(',').map(integer(0, 1_000_000));
}

/** `k/n`, shard k of n, counted from 1. */
export function shard(text: string): { readonly index: number; readonly count: number } {
  const [, k, n] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const [index, count] = [Number(k) - 1, Number(n)];
  if (index >= 0 && index < count) return { index, count };
  throw new InvalidArgumentError('Give k/n with 1 ≤ k ≤ n, such as 1/4.');
}

/** Collects an option that may be given several times. */
export const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value];

export const deviceOption = (): Option =>
  new Option('--device <name>', 'what computes; auto is the WebAssembly CPU device')
    .choices(deviceNames)
    .default('auto');

export const threadsOption = (): Option =>
  new Option('--threads <count>', 'threads of the CPU device; one per processor, at most 16, when left out').argParser(
    integer(1, 256),
  );

export const tierOption = (): Option =>
  new Option('--tier <name>', 'instructions of the CPU device; the best of this machine when left out').choices(
    tierNames,
  );

export const jsonOption = (): Option => new Option('--json', 'print one JSON object on stdout');

/** Storages that weights can be loaded in. */
const WEIGHT_DTYPES = ['auto', 'f32', 'f16', 'bf16', ...quantizationNames] as const;

export type WeightDType = (typeof WEIGHT_DTYPES)[number];

export const dtypeOption = (): Option =>
  new Option('--dtype <storage>', 'storage of the weights in memory; auto is that of the files')
    .choices(WEIGHT_DTYPES)
    .default('auto');
