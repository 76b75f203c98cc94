/** What a checkpoint made from another has in common with it: every file but weights and config.json, byte for byte. */
import path from 'node:path';
import type { ModelFiles } from '@mindseye/qwen-vl';
import type { ByteSource } from '@mindseye/tensor-core';
import { writeFileAtomic } from '@mindseye/tensor-core/node';

/** Weights in any format, adapters, reports of earlier runs, and hidden files stay where they are. */
const NOT_COPIED =
  /^\.|\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|h5|msgpack)$|\.index\.json$|^adapter_|^config\.json$|^quantization_report\.json$/;

/** @param only names to copy; all that belong to a checkpoint when left out */
export async function copySmallFiles(files: ModelFiles, folder: string, only?: readonly string[]): Promise<void> {
  for (const name of files.names) {
    if (only ? !only.includes(name) : NOT_COPIED.test(name)) continue;
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
