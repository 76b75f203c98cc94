/**
 * The scale check by hand, for devices and sizes that the benchmark does not run:
 *
 *   node bench/src/scale/main.ts --device webgpu --decoder bf16 --table bf16 --layers 36
 *
 * Prints one JSON object: the times of one run, and everything known about memory and plans.
 */
import { parseArgs } from 'node:util';
import { RemoteSubject } from '../process/remote-subject.ts';
import { type MatrixStorage } from './random-weights.ts';
import { fullScale } from './sizes.ts';

const storages: Readonly<Record<string, MatrixStorage>> = { f32: 'f32', bf16: 'bf16', int8: 8, int4: 4 };

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: fullScale.device },
    decoder: { type: 'string', default: 'int4' },
    table: { type: 'string', default: 'int8' },
    vision: { type: 'string', default: 'bf16' },
    layers: { type: 'string', default: String(fullScale.layers) },
    blocks: { type: 'string', default: String(fullScale.blocks) },
    tokens: { type: 'string', default: String(fullScale.promptTokens) },
    'new-tokens': { type: 'string', default: String(fullScale.newTokens) },
  },
});

const storageOf = (name: string): MatrixStorage => {
  if (Object.hasOwn(storages, name)) return storages[name]!;
  throw new RangeError(`there is no storage "${name}"; choose from ${Object.keys(storages).join(', ')}`);
};

const subject = await RemoteSubject.open({
  name: values.device,
  module: new URL('../subjects/scale.ts', import.meta.url),
  options: {
    ...fullScale,
    device: values.device,
    storage: { decoder: storageOf(values.decoder), table: storageOf(values.table), vision: storageOf(values.vision) },
    layers: Number(values.layers),
    blocks: Number(values.blocks),
    promptTokens: Number(values.tokens),
    newTokens: Number(values['new-tokens']),
  },
});
try {
  await subject.sample();
  const times = await subject.sample();
  process.stdout.write(`${JSON.stringify({ times, ...(await subject.details()) }, null, 2)}\n`);
} finally {
  subject.close();
}
