import { decodingLoop } from '@mindseye/tensor-core/testing';
import { test } from 'vitest';
import { openDevice } from '../src/index.js';
import v8 from 'node:v8';
import vm from 'node:vm';
v8.setFlagsFromString('--expose-gc');
const gc = vm.runInNewContext('gc') as () => void;
test('x', async () => {
  const device = await openDevice({ profile: 'fast' });
  let i = 0;
  const item = device.read;
  device.read = async (b, s) => {
    i++;
    if (i % 500 === 0) {
      gc(); const m = process.memoryUsage();
      process.stderr.write(`${i} rss ${(m.rss / 1e6).toFixed(0)} heap ${(m.heapUsed / 1e6).toFixed(0)}/${(m.heapTotal / 1e6).toFixed(0)} ext ${(m.external / 1e6).toFixed(1)} ab ${(m.arrayBuffers / 1e6).toFixed(1)}\n`);
    }
    return item(b, s);
  };
  await decodingLoop(device, { steps: 5000 });
  const m0 = process.memoryUsage().rss; gc(); await new Promise((r) => setTimeout(r, 200)); gc();
  process.stderr.write(`after gc ${m0 / 1e6} ${process.memoryUsage().rss / 1e6}\n`);
  await decodingLoop(device, { steps: 5000 });
});
