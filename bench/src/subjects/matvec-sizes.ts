/**
 * Products of one row with the widest matrix of Qwen2.5-VL-3B, y[1, 11008] = x[1, 2048] · Wᵀ with W [11008, 2048], in each
 * storage. Matrices take turns until they have more bytes than caches hold, as the layers of a model do.
 */
import type { MatrixStorage } from '../scale/random-weights.ts';

export const ROWS = 11_008;
export const COLUMNS = 2048;

export interface MatvecStorage {
  readonly storage: MatrixStorage;
  /** Bytes of one matrix, scales and offsets included. */
  readonly bytes: number;
}

const GROUP = 64;
const dense = (bytes: number): number => ROWS * COLUMNS * bytes;
/** Codes, and a scale and an offset of 16 bits for each group. */
const quantized = (bits: number): number => (ROWS * COLUMNS * bits) / 8 + ((ROWS * COLUMNS) / GROUP) * 4;

export const matvecStorages = {
  f32: { storage: 'f32', bytes: dense(4) },
  bf16: { storage: 'bf16', bytes: dense(2) },
  int8: { storage: 8, bytes: quantized(8) },
  int4: { storage: 4, bytes: quantized(4) },
} as const satisfies Readonly<Record<string, MatvecStorage>>;

export type MatvecStorageName = keyof typeof matvecStorages;
export const matvecStorageNames = Object.keys(matvecStorages) as MatvecStorageName[];

/** Matrices that take turns: at least so many bytes together. */
export const matricesOf = (name: MatvecStorageName, atLeastBytes: number): number =>
  Math.max(1, Math.ceil(atLeastBytes / matvecStorages[name].bytes));
