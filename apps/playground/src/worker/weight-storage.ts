/**
 * What weights are kept in on the device, and whether they fit there.
 *
 *   bytes = min(s, L · (bits / 8 + 4 / 64) + V · s / (L + V))
 *
 * with s the bytes of the files, L and V the parameters of the language model and of the vision tower, which stays as it is
 * stored. A group of 64 has a scale and an offset of 2 bytes each. What is packed more tightly in the files stays so.
 */
import {
  InvalidInputError,
  type LoadOptions,
  type Qwen2_5_VLConfig,
  byteCount,
  languageParameterCount,
  visionParameterCount,
} from '@mindseye/qwen-vl';
import type { DeviceName, ModelChoices, WeightStorage } from './protocol.js';

interface Storage {
  /** As `loadWeights` calls it. */
  readonly dtype: NonNullable<LoadOptions['dtype']>;
  /** Bits of a code of the language model. */
  readonly bits?: number;
  readonly words: string;
}

/** From the largest to the smallest. */
const storages: Readonly<Record<WeightStorage, Storage>> = {
  stored: { dtype: 'auto', words: 'as stored' },
  int8: { dtype: 'int8', bits: 8, words: 'in int8' },
  int4: { dtype: 'int4', bits: 4, words: 'in int4' },
};
const storageNames = Object.keys(storages) as WeightStorage[];

/** What `loadWeights` is told for a storage. */
export const loadDtype = (storage: WeightStorage): Storage['dtype'] => storages[storage].dtype;

interface DeviceRoom {
  readonly words: string;
  /** Bytes that weights can take; Infinity where no interface tells. */
  readonly bytes: number;
}

/** Left for the cache of keys and values and for intermediates. */
const WORKING_BYTES = 2 ** 29;

const rooms: Readonly<Record<DeviceName, DeviceRoom>> = {
  // 32-bit addresses reach 4 GiB.
  wasm: { words: 'the CPU (WebAssembly)', bytes: 2 ** 32 - WORKING_BYTES },
  webgpu: { words: 'the GPU', bytes: Infinity },
};

/** A model by its size. */
export interface ModelSize {
  /** For messages. */
  readonly location: string;
  readonly config: Qwen2_5_VLConfig;
  /** Of the weights in its files. */
  readonly bytes: number;
}

function bytesIn(storage: WeightStorage, { config, bytes }: ModelSize): number {
  const { bits } = storages[storage];
  if (bits === undefined) return bytes;
  const [language, vision] = [languageParameterCount(config), visionParameterCount(config)];
  return Math.min(bytes, language * (bits / 8 + 4 / 64) + (vision * bytes) / (language + vision));
}

/** @throws InvalidInputError for a model whose weights alone are more than the device holds, with what to do */
export function requireRoom(size: ModelSize, { device, storage }: ModelChoices): void {
  const room = rooms[device].bytes;
  if (bytesIn(storage, size) > room) throw tooLarge(size, { device, storage }, `holds ${byteCount(room)} of them`);
}

/** The error of a device that has no room, in words that help a person on the page; any other stays itself. */
export const inPlainWords = (error: unknown, size: ModelSize, choices: ModelChoices): unknown =>
  isOutOfMemory(error) ? tooLarge(size, choices, 'has no room for them', error) : error;

/** By name: the classes are those of two backends, and the browser's own. */
function isOutOfMemory(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name, message, code } = error as Error & { readonly code?: unknown };
  return (
    name === 'WasmMemoryError' ||
    (name === 'WebGpuError' && code === 'out-of-memory') ||
    (name === 'RangeError' && /allocation failed|out of memory/i.test(message))
  );
}

function tooLarge(size: ModelSize, { device, storage }: ModelChoices, problem: string, cause?: unknown): Error {
  const bytes = bytesIn(storage, size);
  const smaller = storageNames
    .slice(storageNames.indexOf(storage) + 1)
    .find((name) => bytesIn(name, size) < Math.min(0.95 * bytes, rooms[device].bytes));
  const cure = smaller
    ? `choose ${smaller} weights (${byteCount(bytesIn(smaller, size))})`
    : device === 'wasm'
      ? 'choose the GPU, or a smaller model'
      : 'choose a smaller model';
  return new InvalidInputError(
    `${size.location} is too large: its weights take ${byteCount(bytes)} ${storages[storage].words}, and ${rooms[device].words} ${problem}; ${cure}`,
    { cause },
  );
}
