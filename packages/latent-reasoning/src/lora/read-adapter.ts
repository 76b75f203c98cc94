/** Reads an adapter in whichever form its file has. */
import type { TensorSource } from '@mindseye/tensor-core';
import type { PeftAdapter } from './adapter.js';
import { isMlxAdapter, readMlxAdapter } from './mlx.js';
import { readPeftAdapter } from './peft.js';

/**
 * @param json the parsed adapter_config.json
 * @param location for error messages
 * @throws InvalidInputError as `readPeftAdapter` and `readMlxAdapter`
 */
export function readAdapter(json: unknown, source: TensorSource, location = 'the adapter'): Promise<PeftAdapter> {
  return (isMlxAdapter(source) ? readMlxAdapter : readPeftAdapter)(json, source, location);
}
