/** Reads goldens: `<stem>.json` for everything that is not a tensor, `<stem>.safetensors` for tensors (f32 and u8). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Absolute path of a file under `test/golden`. */
export const goldenPath = (name: string): string => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));

export const readGoldenJson = <T>(name: string): T => JSON.parse(readFileSync(goldenPath(name), 'utf8')) as T;

export interface GoldenTensor {
  readonly dtype: 'F32' | 'U8';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

interface HeaderEntry {
  readonly dtype: 'F32' | 'U8';
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** All tensors of a safetensors file by name. */
export function readGoldenTensors(name: string): ReadonlyMap<string, GoldenTensor> {
  const file = readFileSync(goldenPath(name));
  const headerEnd = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, headerEnd)) as Record<string, HeaderEntry>;
  return new Map(
    Object.entries(header)
      .filter(([key]) => key !== '__metadata__')
      .map(
        ([
          key,
          {
            dtype,
            shape,
            data_offsets: [start, end],
          },
        ]) => [
          key,
          // A copy, so that the bytes are aligned for any element type.
          { dtype, shape, bytes: new Uint8Array(file.subarray(headerEnd + start, headerEnd + end)) },
        ],
      ),
  );
}

/** The elements of an f32 tensor. */
export const float32 = (tensor: GoldenTensor): Float32Array => new Float32Array(tensor.bytes.buffer);

/** A tensor that must be there. */
export function tensorOf(tensors: ReadonlyMap<string, GoldenTensor>, name: string): GoldenTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`golden tensor ${name} is missing`);
  return tensor;
}
