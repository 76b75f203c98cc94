/** What a checkpoint made from another has in common with it: every file but weights and config.json, byte for byte. */
import path from 'node:path';
import type { ModelFiles } from '@mindseye/qwen-vl';
import type { ByteSource } from '@mindseye/tensor-core';
import { writeFileAtomic } from '@mindseye/tensor-core/node';

/** Weights in any format, adapters, reports of earlier runs, and hidden files stay where they are. */
const NOT_COPIED =
  /^\.|\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack)$|\.index\.json$|^adapter_|^config\.json$|^quantization_report\.json$/;

export const copyAllButWeights = (files: ModelFiles, folder: string): Promise<void> =>
  copyFiles(
    files,
    folder,
    [...files.names].filter((name) => !NOT_COPIED.test(name)),
  );

/** @param names of files to copy; those that are not there are passed over */
export async function copyFiles(files: ModelFiles, folder: string, names: readonly string[]): Promise<void> {
  for (const name of names.filter((each) => files.names.has(each))) {
    const source = await files.open(name);
    try {
      await writeFileAtomic(path.join(folder, name), windows(source), { byteLength: source.size });
    } finally {
      await source.close?.();
    }
  }
}

const WINDOW_BYTES = 2 ** 22;

async function* windows(source: ByteSource): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < source.size; at += WINDOW_BYTES)
    yield await source.read(at, Math.min(WINDOW_BYTES, source.size - at));
}
