/** Goldens made by the Python oracle: `<stem>.safetensors` with tensors and `<stem>.json` with everything else. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { DType, HostArray, HostTensor } from '../../src/index.js';
import { openSafetensorsFile } from '../../src/node.js';

const pathOf = (name: string): string => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));

/** The JSON half of a golden. */
export async function goldenJson<T>(stem: string): Promise<T> {
  return JSON.parse(await readFile(pathOf(`${stem}.json`), 'utf8')) as T;
}

const dtypes: Readonly<Record<string, DType>> = { F32: 'f32', I32: 'i32', U8: 'bool' };

/** All tensors of a golden, by name. */
export async function goldenTensors(stem: string): Promise<ReadonlyMap<string, HostTensor>> {
  const file = await openSafetensorsFile(pathOf(`${stem}.safetensors`));
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.names()) {
      const { dtype, shape, data } = await file.read(name);
      const own = dtypes[dtype];
      if (!own) throw new TypeError(`golden ${stem}: ${name} is ${dtype}`);
      tensors.set(name, { shape, dtype: own, data: data as HostArray });
    }
    return tensors;
  } finally {
    await file.close();
  }
}
